import os

bind = f"[::]:{os.getenv('PAPERLESS_PORT', 8000)}"
workers = int(os.getenv("PAPERLESS_WORKERS", 1))
worker_class = "paperless.workers.ConfigurableWorker"
timeout = 120
preload_app = True
worker_tmp_dir = "/dev/shm"


def pre_fork(server, worker):
    pass


def when_ready(server):
    server.log.info("Ready")


def worker_int(worker):
    worker.log.info("Interrupted")


def worker_abort(worker):
    worker.log.info("Aborted")

import os

if os.environ.get("STATSD_HOST"):
    statsd_host = f"{os.environ['STATSD_HOST']}:8125"
else:
    statsd_prefix = "web"
try:
    from local_gunicorn import threads
except ImportError:
    threads = 4
workers = 2
workers += 2
keepalive = 60
graceful_timeout = 3 * 60
limit_request_line = 0
limit_request_fields = 0
limit_request_field_size = 65536


def post_fork(server, worker):
    from prometheus_client import multiprocess

    multiprocess.prepare(worker.pid)


def child_exit(server, worker):
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


worker_exit = lambda server, worker: None  # noqa: E731

"""A site in a container: everything that differs between stages comes from the environment."""

import os
from multiprocessing import cpu_count

bind = "0.0.0.0:" + os.getenv("PORT", "8000")
workers = int(os.environ.get("WEB_CONCURRENCY", cpu_count() * 2 + 1))
wsgi_app = "shop.wsgi:application"
accesslog = "-"
access_log_format = '%(h)s "%(r)s" %(s)s %(b)s %(D)s'
preload_app = True
worker_tmp_dir = "/dev/shm"
forwarded_allow_ips = "*"

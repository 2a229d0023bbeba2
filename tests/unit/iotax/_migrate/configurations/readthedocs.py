# Several addresses, a Unix socket among them, and logging by a dictionary.
bind = ["unix:/run/docs/web.sock", "127.0.0.1:8080", "[::1]:8080"]
backlog = 1024
workers = 8
worker_class = "sync"
umask = 0o007
user = "docs"
group = "www-data"
pidfile = "/run/docs/web.pid"
proc_name = "docs-web"
errorlog = "/var/log/docs/error.log"
accesslog = "/var/log/docs/access.log"
loglevel = "WARNING"
capture_output = True
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"level": "INFO", "handlers": ["console"]},
}

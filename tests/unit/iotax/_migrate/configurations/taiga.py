# Assigned twice on purpose: the last value counts.
timeout = 30
timeout = 60
bind, workers = "127.0.0.1:8001", 4
chdir = pythonpath = "/srv/taiga"
raw_env = ["DJANGO_SETTINGS_MODULE=settings.config", "LANG=en_US.UTF-8"]
daemon = False
reuse_port = True
secure_scheme_headers = {"X-SCHEME": "https"}
tmp_upload_dir = "/var/tmp"
max_requests: int = 3000
certfile = None

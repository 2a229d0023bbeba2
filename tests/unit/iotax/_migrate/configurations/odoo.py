# Generated for the accounting department
import multiprocessing

bind = "127.0.0.1:8069"
pidfile = ".gunicorn.pid"
workers = multiprocessing.cpu_count() * 2 + 1
timeout = 240
max_requests = 2000
proc_name = "erp_é"
reload = True
preload_app = True
reload_engine = "poll"
reload_extra_files = ["etc/erp.conf", "addons/*.xml"]
proxy_protocol = True
proxy_allow_ips = "10.0.0.0/8"
conf = {"db_host": "localhost"}

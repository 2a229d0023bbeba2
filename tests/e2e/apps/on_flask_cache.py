"""Flask-Caching with the cache that CACHE ("redis" or "memcached") names, on port CACHE_PORT.

/together waits until as many requests as there are threads are in it, then asks the cache.
"""

import os
import threading

from flask import Flask
from flask_caching import Cache

THREADS = 4
PORT = int(os.environ["CACHE_PORT"])
SETTINGS = {
    "redis": {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_HOST": "127.0.0.1",
        "CACHE_REDIS_PORT": PORT,
    },
    "memcached": {
        "CACHE_TYPE": "MemcachedCache",
        "CACHE_MEMCACHED_SERVERS": [f"127.0.0.1:{PORT}"],
    },
}

application = Flask(__name__)
cache = Cache(application, config=SETTINGS[os.environ["CACHE"]])
together = threading.Barrier(THREADS)


@application.get("/")
def alone():
    if cache.get("visits") is None:
        cache.set("visits", "known")
    return cache.get("visits")


@application.get("/together")
def in_each_thread():
    together.wait()
    return alone()

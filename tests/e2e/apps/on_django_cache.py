"""Django with the cache that CACHE ("redis" or "memcached") names, on port CACHE_PORT.

/together waits until as many requests as there are threads are in it, then asks the cache.
"""

import os
import threading

from django.conf import settings
from django.core.cache.backends.memcached import PyMemcacheCache

THREADS = 4
PORT = os.environ["CACHE_PORT"]


class Memcached(PyMemcacheCache):
    """Django closes the connections of its own caches after each request."""

    def close(self, **_):
        pass


BACKENDS = {
    "redis": ("django.core.cache.backends.redis.RedisCache", f"redis://127.0.0.1:{PORT}"),
    "memcached": (f"{__name__}.Memcached", f"127.0.0.1:{PORT}"),
}
BACKEND, LOCATION = BACKENDS[os.environ["CACHE"]]
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for the test",
    CACHES={"default": {"BACKEND": BACKEND, "LOCATION": LOCATION}},
)

from django.core.cache import cache  # noqa: E402  it needs the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

together = threading.Barrier(THREADS)


def alone(request):
    return HttpResponse(cache.get_or_set("visits", "known"))


def in_each_thread(request):
    together.wait()
    return alone(request)


urlpatterns = [path("", alone), path("together", in_each_thread)]
application = get_wsgi_application()

"""The same on Django."""

import django
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for the test",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.gzip.GZipMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup(set_prefix=False)


def index(request):
    return HttpResponse(f"<a href='/items'>items</a> {request.GET.get('name', 'nobody')}")


def items(request):
    return JsonResponse({"path": request.path, "agent": request.headers.get("User-Agent")})


def form(request):
    return HttpResponse(request.POST.get("name", ""))


def json(request):
    return HttpResponse(request.body, content_type="application/json")


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"visit {request.session['visits']}")


def file(request):
    return FileResponse(open(__file__, "rb"))


def stream(request):
    return StreamingHttpResponse(f"{n}\n" * 100 for n in range(20))


def moved(request):
    return redirect("index")


def nothing(request):
    return HttpResponse(status=204)


def forbidden(request):
    raise PermissionDenied


def broken(request):
    raise RuntimeError("shown as 500 by Django")


urlpatterns = [
    path("" if view is index else view.__name__, view, name=view.__name__)
    for view in (
        *(index, items, form, json, visits, file, stream, moved, nothing, forbidden),
        broken,
    )
]
app = WSGIHandler()

"""A page, JSON, a form with CSRF and an upload, a stream, a file, a session, a redirect."""

import hashlib
from pathlib import Path

from django.http import FileResponse, Http404, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

FILES = Path(__file__).resolve().parent / "files"


def index(request):
    return render(request, "index.html", {"greeting": "Write <something> nice."})


def data(request):
    return JsonResponse({"message": "Hello", "server": "iotaX"})


def sign(request):
    if request.method != "POST":
        return render(request, "sign.html")
    answer = {"name": request.POST["name"]}
    if file := request.FILES.get("file"):
        digest = hashlib.sha256()
        for block in file.chunks():
            digest.update(block)
        answer.update(filename=file.name, bytes=file.size, sha256=digest.hexdigest())
    return JsonResponse(answer)


def rows(request):
    count = int(request.GET.get("count", "1000"))
    lines = (f"{number},{number * number}\n" for number in range(count))
    return StreamingHttpResponse(lines, content_type="text/csv")


def static_file(request, name):
    """FileResponse goes out through wsgi.file_wrapper when the server offers one."""
    path = FILES / name
    if path.parent != FILES or not path.is_file():
        raise Http404(name)
    return FileResponse(path.open("rb"), filename=name)


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def moved(request):
    return redirect("index")


def where(request):
    """How the application sees the way that the request took."""
    return JsonResponse(
        {
            "url": request.build_absolute_uri(reverse("index")),
            "scheme": request.scheme,
            "host": request.get_host(),
            "client": request.META["REMOTE_ADDR"],
            "root": request.META["SCRIPT_NAME"],
        }
    )


def error(request):
    raise ValueError("the view is broken")

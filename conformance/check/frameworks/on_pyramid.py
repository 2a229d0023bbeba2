"""The same on Pyramid."""

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPForbidden, HTTPFound, HTTPNoContent
from pyramid.response import FileResponse, Response


def index(request):
    return Response(f"<a href='/items'>items</a> {request.GET.get('name', 'nobody')}")


def items(request):
    return {"path": request.path, "agent": request.user_agent}


def form(request):
    return Response(request.POST.get("name", ""))


def json(request):
    return request.json_body


def visits(request):
    count = int(request.cookies.get("visits", "0")) + 1
    response = Response(f"visit {count}")
    response.set_cookie("visits", str(count))
    return response


def file(request):
    return FileResponse(__file__, request=request, content_type="text/x-python")


def stream(request):
    return Response(app_iter=(f"{n}\n".encode() * 100 for n in range(20)))


def moved(request):
    return HTTPFound(request.route_url("index"))


def nothing(request):
    return HTTPNoContent()


def forbidden(request):
    return HTTPForbidden()


def no_utf_8(error, request):
    """Without this view, a path or query that is not valid UTF-8 is an error that is not caught."""
    return HTTPBadRequest()


with Configurator() as config:
    config.add_exception_view(no_utf_8, context=UnicodeDecodeError)
    for view in (index, items, form, json, visits, file, stream, moved, nothing, forbidden):
        name = view.__name__
        config.add_route(name, "/" if name == "index" else f"/{name}")
        renderer = "json" if name in ("items", "json") else None
        config.add_view(view, route_name=name, renderer=renderer)
    app = config.make_wsgi_app()

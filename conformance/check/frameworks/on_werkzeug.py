"""The same on Werkzeug alone."""

from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect, send_file
from werkzeug.wrappers import Request, Response

NAMES = ("items", "form", "json", "visits", "file", "stream", "moved", "nothing", "forbidden")
urls = Map([Rule("/", endpoint="index"), *(Rule(f"/{name}", endpoint=name) for name in NAMES)])


def answer(name, request):
    if name == "index":
        visitor = request.args.get("name", "nobody")
        return Response(f"<a href='/items'>items</a> {visitor}", mimetype="text/html")
    if name == "items":
        return Response(request.path)
    if name == "form":
        return Response(request.form.get("name", ""))
    if name == "json":
        return Response(str(request.get_json()))
    if name == "visits":
        response = Response("visit")
        response.set_cookie("visits", str(int(request.cookies.get("visits", "0")) + 1))
        return response
    if name == "file":
        return send_file(__file__, request.environ, mimetype="text/x-python")
    if name == "stream":
        return Response(f"{n}\n" * 100 for n in range(20))
    if name == "moved":
        return redirect(request.host_url)
    if name == "nothing":
        return Response(status=204, content_type="")
    return Forbidden()


@Request.application
def app(request):
    try:
        name, _ = urls.bind_to_environ(request.environ).match()
    except HTTPException as error:
        return error
    return answer(name, request)

"""The same on Falcon."""

import falcon


class Index:
    def on_get(self, req, resp):
        resp.content_type = falcon.MEDIA_HTML
        resp.text = f"<a href='/items'>items</a> {req.get_param('name') or 'nobody'}"


class Items:
    def on_get(self, req, resp):
        resp.media = {"path": req.path, "agent": req.user_agent}


class Echo:
    def on_post(self, req, resp):
        resp.media = req.get_media()


class Visits:
    def on_get(self, req, resp):
        count = int((req.get_cookie_values("visits") or ["0"])[0]) + 1
        resp.set_cookie("visits", str(count))
        resp.text = f"visit {count}"


class File:
    def on_get(self, req, resp):
        resp.stream = open(__file__, "rb")  # noqa: SIM115 closed by Falcon or the server
        resp.content_type = "text/x-python"


class Stream:
    def on_get(self, req, resp):
        resp.stream = (f"{n}\n".encode() * 100 for n in range(20))


class Moved:
    def on_get(self, req, resp):
        raise falcon.HTTPFound("/")


class Nothing:
    def on_get(self, req, resp):
        resp.status = falcon.HTTP_204


class Forbidden:
    def on_get(self, req, resp):
        raise falcon.HTTPForbidden


class Broken:
    def on_get(self, req, resp):
        raise RuntimeError("shown as 500 by Falcon")


app = falcon.App()
app.add_route("/", Index())
app.add_route("/items", Items())
app.add_route("/form", Echo())
app.add_route("/json", Echo())
app.add_route("/visits", Visits())
app.add_route("/file", File())
app.add_route("/stream", Stream())
app.add_route("/moved", Moved())
app.add_route("/nothing", Nothing())
app.add_route("/forbidden", Forbidden())
app.add_route("/broken", Broken())

"""Routes of frameworks, and links of pages."""

import subprocess
import sys

import flask
import pytest

from iotax._check.observe.blame import Trail
from iotax._check.observe.outcome import Outcome
from iotax._check.observe.record import Record
from iotax._check.play.routes import links_in, routes_of
from iotax._check.requests import RequestSpec

DJANGO = """
import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.urls import include, path, re_path

settings.configure(ROOT_URLCONF=__name__)
django.setup()
shop = [path("", None), path("list/", None), path("<int:id>/", None), re_path(r"^all$", None),
        re_path(r"^(?P<year>[0-9]+)/$", None)]
for one in shop:
    one.callback = print
urlpatterns = [path("", print), path("about/", print), path("shop/", include(shop)),
               path("<slug:user>/", include(shop))]
from iotax._check.play.routes import routes_of
print(*routes_of(WSGIHandler()))
"""


def test_routes_of_flask_are_those_with_get_and_without_parameters():
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=print)
    app.add_url_rule("/items", "items", print, methods=["GET", "POST"])
    app.add_url_rule("/send", "send", print, methods=["POST"])
    app.add_url_rule("/items/<int:id>", "item", print)

    assert routes_of(app) == ["/", "/items"]


def test_routes_are_found_inside_middleware():
    class Middleware:
        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            return self.app(environ, start_response)

    app = flask.Flask(__name__)
    app.add_url_rule("/inside", view_func=print)

    assert routes_of(Middleware(Middleware(app))) == ["/inside"]
    assert routes_of(Middleware(app.wsgi_app)) == ["/inside"]


def test_routes_of_django_are_those_without_parameters():
    source = DJANGO.replace('path("", None)', 'path("", print)').replace(", None)", ", print)")
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["/", "/about/", "/shop/", "/shop/all", "/shop/list/"]


def test_other_applications_have_no_routes():
    assert routes_of(lambda environ, start_response: []) == []


@pytest.mark.parametrize(
    ("kind", "body", "links"),
    [
        ("text/html", "<a href=next>", ["/shop/next"]),
        ("text/html; charset=utf-8", "<a href='/a?b=c#d'><a href='/a?b=c'>", ["/a?b=c"]),
        (
            "text/html",
            "<img src=/x.png><link href=/x.css><form action=/send>",
            ["/x.png", "/x.css"],
        ),
        ("text/html", "<a href=http://localhost/here><a href=//other.test/>", ["/here"]),
        ("text/html", "<a href=mailto:a@b><a href='javascript:x()'><a href='http://['>", []),
        ("text/html", "<a href='/a b'><a href='/\u00e9'>", []),
        ("text/plain", "<a href=/next>", []),
    ],
)
def test_links_stay_on_the_application(kind, body, links):
    call = Outcome(Record("GET /shop/", Trail()))
    call.fields, call.body = [("Content-Type", kind)], bytearray(body.encode())

    assert links_in(call, RequestSpec("GET", "/shop/")) == links


def test_a_redirect_is_a_link():
    call = Outcome(Record("GET /", Trail()))
    call.fields = [("Location", "/there")]

    assert links_in(call, RequestSpec("GET", "/")) == ["/there"]

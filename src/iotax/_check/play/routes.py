"""URLs of an application: the routes of its framework (Flask, Django), and the links of its pages.

Only routes without parameters, and only for GET.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from iotax._check.observe.outcome import Outcome
from iotax._check.observe.response_rules import values
from iotax._check.requests import HERE, RequestSpec

_INNER: Final = ("app", "application", "wsgi_app", "wrapped", "_app", "__wrapped__")
_LAYERS_MAX: Final = 10
_LINKS: Final = {"a": "href", "link": "href", "area": "href", "iframe": "src", "img": "src"}


def routes_of(application: object) -> list[str]:
    """Paths, sorted. The application may be wrapped by middleware that keeps it as an
    attribute."""
    found: set[str] = set()
    for layer in _layers(application):
        found |= set(_flask_routes(layer)) | set(_django_routes(layer))
    return sorted(found)


def _layers(application: object) -> Iterator[object]:
    layer: Any = application
    for _ in range(_LAYERS_MAX):
        yield layer
        holder = getattr(layer, "__self__", None)
        if holder is not None:
            yield holder
        inner = (getattr(layer, name, None) for name in _INNER)
        layer = next((one for one in inner if callable(one)), None)
        if layer is None:
            return


def _flask_routes(application: Any) -> Iterator[str]:
    """A werkzeug Map, as Flask keeps it in url_map."""
    iterate = getattr(getattr(application, "url_map", None), "iter_rules", None)
    if not callable(iterate):
        return
    for rule in iterate():
        methods = getattr(rule, "methods", None)
        if not rule.arguments and not rule.build_only and (methods is None or "GET" in methods):
            yield str(rule.rule)


def _django_routes(application: object) -> Iterator[str]:
    handler: Any = getattr(sys.modules.get("django.core.handlers.wsgi"), "WSGIHandler", None)
    if handler is None or not isinstance(application, handler):
        return
    from django.urls import get_resolver  # type: ignore[import-untyped,unused-ignore]

    yield from _patterns(get_resolver().url_patterns, "/")


def _patterns(patterns: Any, ahead: str) -> Iterator[str]:
    for pattern in patterns:
        part = _literal(pattern.pattern)
        if part is None:
            continue
        if hasattr(pattern, "url_patterns"):
            yield from _patterns(pattern.url_patterns, ahead + part)
        else:
            yield ahead + part


def _literal(pattern: Any) -> str | None:
    """The path that a path() without parameters matches, or a re_path() without metacharacters."""
    if getattr(pattern, "converters", None) or "<" in str(pattern):
        return None
    text = str(pattern)
    if type(pattern).__name__ == "RegexPattern":
        text = text.removeprefix("^").removesuffix("$").removesuffix(r"\Z")
        if any(character in text for character in r"\^$.|?*+()[]{}"):
            return None
    return text


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name == _LINKS.get(tag) and value]


def links_in(call: Outcome, spec: RequestSpec) -> list[str]:
    """Targets on the same application: of the links of an HTML page, and of a redirect."""
    texts = values(call, "location")
    if "html" in "".join(values(call, "content-type")):
        parser = _Links()
        parser.feed(bytes(call.body).decode("utf-8", "replace"))
        texts += parser.found
    found: dict[str, None] = {}
    for text in texts:
        try:
            url = urlsplit(urljoin(HERE + spec.target, text.strip()))
        except ValueError:
            continue
        if url.scheme == "http" and url.netloc == "localhost" and url.path.isascii():
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            if target.isprintable() and " " not in target:
                found[target] = None
    return list(found)

"""Which requests are sent: those that the user named, the routes of the application, and the links
of its pages.

Without a request of the user, nothing with effects is sent: routes and links get GET, HEAD and
OPTIONS only, and those that match a pattern to exclude get nothing.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from iotax._check.play.scenarios import scenarios_for
from iotax._check.requests import RequestSpec
from iotax._check.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")
_FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
_JSON = (("Content-Type", "application/json"),)
_BODIES = ((_FORM, b"name=iotax&text=a+b%26c"), (_JSON, b'{"name": "iotax", "text": "a b"}'))
WITH_BODY = ("POST", "PUT", "PATCH")
UNSAFE = (*WITH_BODY, "DELETE")


class Plan:
    """Requests, each once. `routes`: paths that the application's framework knows."""

    def __init__(self, settings: Settings, routes: Iterable[str]) -> None:
        self._settings = settings
        self._seen: set[RequestSpec] = set()
        self._crawled = 0
        self._waiting: list[RequestSpec] = []
        named = settings.paths
        for spec in named:
            self._add(spec, *_with_bodies(spec))
        for path in routes if named else dict.fromkeys(("/", *routes)):
            self._add_found(path)

    def __iter__(self) -> Iterator[RequestSpec]:
        """Includes requests that are added during the iteration."""
        while self._waiting:
            yield self._waiting.pop(0)

    def found(self, links: Iterable[str]) -> None:
        """Add links of a page, up to the limit of --crawl."""
        for target in links:
            if self._crawled < self._settings.crawl and self._add_found(target):
                self._crawled += 1

    @property
    def waiting(self) -> list[RequestSpec]:
        return list(self._waiting)

    def in_words(self) -> str:
        """The plan on one line."""
        methods = sorted({spec.method for spec in self._waiting})
        times = sum(len(scenarios_for(spec)) for spec in self._waiting)
        targets = {spec.target for spec in self._waiting}
        urls = "1 URL" if len(targets) == 1 else f"{len(targets)} URLs"
        more = f", and up to {self._settings.crawl} found in pages" if self._settings.crawl else ""
        ways = "1 way" if times == 1 else f"{times} ways"
        return f"sends {', '.join(methods)} to {urls}{more}, in {ways} (one or more requests each)"

    def _add(self, *specs: RequestSpec) -> bool:
        new = [spec for spec in specs if spec not in self._seen]
        self._seen.update(new)
        self._waiting += new
        return bool(new)

    def _add_found(self, target: str) -> bool:
        path = target.partition("?")[0]
        if any(
            fnmatchcase(target, one) or fnmatchcase(path, one) for one in self._settings.exclude
        ):
            return False
        specs = [RequestSpec(method, target) for method in SAFE]
        if self._settings.unsafe_methods:
            for method in UNSAFE:
                spec = RequestSpec(method, target)
                specs += [spec, *_with_bodies(spec)]
        return self._add(*specs)


def _with_bodies(spec: RequestSpec) -> Iterator[RequestSpec]:
    """If the method has a body and `spec` has none: a form, and JSON."""
    if spec.method in WITH_BODY and spec.body is None:
        for fields, body in _BODIES:
            kept = [field for field in spec.headers if field[0].lower() != "content-type"]
            yield RequestSpec(spec.method, spec.target, (*kept, *fields), body)

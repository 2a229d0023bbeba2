"""Fixtures that run one request through a bridge of its own."""

from collections.abc import Callable
from typing import Any

import pytest
from scripted_bridge import Answer, Bridge


@pytest.fixture
def ask() -> Callable[..., Answer]:
    """ask(app, **request) runs one request through a bridge of its own."""

    def one(app: Any, events: list[Any] | None = None, **request: Any) -> Answer:
        return Bridge(app).request(events, **request)

    return one


@pytest.fixture
def environ_of(ask: Callable[..., Answer]) -> Callable[..., dict[str, Any]]:
    """environ_of(**request) returns the environ of the application; `options` are the server's."""

    def one(options: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            seen.update(environ)
            start_response("200 OK", [])
            return []

        options = dict(options or {})
        answer = Bridge(app, **options).request(**request)
        assert answer.status == "200 OK", answer
        return seen

    return one

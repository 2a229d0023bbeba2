"""The error page, which is served while the code is broken."""

import re
from typing import Any

import pytest

from iotax._reload.error_page import ERROR_FIELD, ErrorPage

TEXT = 'Cannot load the application main:app\n\n  x = "<b>&\nProblem: NameError: ä \udcff'


def ask(page: ErrorPage, **environ: str) -> tuple[str, dict[str, str], bytes]:
    started: list[Any] = []
    asked = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/x", **environ}
    body = b"".join(page(asked, lambda status, fields: started.extend([status, dict(fields)])))
    return started[0], started[1], body


def test_clients_other_than_browsers_get_plain_text() -> None:
    status, fields, body = ask(ErrorPage(TEXT), HTTP_ACCEPT="*/*")
    assert status == "503 Service Unavailable"
    assert fields["Content-Type"] == "text/plain; charset=utf-8"
    assert fields["Cache-Control"] == "no-store"
    assert fields["Content-Length"] == str(len(body))
    assert body.decode() == TEXT.replace("\udcff", "\\udcff") + "\n"


def test_browsers_get_a_page_with_everything_escaped() -> None:
    status, fields, body = ask(ErrorPage(TEXT), HTTP_ACCEPT="text/html,*/*;q=0.8")
    text = body.decode()
    assert status == "503 Service Unavailable"
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    assert "<title>Cannot load the application main:app</title>" in text
    assert "x = &quot;&lt;b&gt;&amp;" in text
    assert "<b>" not in text
    assert not re.search(r'(src|href)="', text)  # self-contained


def test_the_page_detects_a_different_error() -> None:
    one, same, other = ErrorPage(TEXT), ErrorPage(TEXT), ErrorPage(TEXT + "!")
    assert ask(one)[1][ERROR_FIELD] == one.error == same.error != other.error
    assert f'error = "{one.error}"' in ask(one, HTTP_ACCEPT="text/html")[2].decode()


@pytest.mark.parametrize(("field", "told"), [("HTTP_X_IOTAX_ERROR", []), ("HTTP_X", ["GET /x"])])
def test_polls_of_the_page_are_not_logged(field: str, told: list[str]) -> None:
    lines: list[str] = []
    ask(ErrorPage(TEXT, lines.append), **{field: "1"})
    assert lines == told

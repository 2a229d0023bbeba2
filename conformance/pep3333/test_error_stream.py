"""Input and Error Streams, the errors: S-ERR, S-ENV-28. The log is standard error; of another
server, only if it writes the text of wsgi.errors there."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from applications import TEXT, Applications, stay
from served import Served
from support.wire import OTHER

applications = Applications()

# A prefix of the text in the log. Another server may write one.
LINE = "" if OTHER else "^"


@applications.add
def all_methods(environ: Any, start_response: Any) -> list[bytes]:
    errors = environ["wsgi.errors"]
    errors.write("by write\n")
    errors.writelines(["by writelines 1\n", "by writelines 2\n"])
    errors.writelines(f"by a generator {number}\n" for number in range(2))
    errors.write("unfinished")
    errors.flush()
    print("printed", file=errors)
    errors.flush()
    start_response("200 OK", [TEXT])
    return [b"x"]


@pytest.mark.obligation("S-ENV-28", "S-ERR-05")
def test_written_text_is_in_the_log_in_order(served: Served) -> None:
    assert served.ask("/all_methods").status == 200
    texts = ["by write", "by writelines 1", "by writelines 2", "by a generator 0"]
    texts += ["by a generator 1", "unfinished"]
    served.server.err.wait_for("printed$")
    places = [served.server.err.wait_for(f"{LINE}{text}").start() for text in texts]
    assert places == sorted(places)


@applications.add
def two_lines(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi.errors"].write("line a\nline b\n")
    environ["wsgi.errors"].write("not terminated")
    start_response("200 OK", [TEXT])
    return [b"x"]


@pytest.mark.obligation("S-ERR-01")
def test_a_newline_ends_a_line_of_the_log(served: Served) -> None:
    for _ in range(2):
        assert served.ask("/two_lines").status == 200
    served.server.err.wait_for(f"{LINE}not terminated$", 2)
    text = served.server.err.text
    lines = [line for line in text.split("\n") if re.search("line [ab]|not term", line)]
    assert [re.sub(LINE, "", line) for line in lines] == ["line a", "line b", "not terminated"] * 2
    assert "\r" not in text


@applications.add
def any_text(environ: Any, start_response: Any) -> list[bytes]:
    errors = environ["wsgi.errors"]
    errors.write("\u20ac \U0001f600 caf\xe9 \udc80 end of any text\n")
    errors.writelines(["\u20ac\n", "\udcff\n"])
    start_response("200 OK", [TEXT])
    return [b"x"]


@pytest.mark.obligation("S-ERR-02")
@pytest.mark.parametrize("language", ["C", "C.UTF-8"])
def test_any_text_can_be_written(serve: Callable[..., Served], language: str) -> None:
    names = {"LANG": language, "LC_ALL": language, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    served = serve(f"{__name__}:applications", env=names)
    assert served.ask("/any_text").status == 200
    served.server.err.wait_for(f"{LINE}.*end of any text$")


@applications.add
def stays_after_flush(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi.errors"].write("before the flush")
    environ["wsgi.errors"].flush()
    stay()
    start_response("200 OK", [TEXT])
    return [b"x"]


@pytest.mark.obligation("S-ERR-06")
def test_flushed_text_appears_during_the_request(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/stays_after_flush")
        served.wait_until_it_stays()
        served.server.err.wait_for(f"{LINE}before the flush$")
        served.let_go()
        assert connection.answer().status == 200

"""The start_response() Callable: S-SR, S-UNI-03."""

import gc
import re
import sys
import traceback
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from applications import TEXT, Applications, parameter, started, stay, tell
from served import Served
from support.wire import OTHER

applications = Applications()


def exc_info_of(error: BaseException) -> Any:
    try:
        raise error
    except type(error):
        return sys.exc_info()


# ---- its arguments

ACCEPTED: dict[str, Callable[[], tuple[Any, ...]]] = {
    "two": lambda: (),
    "three, the third None": lambda: (None,),
    "three": lambda: (exc_info_of(ValueError("x")),),
}


@applications.add
def accepted(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT], *list(ACCEPTED.values())[parameter(environ)]())
    return [b"x"]


@pytest.mark.obligation("S-SR-02")
@pytest.mark.parametrize("number", range(len(ACCEPTED)), ids=list(ACCEPTED))
def test_two_or_three_arguments_are_accepted(served: Served, number: int) -> None:
    answer = served.ask(f"/accepted?{number}")
    assert (answer.status, answer.body) == (200, b"x")


@applications.add
def refused(environ: Any, start_response: Any) -> list[bytes]:
    """Calls with arguments that are rejected, and passes on the result."""
    try:
        start_response(*REFUSED[parameter(environ)])
    except Exception as error:
        tell("raised", type=type(error).__name__, text=str(error))
        raise
    tell("returned")
    return [b"x"]


HTTP_ERROR = rb"HTTP/1\.[01] 500 "
REFUSED: list[tuple[Any, ...]] = []


def refusals(*arguments: tuple[Any, ...]) -> pytest.MarkDecorator:
    """Parametrize with the indices of these arguments in REFUSED."""
    first = len(REFUSED)
    REFUSED.extend(arguments)
    names = [re.sub(" object at 0x[0-9a-f]+", "", ascii(given)) for given in arguments]
    return pytest.mark.parametrize("number", range(first, len(REFUSED)), ids=names)


def raised_by(served: Served, number: int, kinds: str, words: str = "") -> bytes:
    """The response after start_response raised. The exception of iotax is one of `kinds`, and
    its text contains `words`."""
    path = f"/refused?{number}"
    data = served.exchange(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    (event,) = served.events()
    assert event["event"] == "raised"
    assert re.match(HTTP_ERROR, data)
    assert len(re.findall(rb"HTTP/1\.[01] \d", data)) == 1
    served.logged(path, event["type"])
    if not OTHER:
        assert event["type"] in kinds.split()
        assert words in event["text"]
    return data


@pytest.mark.obligation("S-SR-02")
@refusals((), ("200 OK",), ("200 OK", [TEXT], None, None))
def test_another_number_of_arguments_is_a_type_error(served: Served, number: int) -> None:
    raised_by(served, number, "TypeError")


@pytest.mark.obligation("S-SR-06")
@refusals(
    (200, []),
    (b"200 OK", []),
    (None, []),
    ("", []),
    ("200OK", []),
    ("abc def", []),
    ("20", []),
    (" 200 OK", []),
)
def test_an_invalid_status_is_rejected(served: Served, number: int) -> None:
    raised_by(served, number, "TypeError ValueError", "status")


@pytest.mark.obligation("S-SR-06", "B-SR-02")
@refusals(("99 Low", []), ("1000 High", []))
def test_a_status_with_an_invalid_code_is_rejected(served: Served, number: int) -> None:
    raised_by(served, number, "ValueError", "status")


@pytest.mark.obligation("S-SR-06", "B-SR-04")
@refusals(("200 OK\r\nX-Inj: 1", []), ("200 OK\n", []), ("200 O\x01K", []), ("200 O\x7fK", []))
def test_control_characters_in_the_status_are_rejected(served: Served, number: int) -> None:
    assert b"X-Inj" not in raised_by(served, number, "ValueError", "status")


@pytest.mark.obligation("S-SR-06", "S-UNI-03")
@refusals(("200 \u20ac", []))
def test_a_status_outside_latin_1_is_rejected(served: Served, number: int) -> None:
    assert b"\xe2\x82\xac" not in raised_by(served, number, "ValueError", "Latin-1")


@pytest.mark.obligation("S-UNI-03", "B-SR-03")
@refusals(
    ("200 OK", [("X-Name", "\u20ac")]),
    ("200 OK", [("X-\u20ac", "value")]),
    ("200 OK", [("X-Name", "\udc80")]),
)
def test_a_header_outside_latin_1_is_rejected(served: Served, number: int) -> None:
    assert b"\xe2\x82\xac" not in raised_by(served, number, "ValueError", "Latin-1")


@pytest.mark.obligation("S-SR-08")
@refusals(
    ("200 OK", (TEXT,)),
    ("200 OK", iter([TEXT])),
    ("200 OK", [list(TEXT)]),
    ("200 OK", [(*TEXT, "more")]),
    ("200 OK", [("Content-Type",)]),
    ("200 OK", ["AB"]),
    ("200 OK", dict([TEXT])),
    ("200 OK", None),
)
def test_headers_are_a_list_of_pairs(served: Served, number: int) -> None:
    raised_by(served, number, "TypeError")


@pytest.mark.obligation("S-SR-10", "B-SR-04")
@refusals(
    *[("200 OK", [("X-Name", f"bad{c}value")]) for c in ("\r", "\n", "\r\n", "\0", "\x01", "\x7f")]
)
def test_control_characters_in_values_are_rejected(served: Served, number: int) -> None:
    assert b"bad" not in raised_by(served, number, "ValueError")


@pytest.mark.obligation("S-SR-10")
@refusals(
    *[
        ("200 OK", [(name, "bad")])
        for name in ("", "X A", "X-A:", "X\r\nY", "X-\xe9", "X\0", "(x)")
    ],
    *[("200 OK", [pair]) for pair in ((b"X-Name", "bad"), ("X-Name", b"bad"))],
    *[("200 OK", [pair]) for pair in (("X-Name", 5), ("X-Name", None), (None, "bad"))],
)
def test_invalid_names_and_values_are_rejected(served: Served, number: int) -> None:
    assert b"bad" not in raised_by(served, number, "TypeError ValueError")


@pytest.mark.obligation("S-SR-13", "B-SR-07")
@refusals(("200 OK", [("Transfer-Encoding", "chunked")]))
def test_transfer_encoding_is_rejected(served: Served, number: int) -> None:
    raised_by(served, number, "ValueError", "hop-by-hop")


@pytest.mark.obligation("S-SR-13", "B-SR-09")
@refusals(("200 OK", [("Upgrade", "websocket")]))
def test_upgrade_is_rejected(served: Served, number: int) -> None:
    raised_by(served, number, "ValueError", "hop-by-hop")


@pytest.mark.obligation("S-SR-13")
@refusals(
    ("200 OK", [("Connection", "close")]),
    ("200 OK", [("Keep-Alive", "timeout=5")]),
    ("200 OK", [("Proxy-Authenticate", "Basic")]),
    ("200 OK", [("Proxy-Authorization", "Basic")]),
    ("200 OK", [("TE", "trailers")]),
    ("200 OK", [("Trailer", "X-Name")]),
)
def test_a_hop_by_hop_header_is_rejected(served: Served, number: int) -> None:
    raised_by(served, number, "ValueError", "hop-by-hop")


SPELT = ["Keep-Alive", "keep-alive", "KEEP-ALIVE", "kEEP-aLIVE"]


@applications.add
def spelt(environ: Any, start_response: Any) -> list[bytes]:
    return refused_or_not(start_response, [(SPELT[parameter(environ)], "spelt")])


def refused_or_not(start_response: Any, headers: Any) -> list[bytes]:
    try:
        start_response("200 OK", headers)
    except Exception:
        tell("raised")
        raise
    tell("returned")
    return [b"x"]


@pytest.mark.obligation("S-SR-12")
def test_hop_by_hop_headers_are_found_in_any_case(served: Served) -> None:
    """The same treatment for each spelling."""
    found = []
    for number in range(len(SPELT)):
        path = f"/spelt?{number}"
        data = served.exchange(
            f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
        )
        found.append((served.told(), b"spelt" in data))
    assert found == [found[0]] * len(SPELT)
    assert OTHER or found[0] == (["raised"], False)


@pytest.mark.obligation("S-CL-05", "B-SR-12")
@refusals(
    *[("200 OK", [("Content-Length", value)]) for value in ("abc", "-1", "+3", "3.0", "", "3, 3")],
    ("200 OK", [("Content-Length", "3"), ("Content-Length", "2")]),
    ("200 OK", [("Content-Length", "3"), ("content-length", "2")]),
)
def test_an_invalid_content_length_is_rejected(served: Served, number: int) -> None:
    raised_by(served, number, "ValueError", "Content-Length")


LENGTHS = [
    [("Content-Length", "3"), ("Content-Length", "3")],
    [("Content-Length", " 3 ")],
    [("Content-Length", "3"), ("content-length", "\t3")],
]


@applications.add
def length_as_written(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", LENGTHS[parameter(environ)])
    return [b"abc"]


@applications.add
def with_blanks(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("X-Name", " \t value \t")])
    return [b"x"]


@pytest.mark.obligation("B-SR-05")
def test_blanks_around_a_value_are_trimmed(served: Served) -> None:
    data = served.exchange(b"GET /with_blanks HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"\r\nx-name: value\r\n" in data.lower()


@pytest.mark.obligation("S-CL-05", "B-SR-12")
@pytest.mark.parametrize("number", range(len(LENGTHS)))
def test_equal_lengths_and_outer_blanks_are_normalized(served: Served, number: int) -> None:
    answer = served.ask(f"/length_as_written?{number}")
    assert (answer.get("Content-Length"), answer.body) == ("3", b"abc")


STATUSES = ["200", "200 ", "404", "599", "299 caf\xe9", "404 Gone Fishing"]


@applications.add
def status(environ: Any, start_response: Any) -> list[bytes]:
    start_response(STATUSES[parameter(environ)], [TEXT])
    return [b"x"]


@pytest.mark.obligation("S-SR-07", "B-SR-01")
@pytest.mark.parametrize("number", range(len(STATUSES)), ids=[ascii(one) for one in STATUSES])
def test_the_status_line_is_valid_with_and_without_a_reason(served: Served, number: int) -> None:
    data = served.exchange(
        b"GET /status?%d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % number
    )
    line = data.partition(b"\r\n")[0].decode("latin-1")
    code, _, reason = STATUSES[number].partition(" ")
    assert line.startswith(f"HTTP/1.1 {code} ")
    if reason:
        assert line == f"HTTP/1.1 {code} {reason}"


@applications.add
def latin_1(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("X-Name", "caf\xe9")])
    return [b"x"]


@pytest.mark.obligation("S-UNI-03")
def test_a_latin_1_character_is_one_byte(served: Served) -> None:
    data = served.exchange(b"GET /latin_1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"\r\nx-name: caf\xe9\r\n" in data.lower()


@applications.add
def changes_the_list(_environ: Any, start_response: Any) -> list[bytes]:
    headers = [("X-First", "1" * 40), ("X-Second", "2" * 40)]
    start_response("200 OK", headers)
    tell("headers", value=headers)
    headers[:] = [("X-Third", "3")]
    gc.collect()
    return [b"x"]


@pytest.mark.obligation("S-SR-09")
def test_the_list_is_copied_and_not_changed(served: Served) -> None:
    answer = served.ask("/changes_the_list")
    assert (answer.get("X-First"), answer.get("X-Second")) == ("1" * 40, "2" * 40)
    assert answer.get("X-Third") is None
    (event,) = served.events()
    assert event["value"] == [["X-First", "1" * 40], ["X-Second", "2" * 40]]


# ---- what the server adds

FRAMED = [[], [("Content-Length", "1")]]
IMF_FIXDATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"


@applications.add
@started
def only_content_type(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield b"x"


@pytest.mark.obligation("S-SR-11")
@pytest.mark.parametrize(
    ("version", "framing"), [("1.1", b"transfer-encoding: chunked"), ("1.0", b"connection: close")]
)
def test_what_http_requires_is_added(served: Served, version: str, framing: bytes) -> None:
    data = served.exchange(
        f"GET /only_content_type HTTP/{version}\r\nHost: h\r\n"
        f"{'Connection: close' if version == '1.1' else 'X: y'}\r\n\r\n".encode()
    )
    lines = [line.lower() for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")]
    (date,) = [line for line in lines if line.startswith(b"date:")]
    assert re.fullmatch(rf"Date: {IMF_FIXDATE}", date.decode(), re.IGNORECASE)
    if not OTHER or version == "1.1":  # for HTTP/1.0 the end of the connection needs no header
        framed = (framing, b"content-length: 1", b"connection: close") if OTHER else (framing,)
        assert any(line in lines for line in framed)
    chunked = b"transfer-encoding: chunked" in lines
    assert (data[-1:] == b"x") is not chunked, "the body is framed as it is announced"


@applications.add
def own_date_and_server(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("dAtE", "Thu, 01 Jan 1970 00:00:00 GMT"), ("SERVER", "own/1")])
    return [b"x"]


@pytest.mark.obligation("S-SR-11", "S-SR-12")
def test_date_and_server_never_come_twice(served: Served) -> None:
    names = [name.lower() for name, _ in served.ask("/own_date_and_server").fields]
    assert (names.count("date"), names.count("server")) == (1, 1)


@pytest.mark.obligation("S-HTTP-01", "B-SR-10")
def test_the_application_s_own_date_and_server_stand(served: Served) -> None:
    answer = served.ask("/own_date_and_server")
    assert answer.get("Date") == "Thu, 01 Jan 1970 00:00:00 GMT"  # get(): there is one
    assert answer.get("Server") == "own/1"


SPELLINGS = ["content-length", "CONTENT-LENGTH", "Content-Length"]


@applications.add
@started
def spelled_length(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [(SPELLINGS[parameter(environ)], "3")])
    yield b"abc"


@pytest.mark.obligation("S-SR-12")
@pytest.mark.parametrize("number", range(len(SPELLINGS)), ids=SPELLINGS)
def test_a_length_counts_in_any_case(served: Served, number: int) -> None:
    answer = served.ask(f"/spelled_length?{number}")
    assert (answer.get("Content-Length"), answer.body) == ("3", b"abc")
    assert answer.get("Transfer-Encoding") is None


# ---- when the head is sent


@applications.add
def stays_before_its_first_block(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    stay()
    return [b"x"]


@pytest.mark.obligation("S-SR-14")
def test_start_response_sends_nothing(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/stays_before_its_first_block")
        served.wait_until_it_stays()
        # Bytes that it had sent would have arrived before the event.
        assert connection.is_silent()
        served.let_go()
        assert connection.answer().body == b"x"


@applications.add
@started
def changes_its_mind(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("X-One", "1"), ("Content-Length", "99")])
    yield b""
    stay()
    start_response("500 X", [TEXT, ("X-Two", "2")], exc_info_of(ValueError("x")))
    yield b"errbody"


@pytest.mark.obligation("S-SR-15")
def test_an_empty_block_sends_nothing_and_the_head_can_be_replaced(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/changes_its_mind")
        served.wait_until_it_stays()
        assert connection.is_silent()
        served.let_go()
        answer = connection.answer()
    assert (answer.status, answer.body) == (500, b"errbody")
    assert (answer.get("X-One"), answer.get("X-Two")) == (None, "2")
    assert answer.get("Content-Length") in (None, "7")
    assert answer.complete


@applications.add
def changes_its_mind_at_once(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("X-One", "1"), ("Content-Length", "99")])
    start_response("500 X", [TEXT, ("X-Two", "2")], exc_info_of(ValueError("x")))
    return [b"errbody"]


@pytest.mark.obligation("S-SR-17", "B-OUT-23")
def test_the_head_is_replaced_completely(served: Served) -> None:
    answer = served.ask("/changes_its_mind_at_once")
    assert (answer.status, answer.body, answer.complete) == (500, b"errbody", True)
    assert (answer.get("X-One"), answer.get("X-Two")) == (None, "2")


@applications.add
@started
def only_empty_blocks(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("202 Accepted", [("X-Name", "value")])
    yield b""
    yield b""


@pytest.mark.obligation("S-SR-15")
def test_the_head_goes_out_at_the_end_of_an_empty_iteration(served: Served) -> None:
    answer = served.ask("/only_empty_blocks")
    assert (answer.status, answer.get("X-Name"), answer.body) == (202, "value", b"")
    assert answer.complete


@applications.add
def lazy(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("201 Created", [("X-Lazy", "1")])
    yield b"x"


@applications.add
def lazier(_environ: Any, start_response: Any) -> Iterable[bytes]:
    yield b""
    yield b""
    start_response("201 Created", [("X-Lazy", "1")])
    yield b"x"


@pytest.mark.obligation("S-SR-04")
@pytest.mark.parametrize("name", ["lazy", "lazier"])
def test_start_response_may_be_called_while_iterating(served: Served, name: str) -> None:
    answer = served.ask(f"/{name}")
    assert (answer.status, answer.get("X-Lazy"), answer.body) == (201, "1", b"x")


# ---- further calls


@applications.add
def writes_an_error_page(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    write = start_response("500 X", [TEXT], exc_info_of(ValueError("x")))
    write(b"err")
    return []


@pytest.mark.obligation("S-SR-05")
def test_the_repeated_call_returns_write_too(served: Served) -> None:
    answer = served.ask("/writes_an_error_page")
    assert (answer.status, answer.body) == (500, b"err")


def raising_deep_inside() -> None:
    raise ValueError("boom")


@applications.add
@started
def too_late(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield b"partial"
    try:
        raising_deep_inside()
    except ValueError as boom:
        try:
            start_response("500 X", [TEXT], sys.exc_info())
        except BaseException as error:
            frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            tell("raised", same=error is boom, frames=frames)
            raise
    tell("returned")


@pytest.mark.obligation("S-SR-18", "S-SR-19")
def test_after_the_head_the_exception_is_raised_again(served: Served) -> None:
    answer = served.ask("/too_late")
    (event,) = served.events()
    assert (event["event"], event["same"]) == ("raised", True)
    assert "raising_deep_inside" in event["frames"]
    assert (answer.status, answer.body, answer.complete) == (200, b"partial", False)
    served.logged("/too_late", "ValueError: boom")


SECOND = [(), (None,)]


@applications.add
def calls_twice(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT, ("X-Call", "first")])
    try:
        start_response("201 Created", [("X-Call", "second")], *SECOND[parameter(environ)])
    except Exception as error:
        tell("raised", type=type(error).__name__)
    else:
        tell("returned")
    return [b"x"]


@pytest.mark.obligation("S-SR-22")
def test_none_is_the_same_as_nothing(served: Served) -> None:
    found = []
    for path in ("/accepted?0", "/accepted?1", "/calls_twice?0", "/calls_twice?1"):
        answer = served.ask(path)
        found.append((answer.status, answer.get("X-Call"), answer.body, served.told()))
    assert found[0] == found[1]
    assert found[2] == found[3]


@pytest.mark.obligation("S-SR-20", "B-OUT-23")
@pytest.mark.parametrize("number", range(len(SECOND)))
def test_a_second_call_is_rejected_and_the_first_counts(served: Served, number: int) -> None:
    answer = served.ask(f"/calls_twice?{number}")
    assert served.told() == ["raised"]
    assert (answer.status, answer.get("X-Call"), answer.body) == (200, "first", b"x")


@applications.add
def calls_again_after_a_refusal(_environ: Any, start_response: Any) -> list[bytes]:
    for headers in ([("X-Name", 5)], [("X-Call", "second")]):
        try:
            start_response("200 OK", headers)
        except Exception as error:
            tell("raised", type=type(error).__name__)
        else:
            tell("returned")
    return [b"x"]


@pytest.mark.obligation("S-SR-20")
def test_after_a_call_that_failed_a_second_one_is_rejected_too(served: Served) -> None:
    answer = served.ask("/calls_again_after_a_refusal")
    assert served.told() == ["raised", "raised"]
    assert (answer.status, answer.get("X-Call")) == (500, None)


class Local:
    pass


@applications.add
def watches_a_local(_environ: Any, start_response: Any) -> list[bytes]:
    def failing() -> None:
        local = Local()
        references.append(weakref.ref(local))
        raise ValueError

    references: list[weakref.ref[Local]] = []
    gc.disable()
    start_response("200 OK", [TEXT])
    try:
        failing()
    except ValueError:
        start_response("500 X", [TEXT], sys.exc_info())
    tell("after the call", alive=references[0]() is not None)
    gc.enable()
    return [b"x"]


@pytest.mark.obligation("S-SR-21")
def test_no_reference_to_exc_info_is_kept(served: Served) -> None:
    assert served.ask("/watches_a_local").status == 500
    assert served.events() == [{"event": "after the call", "alive": False}]


@applications.add
@started
def announces_nothing(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "0")])
    yield b""


@pytest.mark.obligation("S-SR-16")
def test_a_response_of_length_0_is_complete(served: Served) -> None:
    with served.connect() as connection:
        for _ in range(2):
            answer = connection.ask("/announces_nothing")
            assert (answer.get("Content-Length"), answer.body, answer.complete) == ("0", b"", True)

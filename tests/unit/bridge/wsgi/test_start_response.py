"""start_response and write (S-SR, S-CL-03, S-CL-05, S-WR, S-UNI-03; beyond 4)."""

import gc
import sys
import traceback
import weakref
from typing import Any

import pytest
from scripted_bridge import Bridge

TEXT = [("Content-Type", "text/plain")]


def refused(ask: Any, *arguments: Any) -> tuple[BaseException, Any]:
    """The exception of start_response for `arguments`, and the response if the application lets it
    pass."""
    raised: list[BaseException] = []

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        try:
            start_response(*arguments)
        except Exception as error:
            raised.append(error)
            raise
        return [b"x"]

    answer = ask(app)
    assert answer.failed, "a rejected head gives a 500"
    assert len(answer.errors()) == 1
    (error,) = raised
    return error, answer


def test_s_sr_02_two_or_three_arguments(ask: Any) -> None:
    for more in ((), (None,)):
        assert ask(lambda _, sr, more=more: [sr("200 OK", TEXT, *more) and b"x"]).status == "200 OK"
    for arguments in ((), ("200 OK",), ("200 OK", TEXT, None, None)):
        assert isinstance(refused(ask, *arguments)[0], TypeError)


def test_exc_info_by_name(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        try:
            raise ValueError
        except ValueError:
            start_response("500 X", TEXT, exc_info=sys.exc_info())
        return [b"x"]

    assert ask(app).status == "500 X"
    assert ask(lambda _, sr: [sr("200 OK", TEXT, exc_info=None) and b"x"]).status == "200 OK"
    answer = ask(lambda _, sr: [sr("200 OK", TEXT, other=None) and b"x"])
    assert "no argument 'other'" in answer.errors()[0]


def test_exc_info_of_another_form_is_rejected(ask: Any) -> None:
    for wrong in (ValueError(), (ValueError, ValueError()), [None, None, None]):
        assert isinstance(refused(ask, "200 OK", TEXT, wrong)[0], TypeError)


def test_s_sr_03_s_wr_03_written_blocks_come_before_yielded_ones(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"w1")
        write(b"w2")
        return [b"i1", b"i2"]

    answer = ask(app)
    assert answer.body == b"w1w2i1i2"
    assert answer.kinds == [
        "respond",
        "body",
        "deliver",
        "body",
        "deliver",
        "body",
        "body",
        "finish",
    ]
    assert answer.content_bytes is None


def test_s_wr_01_a_block_is_delivered_when_write_returns(ask: Any) -> None:
    events: list[Any] = []

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        events.append(("app", "called"))
        assert write(b"w1") is None
        events.append(("app", "written"))
        return []

    assert ask(app, events).kinds == ["app", "respond", "body", "deliver", "app", "finish"]


@pytest.mark.parametrize("data", ["x", bytearray(b"x"), memoryview(b"x"), None, 5])
def test_s_wr_01_only_bytes_are_written(ask: Any, data: Any) -> None:
    answer = ask(lambda _, sr: [sr("200 OK", TEXT)(data)])
    assert answer.failed
    assert "write() takes bytes" in answer.errors()[0]


@pytest.mark.parametrize("arguments", [(), (b"a", b"b")])
def test_write_takes_one_argument(ask: Any, arguments: Any) -> None:
    assert ask(lambda _, sr: [sr("200 OK", TEXT)(*arguments)]).failed
    assert ask(lambda _, sr: [sr("200 OK", TEXT)(data=b"a")]).failed


def test_s_wr_02_error_page_is_possible_after_an_empty_write(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)(b"")
        try:
            raise ValueError
        except ValueError:
            start_response("500 X", TEXT, sys.exc_info())
        return [b"page"]

    answer = ask(app)
    assert (answer.status, answer.body) == ("500 X", b"page")


def test_s_wr_02_a_kept_write_does_not_reach_the_next_request() -> None:
    kept: list[Any] = []
    errors: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        for write in kept:
            with pytest.raises(RuntimeError) as caught:
                write(b"late")
            errors.append(str(caught.value))
        kept.append(start_response("200 OK", TEXT))
        return [environ["PATH_INFO"].encode()]

    bridge = Bridge(app)
    assert [bridge.request(target=f"/{number}").body for number in range(3)] == [
        b"/0",
        b"/1",
        b"/2",
    ]
    assert len(errors) == 3
    with pytest.raises(RuntimeError, match="write was used after its request had ended"):
        kept[-1](b"late")


def test_beyond_5_11_a_kept_start_response_raises() -> None:
    kept: list[Any] = []

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        kept.append(start_response)
        start_response("200 OK", TEXT)
        return []

    bridge = Bridge(app)
    bridge.request()
    bridge.request()
    assert kept[0] is not kept[1]
    for start_response in kept:
        with pytest.raises(
            RuntimeError, match="start_response was used after its request had ended"
        ):
            start_response("200 OK", TEXT)


def test_s_sr_04_15_start_response_may_come_during_iteration(ask: Any) -> None:
    def first(_environ: Any, start_response: Any) -> Any:
        start_response("201 Created", [("X-Lazy", "1")])
        yield b"x"

    def later(_environ: Any, start_response: Any) -> Any:
        yield b""
        yield b""
        start_response("201 Created", [("X-Lazy", "1")])
        yield b"x"

    for app in (first, later):
        answer = ask(app)
        assert (answer.status, answer.fields, answer.body) == (
            "201 Created",
            [(b"X-Lazy", b"1")],
            b"x",
        )


@pytest.mark.parametrize(
    "status",
    [
        200,
        b"200 OK",
        "200OK",
        "abc def",
        "99 Low",
        "1000 High",
        " 200 OK",
        "200 OK\r\nX-Inj: 1",
        "200 OK\n",
        "200 O\x01K",
        "200 \x7f",
        "",
        "20",
        None,
    ],
)
def test_s_sr_06_an_invalid_status_is_rejected(ask: Any, status: Any) -> None:
    error, answer = refused(ask, status, TEXT)
    assert isinstance(error, (TypeError, ValueError))
    assert "status" in str(error)
    assert "'200 OK'" in str(error) or "control" in str(error)
    assert not answer.of("respond")


@pytest.mark.parametrize("status", ["200", "200 ", "404 Not Found", "299 caf\xe9", "999 X"])
def test_s_sr_07_other_forms_are_accepted(ask: Any, status: str) -> None:
    assert ask(lambda _, sr: [sr(status, []) and b"x"]).status == status


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints", "199 X"])
def test_beyond_4_11_an_interim_status_points_to_early_hints(ask: Any, status: str) -> None:
    assert "early_hints" in str(refused(ask, status, [])[0])


@pytest.mark.parametrize(
    "headers",
    [tuple(TEXT), iter(TEXT), [["A", "b"]], [("A", "b", "c")], [("A",)], None, {"A": "b"}, ["AB"]],
)
def test_s_sr_08_headers_are_a_list_of_pairs(ask: Any, headers: Any) -> None:
    error, _ = refused(ask, "200 OK", headers)
    assert isinstance(error, TypeError)
    assert "tuple" in str(error)


def test_s_sr_09_later_changes_of_the_list_change_nothing(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        headers = [("X-A", "1" * 40), ("X-B", "2" * 40)]
        start_response("200 OK", headers)
        headers.clear()
        headers.extend([("X-\r\n", "y")] * 50)
        gc.collect()
        return [b"x"]

    assert ask(app).fields == [(b"X-A", b"1" * 40), (b"X-B", b"2" * 40)]


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nb", "a\0b", "a\x01b", "a\x7fb", "\x1f"])
def test_s_sr_10_control_characters_in_values_are_rejected(ask: Any, value: str) -> None:
    error, _ = refused(ask, "200 OK", [("X-Name", value)])
    assert isinstance(error, ValueError)
    assert "X-Name" in str(error)
    assert value not in str(error)


@pytest.mark.parametrize("name", ["", "X A", "X-A:", "X\r\nY", "X-\xe9", "X-\0", "(x)"])
def test_s_sr_10_names_that_are_not_tokens_are_rejected(ask: Any, name: str) -> None:
    assert isinstance(refused(ask, "200 OK", [(name, "v")])[0], ValueError)


@pytest.mark.parametrize(
    "pair", [(b"X-A", "v"), ("X-A", b"v"), ("X-A", 5), ("X-A", None), (None, "v")]
)
def test_s_sr_10_names_and_values_are_str(ask: Any, pair: Any) -> None:
    error, _ = refused(ask, "200 OK", [pair])
    assert isinstance(error, TypeError)
    assert "must be str" in str(error)


def test_beyond_4_3_tab_is_kept_and_outer_blanks_are_trimmed(ask: Any) -> None:
    answer = ask(lambda _, sr: [sr("200 OK", [("X-A", " \ta\tb\t "), ("X-B", "  ")]) and b"x"])
    assert answer.fields == [(b"X-A", b"a\tb"), (b"X-B", b"")]


def test_s_http_01_order_and_spelling_are_kept(ask: Any) -> None:
    headers = [
        ("x-ODD", "1"),
        ("Set-Cookie", "a=1"),
        ("X-A", ""),
        ("set-cookie", "b=2"),
        ("Set-Cookie", "a=1"),
    ]
    answer = ask(lambda _, sr: [sr("404 Gone Fishing", headers) and b""])
    assert answer.fields == [(name.encode(), value.encode()) for name, value in headers]
    assert answer.status == "404 Gone Fishing"


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "transfer-encoding",
        "Keep-Alive",
        "Upgrade",
        "Trailer",
        "TE",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "CONNECTION",
    ],
)
def test_s_sr_12_13_hop_by_hop_headers_are_rejected(ask: Any, name: str) -> None:
    error, answer = refused(ask, "200 OK", [(name, "close")])
    assert str(error) == (
        f"'{name}' is a hop-by-hop header (PEP 3333); the server manages the connection: "
        "remove it from the response's headers"
    )
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert last.line == "start_response(*arguments)", "raised at the caller's frame"
    assert "Error in GET / (id-1)" in answer.errors()[0]


def test_s_sr_14_start_response_sends_nothing(ask: Any) -> None:
    events: list[Any] = []

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        events.append(("app",))
        return [b"x"]

    assert ask(app, events).kinds == ["app", "respond", "body", "finish"]


def test_s_sr_15_17_05_an_error_replaces_the_stored_head_completely(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("X-One", "1"), ("Content-Length", "99")])
        yield b""
        try:
            raise ValueError
        except ValueError:
            write = start_response("500 X", [("X-Two", "2")], sys.exc_info())
        write(b"err")
        yield b"body"

    answer = ask(app)
    assert (answer.status, answer.fields, answer.body) == ("500 X", [(b"X-Two", b"2")], b"errbody")
    assert answer.of("finish") == [("finish", "ok")]


def test_s_sr_18_19_after_the_head_the_exception_is_raised_again(ask: Any) -> None:
    caught: list[BaseException] = []
    boom = ValueError("boom")

    def deep() -> None:
        raise boom

    def app(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        yield b"partial"
        try:
            deep()
        except ValueError:
            try:
                start_response("500 X", TEXT, sys.exc_info())
            except ValueError as error:
                caught.append(error)
                raise

    answer = ask(app)
    assert caught == [boom]
    assert "deep" in [frame.name for frame in traceback.extract_tb(boom.__traceback__)]
    assert answer.kinds == ["respond", "body", "deliver", "abort"]
    assert "in deep" in answer.errors()[0]


def test_s_sr_18_exc_info_without_exception_after_the_head_raises(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        yield b"partial"
        start_response("500 X", TEXT, (None, None, None))

    assert ask(app).kinds[-1] == "abort"


def test_s_sr_20_a_second_call_is_rejected_and_the_first_response_counts(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        for more in ((), (None,)):
            with pytest.raises(RuntimeError, match="second time"):
                start_response("201 Created", [], *more)
        return [b"x"]

    answer = ask(app)
    assert (answer.status, answer.body) == ("200 OK", b"x")
    assert len(answer.warnings()) == 2, "beyond 5.12: the rejected call is logged"
    assert "GET / (id-1)" in answer.warnings()[0]


def test_s_sr_20_after_a_first_call_that_failed_a_second_one_is_rejected_too(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        with pytest.raises(ValueError, match="hop-by-hop"):
            start_response("200 OK", [("Connection", "close")])
        with pytest.raises(RuntimeError, match="second time"):
            start_response("200 OK", TEXT)
        return [b"x"]

    answer = ask(app)
    assert answer.failed
    assert "start_response had rejected" in answer.errors()[0]


def test_after_a_rejected_call_an_error_page_can_be_sent(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        try:
            start_response("200 OK", [("Connection", "close")])
        except ValueError:
            start_response("500 Page", TEXT, sys.exc_info())
        return [b"page"]

    answer = ask(app)
    assert (answer.status, answer.body) == ("500 Page", b"page")


def test_s_sr_21_no_reference_to_exc_info_is_kept(ask: Any) -> None:
    class Local:
        pass

    dead: list[bool] = []

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        def failing() -> None:
            local = Local()
            references.append(weakref.ref(local))
            raise ValueError

        references: list[weakref.ref[Local]] = []
        start_response("200 OK", TEXT)
        try:
            failing()
        except ValueError:
            start_response("500 X", TEXT, sys.exc_info())
        dead.append(references[0]() is None)
        return [b"x"]

    gc.disable()
    try:
        ask(app)
    finally:
        gc.enable()
    assert dead == [True]


def test_s_cl_03_writing_past_the_length_raises(ask: Any) -> None:
    def at_once(_environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "3")])
        with pytest.raises(ValueError, match="Content-Length"):
            write(b"abcd")
        return []

    def after(_environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "3")])
        write(b"abc")
        with pytest.raises(ValueError, match="Content-Length"):
            write(b"d")
        return []

    for app in (at_once, after):
        assert ask(app).of("finish") == [("finish", "ok")]


@pytest.mark.parametrize("value", ["abc", "-1", "+3", "3.0", "", "0x3", "9" * 30, "3, 3"])
def test_s_cl_05_an_invalid_length_is_rejected(ask: Any, value: str) -> None:
    assert "Content-Length" in str(refused(ask, "200 OK", [("Content-Length", value)])[0])


def test_s_cl_05_lengths_that_differ_are_rejected(ask: Any) -> None:
    refused(ask, "200 OK", [("Content-Length", "3"), ("content-length", "2")])
    same = [("Content-Length", "3"), ("content-length", " 3 ")]
    assert ask(lambda _, sr: [sr("200 OK", same) and b"abc"]).of("finish") == [("finish", "ok")]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 \u20ac", []),
        ("200 OK", [("X-A", "\u20ac")]),
        ("200 OK", [("X-\u20ac", "v")]),
        ("200 \udc80", []),
    ],
)
def test_s_uni_03_text_outside_latin_1_is_rejected(ask: Any, status: str, headers: Any) -> None:
    error, _ = refused(ask, status, headers)
    assert isinstance(error, ValueError)
    assert "Latin-1" in str(error)


def test_s_uni_03_latin_1_is_one_byte_per_character(ask: Any) -> None:
    assert ask(lambda _, sr: [sr("200 OK", [("X-A", "caf\xe9")]) and b"x"]).fields == [
        (b"X-A", b"caf\xe9")
    ]


def test_beyond_4_2_the_message_names_the_header_and_not_its_value(ask: Any) -> None:
    message = str(refused(ask, "200 OK", [("X-Secret", "token-\u20ac")])[0])
    assert "X-Secret" in message
    assert "token" not in message

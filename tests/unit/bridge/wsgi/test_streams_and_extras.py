"""wsgi.errors, wsgi.early_hints, iotax.client_disconnected, and the lifetime of objects.

S-ENV-28, S-ERR; beyond 4.12, 5.4.
"""

import gc
import logging
import sys
import traceback
from typing import Any

import pytest
from scripted_bridge import APPLICATION, Answer, Bridge


def errors_of(use: Any) -> Answer:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        use(environ["wsgi.errors"])
        start_response("200 OK", [])
        return []

    answer = Bridge(app).request()
    assert answer.status == "200 OK", answer
    assert all(level == APPLICATION for level, _ in answer.log), "it has no level"
    return answer


def test_s_env_28_s_err_05_the_methods(ask: Any) -> None:
    def use(stream: Any) -> None:
        assert stream.write("one\n") == 4
        stream.writelines(line for line in ["two\n", "three\n"])
        stream.flush()
        print("four", file=stream)

    assert errors_of(use).written() == "one\ntwo\nthree\nfour\n"


def test_s_err_01_a_last_line_is_ended() -> None:
    assert errors_of(lambda stream: stream.write("a\nb\n")).written() == "a\nb\n"
    assert errors_of(lambda stream: stream.write("unfinished")).written() == "unfinished\n"
    flushed = errors_of(lambda stream: [stream.write("a"), stream.flush(), stream.write("b")])
    assert [text for _, text in flushed.log] == ["a", "b\n"]
    assert errors_of(lambda stream: stream.flush()).log == []


def test_lines_are_written_complete_and_together() -> None:
    parts = errors_of(lambda stream: [stream.write(part) for part in ("a", "b\nc", "d\n")])
    assert [text for _, text in parts.log] == ["ab\n", "cd\n"]
    assert [text for _, text in errors_of(lambda s: s.write("a\n\nb\n")).log] == ["a\n\nb\n"]


def test_s_err_02_any_text() -> None:
    assert errors_of(lambda stream: stream.write("\u20ac \U0001f600 \udc80\n")).written() == (
        "\u20ac \U0001f600 \\udc80\n"
    )
    assert errors_of(lambda s: s.write("\x1b[31mred\x1b[0m\r\n")).written() == (
        "\x1b[31mred\x1b[0m\r\n"
    )


def test_a_line_that_never_ends_is_bounded_and_stays_one_line() -> None:
    answer = errors_of(lambda stream: [stream.write("x" * 50_000) for _ in range(4)])
    assert answer.written() == "x" * 200_000 + "\n"
    assert max(len(text) for _, text in answer.log) <= 150_000


@pytest.mark.parametrize("wrong", [b"x", None, 5])
def test_only_str_is_written(wrong: Any) -> None:
    def use(stream: Any) -> None:
        with pytest.raises(TypeError, match="takes str"):
            stream.write(wrong)
        with pytest.raises(TypeError):
            stream.writelines([wrong])

    assert errors_of(use).written() == ""


def test_logging_and_tracebacks_go_through_it() -> None:
    def use(stream: Any) -> None:
        handler = logging.StreamHandler(stream)
        handler.emit(logging.LogRecord("n", logging.INFO, __file__, 1, "logged", None, None))
        try:
            raise ValueError("shown")
        except ValueError:
            traceback.print_exc(file=stream)

    text = errors_of(use).written()
    assert text.startswith("logged\nTraceback")
    assert text.endswith("ValueError: shown\n")


def test_the_stream_may_be_kept() -> None:
    kept: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(environ["wsgi.errors"])
        start_response("200 OK", [])
        return []

    bridge = Bridge(app)
    bridge.request()
    kept[0].write("late\n")
    assert bridge.harness.take_log() == [(APPLICATION, "late\n")]
    del bridge
    gc.collect()
    kept[0].write("after the server\n")


def test_beyond_4_12_early_hints(ask: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        start_response("200 OK", [])
        environ["wsgi.early_hints"]([("Link", "</b.css>")])
        yield b"x"
        environ["wsgi.early_hints"]([("Link", "</c.css>")])

    answer = ask(app)
    assert answer.of("inform") == [
        ("inform", 103, [(b"Link", b"</a.css>; rel=preload")]),
        ("inform", 103, [(b"Link", b"</b.css>")]),
    ]
    assert answer.kinds[-1] == "finish"


@pytest.mark.parametrize(
    "headers", [[("Link", "a\r\nX: y")], [("Connection", "x")], (("A", "b"),), [("A", b"b")]]
)
def test_early_hints_are_checked_like_headers(ask: Any, headers: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        with pytest.raises((ValueError, TypeError)):
            environ["wsgi.early_hints"](headers)
        start_response("200 OK", [])
        return []

    assert ask(app).kinds == ["respond", "finish"]


def test_client_disconnected_tells_whether_the_client_is_gone(ask: Any) -> None:
    seen: list[bool] = []
    gone: list[bool] = [False]
    kept: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(environ["iotax.client_disconnected"])
        for value in (False, True):
            gone[0] = value
            seen.append(kept[0]())
        with pytest.raises(TypeError):
            kept[0](1)
        start_response("200 OK", [])
        return []

    assert ask(app, gone=lambda: gone[0]).status == "200 OK"
    assert seen == [False, True]
    gone[0] = False
    with pytest.raises(RuntimeError, match="after its request had ended"):
        kept[0]()


def test_extras_that_are_kept_do_not_reach_the_next_request() -> None:
    kept: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        for hints in kept:
            with pytest.raises(RuntimeError, match="after its request had ended"):
                hints([("Link", "x")])
        kept.append(environ["wsgi.early_hints"])
        start_response("200 OK", [])
        return []

    bridge = Bridge(app)
    for _ in range(3):
        answer = bridge.request()
        assert answer.kinds == ["respond", "finish"]
        assert answer.log == []


def test_unreferenced_objects_are_reused() -> None:
    ids: list[set[int]] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        ids.append(
            {
                id(value)
                for value in (
                    start_response,
                    write,
                    environ["wsgi.input"],
                    environ["wsgi.early_hints"],
                )
            }
        )
        return []

    bridge = Bridge(app)
    for _ in range(5):
        bridge.request(body=b"x")
    assert all(one == ids[0] for one in ids)


def test_types_cannot_be_instantiated_or_changed_from_python() -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.extend(
            [
                start_response,
                start_response("200 OK", []),
                environ["wsgi.input"],
                environ["wsgi.errors"],
            ]
        )
        return []

    Bridge(app).request(body=b"x")
    Bridge(app).request()
    for thing in seen:
        with pytest.raises(TypeError):
            type(thing)()
        with pytest.raises(TypeError):
            type(thing).extra = 1


def plain(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x" * 5]


def streaming(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(environ["wsgi.input"].readline())
    yield b"a"
    yield b"b"


def failing(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    environ["wsgi.errors"].write("x")
    raise ValueError(environ["PATH_INFO"])


def refusing(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("A", "b"), ("Connection", "x")])


def keeping(environ: Any, start_response: Any) -> Any:
    environ["self"] = environ
    environ["start_response"] = start_response
    environ["write"] = start_response("200 OK", [])
    return [b"x"]


@pytest.mark.parametrize("app", [plain, streaming, failing, refusing, keeping])
@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"body": b"a\nb", "method": "POST", "target": "/a%20b?c"},
        {"pieces": [b"a\n", b"b"], "headers": [("X-A", "1"), ("X-A", "2"), ("Cookie", "c")]},
    ],
)
def test_twice_as_many_requests_leave_as_many_objects(app: Any, request_: dict[str, Any]) -> None:
    bridge = Bridge(app)

    def left_after(times: int) -> int:
        for _ in range(times):
            bridge.harness.repeat(request_, 1)
            bridge.harness.take_log()
        gc.collect()
        return sys.getallocatedblocks()

    left_after(200)
    once, twice = left_after(200), left_after(400)
    assert abs(twice - once) < 100  # one object left per request would be 400

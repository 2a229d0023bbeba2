"""_iotax.Connection: the core and the bridge without a socket."""

import pytest

from iotax import _iotax
from iotax._config.sources import from_arguments

GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"


def connect(application, **options):
    return _iotax.Connection(application, from_arguments(options, path=False).worker_options())


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("X-Path", environ["PATH_INFO"])])
    return [body]


def bodies(output):
    return [answer.partition(b"\r\n\r\n")[2] for answer in output.split(b"HTTP/1.1 ")[1:]]


def test_responses_are_in_order_for_requests_cut_anywhere():
    connection = connect(echo)

    for octet in GET % b"one" + POST + b"abcdef" + GET % b"two":
        connection.receive(bytes([octet]))
    output = connection.take_output()

    assert bodies(output) == [b"", b"abcdef", b""]
    assert output.count(b"X-Path: /one") == output.count(b"X-Path: /two") == 1
    assert connection.closing == "no"
    assert connection.take_output() == b""


def test_the_application_is_called_when_the_request_is_complete():
    called = []
    connection = connect(lambda *call: called.append(1) or echo(*call))

    connection.receive(POST + b"abc")
    assert called == []
    connection.receive(b"def")

    assert called == [1]


def test_rejection_closes_the_connection():
    connection = connect(echo)

    connection.receive(b"GET / HTTP/1.1\r\n\r\n" + GET % b"")

    assert connection.take_output().startswith(b"HTTP/1.1 400 ")
    assert connection.closing == "after_flush"


def test_blocks_are_out_before_the_next_one_is_asked_for():
    seen = []

    def stream(environ, start_response):
        start_response("200 OK", [])
        for number in range(3):
            yield b"%d" % number
            seen.append(connection.take_output())

    connection = connect(stream)
    connection.receive(GET % b"")

    assert seen[0].endswith(b"\r\n\r\n1\r\n0\r\n")
    assert seen[1:] == [b"1\r\n1\r\n", b"1\r\n2\r\n"]
    assert connection.take_output() == b"0\r\n\r\n"


def test_a_body_that_has_not_arrived_by_the_call_never_does():
    def read(environ, start_response):
        with pytest.raises(_iotax.ClientDisconnected):
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"read"]

    connection = connect(read, no_request_buffering=True)
    connection.receive(POST + b"abc")

    assert bodies(connection.take_output()) == [b"read"]


def test_disconnect_ends_the_iteration():
    closed = []

    def stream(environ, start_response):
        start_response("200 OK", [])
        try:
            for _ in range(3):
                yield b"x"
                connection.disconnect()
        finally:
            closed.append(1)

    connection = connect(stream)
    connection.receive(GET % b"")

    assert closed == [1]
    assert connection.take_output().endswith(b"\r\n\r\n1\r\nx\r\n")
    assert connection.closing == "reset"


def test_file_is_sent_completely(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"0123456789" * 20_000)

    def send(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file.open("rb"))

    connection = connect(send)
    connection.receive(GET % b"")

    assert bodies(connection.take_output()) == [file.read_bytes()]


def test_failure_gets_a_500():
    def fail(environ, start_response):
        raise ValueError("no")

    connection = connect(fail)
    connection.receive(GET % b"")

    assert connection.take_output().startswith(b"HTTP/1.1 500 ")


def test_another_connection_can_be_used_from_inside_a_call():
    inner = connect(echo)

    def outer(environ, start_response):
        inner.receive(GET % b"inner")
        start_response("200 OK", [])
        return [inner.take_output().partition(b"X-Path: ")[2][:6]]

    connection = connect(outer)
    connection.receive(GET % b"")

    assert bodies(connection.take_output()) == [b"/inner"]


def test_a_connection_cannot_be_used_by_the_application_that_it_calls():
    said = []

    def again(environ, start_response):
        with pytest.raises(RuntimeError) as error:
            connection.receive(GET % b"")
        said.append(str(error.value))
        start_response("200 OK", [])
        return [b"x"]

    connection = connect(again)
    connection.receive(GET % b"")

    assert said == ["the connection is used by the application that it calls"]
    assert bodies(connection.take_output()) == [b"x"]


def test_the_log_can_go_to_the_streams_of_python(capsys, monkeypatch):
    kept = []

    def talks(environ, start_response):
        kept.append(environ["wsgi.errors"])
        environ["wsgi.errors"].write("\udc80 \0 caf\u00e9\n")
        start_response("200 OK", [])
        return [b""]

    options = from_arguments({}, path=False).worker_options()
    connection = _iotax.Connection(talks, options, log_level="error")
    connection.receive(GET % b"")
    out, err = capsys.readouterr()
    assert '"GET / HTTP/1.1" 200' in out
    assert err == "\\udc80 ? caf\u00e9\n"

    def unfinished(environ, start_response):
        for text in ("a", "b\nc", "d"):
            environ["wsgi.errors"].write(text)
            environ["wsgi.errors"].flush()
        start_response("200 OK", [])
        return [b""]

    another = _iotax.Connection(unfinished, options, log_level="error")
    another.receive(GET % b"")
    assert capsys.readouterr().err == "ab\ncd\n"

    connection.receive(b"no request\r\n")  # a WARNING
    out, err = capsys.readouterr()
    assert '"no request" 501' in out
    assert err == ""
    del connection
    kept[0].write("nobody hears it\n")
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match="level is 'loud'"):
        _iotax.Connection(talks, options, log_level="loud")


def test_a_stream_that_raises_or_is_missing_does_no_harm(monkeypatch):
    class Broken:
        def write(self, text):
            raise OSError("full")

    options = from_arguments({}, path=False).worker_options()
    for stream in (Broken(), None):
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr("sys.stdout", stream)
        connection = _iotax.Connection(lambda *call: 1 / 0, options, log_level="info")
        connection.receive(GET % b"")
        assert connection.take_output().startswith(b"HTTP/1.1 500 ")

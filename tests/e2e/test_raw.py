"""Plain WSGI applications over raw connections: bodies, framing, errors, logs, request ids."""

import hashlib
import json
import re

import pytest
from support.server import SAMPLES
from support.wire import Connection

REQUEST_ID = r"[A-Za-z0-9._-]{1,128}"


@pytest.fixture
def server(start):
    return start("views")


@pytest.fixture
def connection(server):
    with Connection(server.port) as connection:
        yield connection


# ---- the small sample applications


@pytest.mark.smoke
def test_response_has_status_date_server_and_body(start):
    with Connection(start("hello", cwd=SAMPLES).port) as connection:
        answer = connection.ask("/")
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"Hello, World!\n")
    assert answer.complete
    assert answer.get("Server") == "iotax"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.get("Date"))


def test_body_with_a_length_is_read(start):
    with Connection(start("echo", cwd=SAMPLES).port) as connection:
        answer = connection.ask("/", "Content-Type: text/x", method="POST", body=b"\x00\xffdata")
    assert answer.body == b"\x00\xffdata"
    assert answer.get("Content-Type") == "text/x"


def test_chunked_body_is_read(start):
    with Connection(start("echo", cwd=SAMPLES).port) as connection:
        connection.request("POST", "/", "Transfer-Encoding: chunked")
        connection.send(b"3\r\none\r\n5;extension=1\r\n two\n\r\n0\r\nTrailer: x\r\n\r\n")
        assert connection.answer().body == b"one two\n"


def test_stream_of_unknown_length_is_chunked(start):
    with Connection(start("stream", cwd=SAMPLES).port) as connection:
        answer = connection.ask("/?blocks=3&bytes=5")
        assert connection.ask("/?blocks=1&bytes=1").body == b"a"
    assert answer.get("Transfer-Encoding") == "chunked"
    assert answer.body == b"aaaaabbbbbccccc"
    assert answer.complete


def test_stream_to_an_old_client_ends_with_the_connection(start):
    with Connection(start("stream", cwd=SAMPLES).port) as connection:
        connection.send(b"GET /?blocks=2&bytes=3 HTTP/1.0\r\n\r\n")
        answer = connection.answer()
    assert answer.body == b"aaabbb"
    assert answer.get("Transfer-Encoding") is None


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/", "RuntimeError: raised before start_response"),
        ("/started", "RuntimeError: raised after start_response"),
        ("/exit", "SystemExit: 1"),
        ("/wrong", "str"),
    ],
)
def test_error_before_the_first_byte_is_500(start, path, error):
    server = start("raises", cwd=SAMPLES)
    with Connection(server.port) as connection:
        answer = connection.ask(path)
    assert answer.status == 500
    assert "Traceback" not in answer.text
    assert "raised" not in answer.text
    server.err.wait_for(re.escape(error))
    server.out.wait_for(rf'"GET {path} HTTP/1\.1" 500 [A-Za-z ]+ {len(answer.body)}B ')
    with Connection(server.port) as connection:  # and it continues
        assert connection.ask("/close").body == b"complete\n"


def test_error_after_the_first_block_visibly_truncates_the_response(start):
    server = start("raises", cwd=SAMPLES)
    with Connection(server.port) as connection:
        answer = connection.ask("/middle")
    assert answer.status == 200
    assert not answer.complete
    assert "raised" not in answer.text
    server.err.wait_for("RuntimeError: raised after the first block")


def test_error_in_close_is_logged_and_the_response_is_complete(start):
    server = start("raises", cwd=SAMPLES)
    with Connection(server.port) as connection:
        answer = connection.ask("/close")
        assert connection.ask("/close").complete
    assert answer.complete
    server.err.wait_for(r"RuntimeError: raised in close\(\)")


# ---- requests and responses


def test_connection_is_reused(server, connection):
    ports = {json.loads(connection.ask("/environ").text)["REMOTE_PORT"] for _ in range(20)}
    assert len(ports) == 1


def test_connection_close_is_followed_and_sent(connection):
    answer = connection.ask("/", "Connection: close")
    assert answer.get("Connection") == "close"
    assert connection.is_closed()


def test_pipelined_requests_get_responses_in_order(connection):
    for number in range(30):
        connection.get(f"/environ?{number}")
    queries = [json.loads(connection.answer().text)["QUERY_STRING"] for _ in range(30)]
    assert queries == [str(number) for number in range(30)]


def test_head_has_the_fields_of_get_and_no_body(connection):
    get = connection.ask("/hello")
    head = connection.ask("/hello", method="HEAD")
    assert head.get("Content-Length") == get.get("Content-Length") == "14"
    assert connection.ask("/hello").body == get.body  # no bytes are left on the connection


def test_head_of_a_stream_has_no_body(start):
    with Connection(start("stream", cwd=SAMPLES).port) as connection:
        connection.ask("/?blocks=3&bytes=5", method="HEAD")
        assert connection.ask("/?blocks=1&bytes=2").body == b"aa"


def test_blocks_are_seen_one_by_one(start, gates, tmp_path):
    gate = gates("a")
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/blocks/a")
        connection.head()
        for block in (b"first\n", b"second\n", b"third\n"):
            # The block arrives while the application has not continued.
            assert connection.chunk() == block
            gate.wait_entered()
            gate.let_go()
        assert connection.chunk() == b""


def test_connection_is_usable_after_an_unread_body(connection):
    assert connection.ask("/unread", method="POST", body=b"x" * 100_000).text == "not read\n"
    assert connection.ask("/hello").status == 200


@pytest.mark.parametrize("length", [0, 1, 65536, 300_000, 1024 * 1024])
def test_body_of_any_allowed_size_arrives(connection, length):
    body = bytes(range(256)) * (length // 256) + b"y" * (length % 256)
    answer = connection.ask("/digest", method="POST", body=body)
    assert answer.text == f"{length} {hashlib.sha256(body).hexdigest()}\n"


def test_100_continue_comes_before_the_body(connection):
    connection.request("POST", "/digest", "Expect: 100-continue", "Content-Length: 3")
    assert connection.head().status == 100
    connection.send(b"abc")
    assert connection.answer().text == f"3 {hashlib.sha256(b'abc').hexdigest()}\n"


def test_large_response_arrives_completely(connection):
    answer = connection.ask("/big?bytes=30000000")
    assert answer.complete
    assert answer.body == b"x" * 30_000_000


def test_file_wrapper_sends_the_whole_file_each_time(start, tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    server = start("views", env={"FILE": str(tmp_path / "file")})
    with Connection(server.port) as connection:
        assert connection.ask("/file").body == content
        assert connection.ask("/file", method="HEAD").get("Content-Length") == str(len(content))
        assert connection.ask("/file").body == content


def test_system_exit_in_a_view_does_not_stop_the_server(server, connection):
    assert connection.ask("/leave").status == 500
    with Connection(server.port) as another:
        assert another.ask("/hello").status == 200


def test_environ_describes_the_request(server, connection):
    environ = json.loads(connection.ask("/environ/a%20b?x=%20y", "X-Some: thing").text)
    port = str(server.port)
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ/a b",
        "QUERY_STRING": "x=%20y",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_PORT": port,
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "test",
        "HTTP_X_SOME": "thing",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {key: environ.get(key) for key in expected} == expected


def test_environ_reports_several_threads(start):
    with Connection(start("views", "--threads", "2").port) as connection:
        assert json.loads(connection.ask("/environ").text)["wsgi.multithread"] is True


# ---- request ids, logs and the server's own responses


def test_request_id_of_a_trusted_proxy_is_used(start):
    server = start("views", "--forwarded-allow-ips", "127.0.0.1")
    fields = ("X-Request-ID: from-the.proxy_1", "X-Forwarded-For: 198.51.100.7, 203.0.113.9")
    with Connection(server.port) as connection:
        answer = connection.ask("/environ", *fields)
        assert json.loads(answer.text)["iotax.request_id"] == "from-the.proxy_1"
        server.out.wait_for(r'^\S+Z 203\.0\.113\.9 - "GET /environ .* from-the\.proxy_1$')
        refused = connection.ask("/huge", *fields, "Content-Length: 99999999")
        assert (refused.status, "from-the.proxy_1" in refused.text) == (413, True)
    server.out.wait_for(r'^\S+Z 203\.0\.113\.9 - "GET /huge HTTP/1\.1" 413 .* from-the\.proxy_1$')
    server.err.wait_for(r"203\.0\.113\.9 - 413 .*GET /huge.*\(from-the\.proxy_1\)$")


def test_request_id_of_an_untrusted_client_is_a_plain_header(server, connection):
    answer = connection.ask("/environ", "X-Request-ID: of-another-request")
    environ = json.loads(answer.text)
    assert environ["iotax.request_id"] != "of-another-request"
    assert environ["HTTP_X_REQUEST_ID"] == "of-another-request"


@pytest.mark.parametrize("given", ["has space", "x" * 129, 'quote"', "uml\u00e4ut"])
def test_other_request_ids_are_replaced(connection, given):
    connection.send(f"GET /environ HTTP/1.1\r\nHost: a\r\nX-Request-ID: {given}\r\n\r\n".encode())
    found = json.loads(connection.answer().text)["iotax.request_id"]
    assert found != given
    assert re.fullmatch(REQUEST_ID, found)


def test_request_ids_differ(connection):
    ids = {json.loads(connection.ask("/environ").text)["iotax.request_id"] for _ in range(50)}
    assert len(ids) == 50


@pytest.mark.smoke
def test_access_log_line_is_that_of_the_default_format(server, connection):
    connection.ask("/hello?q=1")
    server.out.wait_for(
        r'^\S+Z 127\.0\.0\.1:\d+ - "GET /hello\?q=1 HTTP/1\.1" 200 OK 14B \d+(\.\d+)?m?s '
        + REQUEST_ID
        + "$"
    )


def test_access_log_escapes_what_the_client_sends(server, connection):
    connection.ask('/hello?"q\\')
    server.out.wait_for(r'"GET /hello\?\\x22q\\x5[Cc] HTTP/1\.1"')


def test_no_access_log_writes_no_line(start):
    server = start("views", "--no-access-log")
    with Connection(server.port) as connection:
        connection.ask("/hello")
    server.stop()
    assert server.out.wait_for_end() == ""


def test_access_log_is_written_to_a_file(start, tmp_path):
    server = start("views", "--access-logfile", str(tmp_path / "access.log"))
    with Connection(server.port) as connection:
        connection.ask("/hello?in=file")
    server.stop()
    assert '"GET /hello?in=file HTTP/1.1" 200 OK' in (tmp_path / "access.log").read_text()
    assert server.out.wait_for_end() == ""


def test_disconnected_client_is_logged_as_499(start, gates, tmp_path):
    gate = gates("a")
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        connection.reset()
    with Connection(server.port) as other:  # its response shows that the reset was seen, too
        other.send(b"GET / HTTP/1.1\r\n\r\n")
        assert other.answer().status == 400
    gate.let_go()
    server.out.wait_for(r'"GET /gate/a HTTP/1\.1" 499 ')


def test_printed_text_of_a_view_appears_immediately(server, connection):
    connection.ask("/print?line=from+the+view")
    server.out.wait_for("^from the view$")


def test_text_written_to_wsgi_errors_appears(server, connection):
    connection.ask("/log?line=from+wsgi.errors")
    server.err.wait_for("from wsgi.errors$")


@pytest.mark.smoke
def test_traceback_goes_to_the_log_and_not_to_the_client(server, connection):
    answer = connection.ask("/fail")
    assert answer.status == 500
    assert answer.get("Content-Type").startswith("text/plain")
    told = re.search(f"Request ID: ({REQUEST_ID})", answer.text)[1]
    assert "this view" not in answer.text
    server.err.wait_for("GET /fail")
    server.out.wait_for(f'"GET /fail HTTP/1.1" 500 .* {told}$')
    server.err.wait_for(r'File ".*views\.py", line \d+, in fail')
    server.err.wait_for("RuntimeError: this view always fails")


def test_error_in_the_middle_of_a_response_is_logged_and_truncates_it(server, connection):
    answer = connection.ask("/fail_late")
    assert answer.body == b"a beginning\n"
    assert not answer.complete
    server.err.wait_for("RuntimeError: this view fails in the middle")


@pytest.mark.parametrize(
    ("request_bytes", "status", "words"),
    [
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, r'"%" is not followed by two hex digits'),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "(?i)host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "(?i)host"),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            400,
            "TLS handshake on a plain HTTP port",
        ),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "(?i)version"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\n"
            b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "(?i)content-length|transfer-encoding",
        ),
    ],
)
def test_rejection_is_explained_in_the_log(server, connection, request_bytes, status, words):
    connection.send(request_bytes)
    answer = connection.answer()
    assert answer.status == status
    assert answer.get("Content-Type").startswith("text/plain")
    assert answer.get("Connection") == "close"
    line = server.err.wait_for(rf"WARNING: .*\b{status}\b.*$")[0]
    assert re.search(words, line), line
    assert "127.0.0.1" in line
    told = re.search(f"Request ID: ({REQUEST_ID})", answer.text)[1]
    assert f"({told})" in line
    server.out.wait_for(rf'^\S+Z 127\.0\.0\.1:\d+ - "[^"]+" {status} .* {told}$')


def test_server_header_can_be_left_out(start):
    with Connection(start("views", "--server-header", "").port) as connection:
        answer = connection.ask("/hello")
    assert answer.get("Server") is None
    assert answer.get("Date")

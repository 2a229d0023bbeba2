"""The logs as programs read them: formats, records, ids, and where they go."""

import json
import os
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from support import patience
from support.server import LISTENING, run_command
from support.terminal import Terminal
from support.wire import Connection

ROOT = Path(__file__).resolve().parents[2]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}"
# The keys of an access line, in their order.
KEYS = [
    *("timestamp", "severity", "message", "logger", "process.pid", "iotax.worker"),
    *("iotax.request_id", "trace_id", "span_id", "trace_flags", "client.address", "client.port"),
    *("network.peer.address", "network.peer.port", "network.transport", "network.protocol.name"),
    *("network.protocol.version", "http.request.method", "url.scheme", "url.path", "url.query"),
    *("server.address", "server.port", "user_agent.original", "http.request.header.referer"),
    *("http.request.body.size", "http.response.status_code", "http.response.body.size"),
    *("http.server.request.duration", "iotax.receive.duration", "iotax.queue.duration"),
    *("iotax.app.duration", "iotax.by", "iotax.end", "error.type", "iotax.cut"),
]


def records(text: str) -> list[dict[str, Any]]:
    """The lines, each one JSON object in ASCII without null and in one write to a pipe."""
    assert text.isascii()
    found = [json.loads(line, object_pairs_hook=unique) for line in text.splitlines()]
    assert None not in [value for record in found for value in record.values()]
    return found


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys)
    return dict(pairs)


def access_records(text: str) -> list[dict[str, Any]]:
    assert max(len(line) for line in text.splitlines()) < 4096
    found = records(text)
    for record in found:
        assert list(record) == [key for key in KEYS if key in record]
    return found


# ---- formats

QUOTED = (
    *("h", "l", "u", "t", "r", "m", "U", "q", "H", "s", "B", "b", "f", "a", "T", "M", "D", "L"),
    *("p", "{x-asked}i", "{X-Told}o", "{middleware.says}e", "{nope}i"),
)
REQUESTS = {
    b"GET /hello HTTP/1.1\r\nHost: a\r\n": b"",
    b"GET /a/b?x=1&y=%20 HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8 (x; y)\r\n"
    b"Referer: http://r/?q\r\n": b"",
    b"POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX-Asked: me too\r\n": b"body",
    b"HEAD /hello HTTP/1.1\r\nHost: a\r\n": b"",
    b"GET /304 HTTP/1.0\r\n": b"",
}
# What gunicorn 27.0.1 writes for them; TIME, PID and NUMBER stand for values that differ.
GUNICORN = """\
127.0.0.1|-|-|TIME|GET /hello HTTP/1.1|GET|/hello||HTTP/1.1|200|6|6|-|-|0|0|NUMBER|0.NUMBER|PID|-|one two|hi|-
127.0.0.1|-|-|TIME|GET /a/b?x=1&y=%20 HTTP/1.1|GET|/a/b|x=1&y=%20|HTTP/1.1|200|6|6|http://r/?q|curl/8 (x; y)|0|0|NUMBER|0.NUMBER|PID|-|one two|hi|-
127.0.0.1|-|-|TIME|POST /in HTTP/1.1|POST|/in||HTTP/1.1|200|6|6|-|-|0|0|NUMBER|0.NUMBER|PID|me too|one two|hi|-
127.0.0.1|-|-|TIME|HEAD /hello HTTP/1.1|HEAD|/hello||HTTP/1.1|200|0|-|-|-|0|0|NUMBER|0.NUMBER|PID|-|one two|hi|-
127.0.0.1|-|-|TIME|GET /304 HTTP/1.0|GET|/304||HTTP/1.0|304|0|-|-|-|0|0|NUMBER|0.NUMBER|PID|-|one two|hi|-
"""  # noqa: E501 lines of a log


def test_each_atom_is_written_as_by_gunicorn(start):
    format = " ".join(f'"%({name})s"' for name in QUOTED) + " %(s)d%%"
    server = start("atoms", "--access-log-format", format)
    for head, body in REQUESTS.items():
        with Connection(server.port) as connection:
            connection.send(head + b"Connection: close\r\n\r\n" + body)
            while connection.receive():
                pass
    server.stop()
    lines = server.out.wait_for_end().splitlines()
    assert len(lines) == len(REQUESTS)
    for line, due in zip(lines, GUNICORN.splitlines(), strict=True):
        values = re.fullmatch(r'"(.*)" (200|304)%', line)[1].split('" "')
        for name, value, expected in zip(QUOTED, values, due.split("|"), strict=True):
            pattern = re.escape(expected)
            pattern = pattern.replace("TIME", r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]")
            pattern = pattern.replace("PID", r"<\d+>").replace("NUMBER", r"\d+")
            if name in ("M", "D"):
                pattern = r"\d+"  # a machine under load takes more than 1 ms
            assert re.fullmatch(pattern, value), f"{name}: {value!r}, not {expected!r}"


def test_combined_format_is_that_of_apache(start):
    server = start("atoms", "--access-log-format", "combined")
    with Connection(server.port) as connection:
        connection.ask("/x?y", 'User-Agent: "a\\b"', "Referer: http://r/")
    server.out.wait_for(
        r'^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:[\d:]{8} \+0000\] "GET /x\?y HTTP/1\.1" 200 6'
        r' "http://r/" "\\x22a\\x5cb\\x22"$'
    )


def test_the_default_has_the_time_unless_a_terminal_shows_it(start, project):
    server = start("atoms")
    with Connection(server.port) as connection:
        connection.ask("/x")
    server.out.wait_for(rf'^{TIME}Z 127\.0\.0\.1:\d+ - "GET /x HTTP/1\.1" 200 OK 6B ')
    with Terminal("atoms", "--port", "0") as terminal:
        port = int(terminal.shown.wait_for(LISTENING)["port"])
        with Connection(port) as connection:
            connection.ask("/x")
        terminal.shown.wait_for(r'^127\.0\.0\.1:\d+ - "GET /x HTTP/1\.1" 200 OK 6B ')


# ---- JSON

TELLS = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise LookupError("no")
    start_response("200 OK", [("X-Address", environ["REMOTE_ADDR"])])
    return [environ.get("HTTP_TRACEPARENT", "").encode()]
"""


def test_every_line_of_a_mixed_load_is_a_record(start, project):
    server = start(
        *("main", "--access-log-format", "json", "--threads", "4", "--receive-timeout", "1s"),
        cwd=project("main", TELLS),
    )
    good = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
    sent = [
        good % b"x?y",
        good % b"fails",
        good % b'"\\',
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 9000,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 17000,
        b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: " + b"\xc3\xbc\xff\x09" * 2000 + b"\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
        b"GET /late HT",
        b"\x16\x03\x01",
    ]
    connections = [Connection(server.port) for _ in sent]
    for connection, octets in zip(connections, sent, strict=True):
        connection.send(octets)
    for connection in connections:
        assert connection.receive()
    cut = Connection(server.port)
    cut.send(b"POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
    cut.reset()
    Connection(server.port).close()  # an idle one has no line
    server.out.wait_for(r'"url\.path":"/cut"')
    server.stop()
    for connection in connections:
        connection.close()
    lines = access_records(server.out.wait_for_end())
    assert len(lines) == len(sent) + 1
    found = sorted((line["http.response.status_code"], line["iotax.end"]) for line in lines)
    assert found == sorted(
        [(200, "complete")] * 2
        + [(204, "complete"), (499, "client_gone"), (500, "app_error"), (501, "rejected")]
        + [(status, "rejected") for status in (400, 400, 400, 405, 408, 413, 414, 417, 431, 505)]
    )
    (agent,) = [line for line in lines if "user_agent.original" in line]
    assert agent["user_agent.original"].startswith("ü\ufffd\tü\ufffd\t")
    assert agent["iotax.cut"] == ["user_agent.original"]
    (failed,) = [line for line in lines if line["iotax.end"] == "app_error"]
    assert failed["error.type"] == "LookupError"


def test_the_page_names_the_keys_in_their_order(start, project):
    page = (ROOT / "docs/guide/logs.md").read_text(encoding="utf-8")
    table = page.partition("| key |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([^`]+)` \|", table, re.M) == KEYS
    server = start("main", "--access-log-format", "json", cwd=project("main", TELLS))
    with Connection(server.port) as connection:
        connection.ask("/x?y", "User-Agent: a", "Referer: b", f"traceparent: {TRACE}")
        connection.ask("/fails", f"User-Agent: {'a' * 5000}")
    server.stop()
    lines = access_records(server.out.wait_for_end())
    assert {key for line in lines for key in line} == set(KEYS)


def test_eight_processes_write_whole_lines_to_one_pipe(start, project):
    server = start(
        *("main", "--workers", "8", "--access-log-format", "json", "--keep-alive-requests", "0"),
        cwd=project("main", TELLS),
    )
    count, clients = 60, 16
    agent = f"User-Agent: {'a' * 3000}"

    def ask() -> None:
        for _ in range(count // 10):
            with Connection(server.port) as connection:
                for _ in range(10):
                    connection.ask("/x", agent)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience.SECONDS)
    server.stop()
    lines = access_records(server.out.wait_for_end())
    assert len(lines) == count * clients
    assert len({line["process.pid"] for line in lines}) > 1
    assert {line["iotax.worker"] for line in lines} <= set(range(1, 10))


@pytest.mark.parametrize("trusted", [(), ("--forwarded-allow-ips", "127.0.0.1,unix")])
@pytest.mark.parametrize("unix", [False, True])
def test_the_logged_client_is_remote_addr(start, project, tmp_path, trusted, unix):
    address = ("-b", f"unix:{tmp_path}/socket") if unix else ()
    server = start("main", "--log-format", "json", *trusted, *address, cwd=project("main", TELLS))
    place = {"path": f"{tmp_path}/socket"} if unix else {"port": server.port}
    with Connection(**place) as connection:
        told = connection.ask("/", "X-Forwarded-For: 203.0.113.9").get("X-Address")
    server.stop()
    (line,) = access_records(server.out.wait_for_end())
    assert line.get("client.address", "") == told
    assert ("client.port" in line) == (told == "127.0.0.1")
    assert line["network.transport"] == ("unix" if unix else "tcp")
    assert line.get("network.peer.address") == (None if unix else "127.0.0.1")


def test_trace_and_request_id_in_both_logs(start, project):
    server = start(
        *("main", "--log-format", "json", "--request-id-header", "X-Id"),
        cwd=project("main", TELLS),
    )
    with Connection(server.port) as connection:
        answer = connection.ask("/", f"traceparent: {TRACE}", "tracestate: a=b")
        assert answer.text == TRACE
        failed = connection.ask("/fails", f"traceparent: {TRACE}")
    server.stop()
    first, second = access_records(server.out.wait_for_end())
    assert first["iotax.request_id"] == answer.get("X-Id")
    assert second["iotax.request_id"] == failed.get("X-Id")
    about = [r for r in records(server.err.wait_for_end()) if "iotax.request_id" in r]
    assert [record["severity"] for record in about] == ["ERROR", "WARNING"]
    for record in (first, second, *about):
        assert record["trace_id"] == TRACE[3:35]
        assert record["span_id"] == TRACE[36:52]
    assert {record["iotax.request_id"] for record in about} == {failed.get("X-Id")}


# ---- the server log as records


def test_everything_on_standard_error_is_a_record(start, project):
    server = start("main", "--log-format", "json", cwd=project("main", TELLS))
    server.stop()
    found = records(server.err.wait_for_end())
    messages = [record["message"] for record in found]
    assert messages[0].startswith("iotax v")
    assert messages[1] == "Running main"
    assert f"Listening on http://127.0.0.1:{server.port}" in messages
    assert {record["severity"] for record in found} == {"INFO"}
    assert {record["logger"] for record in found} == {"iotax"}
    for record in found:
        assert re.fullmatch(rf"{TIME}\d{{3}}Z", record["timestamp"])
        assert isinstance(record["process.pid"], int)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_load_error_is_one_record(project, workers):
    done = run_command(
        *("main", "--log-format", "json", "--port", "0", "--workers", workers),
        cwd=project("main", "import nothing_of_that_name"),
    )
    assert done.returncode == 3
    *others, last = records(done.stderr)
    assert {record["severity"] for record in others} == {"INFO"}
    assert last["severity"] == "ERROR"
    assert "nothing_of_that_name" in last["message"]
    assert "\nFix:" in last["message"]


def test_records_on_a_terminal_have_no_colors(project):
    with Terminal(
        *("main", "--log-format", "json", "--port", "0"), cwd=project("main", TELLS)
    ) as terminal:
        terminal.shown.wait_for("Press Ctrl-C to stop")
    assert "\x1b" not in terminal.shown.text
    assert len(records(terminal.shown.text.replace("\r", ""))) >= 5


ERRORS = """
import logging, threading

def app(environ, start_response):
    errors = environ["wsgi.errors"]
    root = logging.getLogger()
    assert (root.handlers, root.level, logging.lastResort.level) == ([], 30, 30)
    errors.write("Traceback:\\n  one\\n  two\\n")
    errors.write("half")
    errors.flush()
    errors.write(" and half\\n")
    errors.write("x" * 1_000_000 + "\\n")
    start_response("200 OK", [])
    def later():
        gone.wait()
        errors.write("later\\n")
    threading.Thread(target=later).start()
    return Body()

gone = threading.Event()

class Body:
    def __iter__(self):
        return iter([b"x"])
    def close(self):
        threading.Timer(0, gone.set).start()
"""


@pytest.mark.parametrize("format", ["text", "json"])
def test_wsgi_errors_is_written_as_it_is(start, project, format):
    server = start(*("main", "--log-format", format, "--workers", "0"), cwd=project("main", ERRORS))
    with Connection(server.port) as connection:
        assert connection.ask("/").status == 200
    server.err.wait_for("later")
    server.stop()
    text = server.err.wait_for_end()
    lines = ["Traceback:", "  one", "  two", "half and half", "x" * 1_000_000, "later"]
    if format == "text":
        assert text.endswith("\n".join([*lines, ""]))
        return
    written = [record for record in records(text) if record["logger"] == "wsgi.errors"]
    assert [record["message"] for record in written] == ["Traceback:\n  one\n  two", *lines[3:]]
    assert all("severity" not in record for record in written)
    assert ["iotax.request_id" in record for record in written] == [True, True, True, False]


# ---- where they go


@pytest.mark.parametrize("kind", ["file", "pipe", "socket"])
def test_dev_stdout_is_the_descriptor_and_usr1_leaves_it_alone(start, project, tmp_path, kind):
    ours, theirs = socket.socketpair()
    with ours, theirs, open(tmp_path / "log", "wb") as file:
        ours.settimeout(patience.SECONDS)
        read_end, write_end = os.pipe()
        given = {"file": file.fileno(), "pipe": write_end, "socket": theirs.fileno()}[kind]
        server = start(
            *("main", "--log-format", "json", "--access-logfile", "/dev/stdout"),
            cwd=project("main", TELLS),
            stdout=given,
        )
        with Connection(server.port) as connection:
            connection.ask("/before")
            server.send_signal(signal.SIGUSR1)
            connection.ask("/after")
        server.stop()
        os.close(write_end)
        written = {
            "file": lambda: (tmp_path / "log").read_bytes(),
            "pipe": lambda: os.read(read_end, 65536),
            "socket": lambda: ours.recv(65536),
        }[kind]()
        os.close(read_end)
    assert [line["url.path"] for line in access_records(written.decode())] == ["/before", "/after"]

"""The logs as programs read them: formats, records, ids, and where they go."""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import log_records, patience
from support.server import LISTENING, run_command
from support.terminal import Terminal
from support.wire import SMALL, Connection

ROOT = Path(__file__).resolve().parents[2]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}"
KEYS = list(log_records.ACCESS)


def records(text: str) -> list[dict[str, Any]]:
    return log_records.records(text, log_records.SERVER)


def access_records(text: str) -> list[dict[str, Any]]:
    return log_records.records(text, log_records.ACCESS)


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


def test_a_slow_reader_gets_every_line_when_the_server_ends(start, project):
    """It takes two seconds for what the pipe does not hold, longer than it may take nothing."""
    read_end, write_end = os.pipe()
    server = start(
        *("main", "--log-format", "json", "--keep-alive-requests", "0"),
        cwd=project("main", TELLS),
        stdout=write_end,
    )
    os.close(write_end)
    count = 120
    with Connection(server.port) as connection:
        for _ in range(count):
            connection.ask("/x", f"User-Agent: {'a' * 3000}")
    parts: list[bytes] = []

    def read_slowly() -> None:
        while part := os.read(read_end, 16384):
            parts.append(part)
            time.sleep(0.1)
        os.close(read_end)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    server.stop()
    reader.join(patience.SECONDS)
    assert len(access_records(b"".join(parts).decode())) == count


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize(("resets", "end"), [(False, "client_slow"), (True, "client_gone")])
def test_a_client_that_does_not_take_its_response(start, resets, end, format):
    """The call has ended long before."""
    text = ("--access-log-format", "%(U)s %(s)s %(end)s %(B)s")
    options = ("--log-format", "json") if format == "json" else text
    server = start("mixed", "--send-timeout", "300ms", "--workers", "0", *options)
    with Connection(server.port, receive_buffer=SMALL) as connection:
        connection.get("/huge")
        connection.until(b"\r\n\r\n")
        assert server.out.text == "", "the response is not sent yet"
        if resets:
            connection.reset()
        line = server.out.wait_for(".*huge.*")[0]
    if format == "json":
        (record,) = access_records(line + "\n")
        assert (record["http.response.status_code"], record["iotax.end"]) == (499, end)
        size = record["http.response.body.size"]
    else:
        size = int(line.removeprefix(f"/huge 499 {end} "))
    assert 0 < size < 15_000_000
    server.stop()
    assert len(server.out.wait_for_end().splitlines()) == 1


@pytest.mark.parametrize(
    ("peers", "sent", "taken"),
    [
        ("127.0.0.1", ["X-Request-ID: a.B_9-"], "a.B_9-"),
        ("127.0.0.1", ["X-Request-ID: one", "X-Request-ID: two"], "one"),
        ("127.0.0.1", [f"X-Request-ID: {'a' * 128}"], "a" * 128),
        ("127.0.0.1", [f"X-Request-ID: {'a' * 129}"], None),
        ("127.0.0.1", ["X-Request-ID: a b"], None),
        ("127.0.0.1", ["X-Request-ID:"], None),
        ("192.0.2.1", ["X-Request-ID: forged"], None),
    ],
)
def test_only_a_trusted_peer_gives_the_request_id(start, project, peers, sent, taken):
    server = start(
        *("main", "--forwarded-allow-ips", peers, "--request-id-header", "X-Id"),
        *("--access-log-format", "%(id)s"),
        cwd=project("main", TELLS),
    )
    with Connection(server.port) as connection:
        told = connection.ask("/", *sent).get("X-Id")
        failed = connection.ask("/fails", *sent)
    assert failed.get("X-Id") in server.err.wait_for(r"WARNING: .*\((.+)\)$")[1]
    server.stop()
    assert server.out.wait_for_end().splitlines() == [told, failed.get("X-Id")]
    if taken:
        assert told == taken
    else:
        assert told not in [field.partition(": ")[2] for field in sent]
        assert told != failed.get("X-Id")


FORKS = """
import os
def app(environ, start_response):
    if not os.fork():
        raise RuntimeError
    os.wait()
    start_response("204 No Content", [])
    return []
"""


def test_the_line_of_a_request_is_not_written_by_a_forked_child(start, project):
    server = start("main", "--access-log-format", "%(s)s", cwd=project("main", FORKS))
    with Connection(server.port) as connection:
        assert connection.ask("/").status == 204
    server.stop()
    assert server.out.wait_for_end() == "204\n"


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


@pytest.mark.parametrize("options", [(), ("--reload",), ("--workers", "0")], ids=str)
def test_records_on_a_terminal_have_no_colors(project, options):
    with Terminal(
        *("main", "--log-format", "json", "--port", "0", *options), cwd=project("main", TELLS)
    ) as terminal:
        terminal.shown.wait_for("Press Ctrl-C to stop")
        terminal.type(b"\x03")
        terminal.process.wait(patience.SECONDS)
        shown = terminal.shown.wait_for_end()
    assert "\x1b" not in shown
    echo, _, rest = shown.replace("\r", "").partition("^C")
    assert len(records(echo + rest)) >= 6


def test_all_that_reload_tells_is_a_record(start, project):
    directory = project("main", TELLS)
    main = directory / "main.py"
    server = start(
        *("main", "--reload", "--log-format", "json"), cwd=directory, env={"IOTAX_THREDS": "2"}
    )
    with Connection(server.port) as connection:
        connection.ask("/fails")
    for broken, word in [("import nothing_of_that_name\n", "Fix:"), ("def\n", "SyntaxError")]:
        main.write_text(broken)
        server.err.wait_for(word)
    main.write_text(TELLS)
    server.err.wait_for('"message":"Reloaded')
    with Connection(server.port) as connection:
        assert connection.ask("/").status == 200
    server.stop()
    assert [line["iotax.end"] for line in access_records(server.out.wait_for_end())] == [
        *("app_error", "complete")
    ]
    found = records(server.err.wait_for_end())
    messages = {record["message"]: record["severity"] for record in found}
    assert [text for text in messages if text.startswith("Running main")]
    (warned,) = [text for text in messages if "IOTAX_THREDS" in text]
    assert messages[warned] == "WARNING"
    (failed,) = [text for text in messages if "LookupError: no" in text]
    assert messages[failed] == "ERROR"
    assert failed.count("\n") >= 2
    for missing in ("nothing_of_that_name", "SyntaxError"):
        (told,) = [text for text in messages if missing in text]
        assert messages[told] == "ERROR"
        assert "\n" in told


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


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("kind", ["file", "pipe", "socket"])
def test_dev_stdout_is_the_descriptor_and_usr1_leaves_it_alone(
    start, project, tmp_path, kind, format
):
    ours, theirs = socket.socketpair()
    with ours, theirs, open(tmp_path / "log", "wb") as file:
        ours.settimeout(patience.SECONDS)
        read_end, write_end = os.pipe()
        given = {"file": file.fileno(), "pipe": write_end, "socket": theirs.fileno()}[kind]
        server = start(
            *("main", "--log-format", format, "--access-logfile", "/dev/stdout"),
            cwd=project("main", TELLS),
            stdout=given,
        )
        ask_around_usr1(server)
        server.stop()
        os.close(write_end)
        written = {
            "file": lambda: (tmp_path / "log").read_bytes(),
            "pipe": lambda: os.read(read_end, 65536),
            "socket": lambda: ours.recv(65536),
        }[kind]()
        os.close(read_end)
    text = written.decode()
    if format == "json":
        assert [line["url.path"] for line in access_records(text)] == ["/before", "/after"]
    else:
        line = rf'{TIME}Z 127\.0\.0\.1:\d+ - "GET /(before|after) HTTP/1\.1" 200 OK .*\n'
        assert re.fullmatch(f"({line}){{2}}", text)
    assert "ERROR" not in server.err.wait_for_end()


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("kind", ["closed", "without a reader"])
def test_the_server_serves_if_dev_stdout_leads_nowhere(start, project, kind, format):
    read_end, write_end = os.pipe()
    os.close(read_end)
    server = start(
        *("main", "--log-format", format, "--access-logfile", "/dev/stdout"),
        cwd=project("main", TELLS),
        stdout=write_end,
        before_start=(lambda: os.close(1)) if kind == "closed" else None,
    )
    os.close(write_end)
    ask_around_usr1(server)
    server.stop()
    assert "ERROR" not in server.err.wait_for_end()


def ask_around_usr1(server) -> None:
    with Connection(server.port) as connection:
        assert connection.ask("/before").status == 200
        server.send_signal(signal.SIGUSR1)
        assert connection.ask("/after").status == 200

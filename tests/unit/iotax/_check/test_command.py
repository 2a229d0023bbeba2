"""The command, with applications in processes of their own."""

import io
import json
import os
import signal
import subprocess
import sys

import pytest

from iotax._check import command
from iotax._check.play.sandbox_process import SandboxProcess
from iotax._check.report.clauses import clauses
from iotax._check.requests import RequestSpec
from iotax._check.settings import Settings

SOUND = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", "17")])
    return [b"<a href=/next>a</a>"[:17]]
"""
BROKEN = """
def app(environ, start_response):
    print("the application says something")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"hello"]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write main.py into the current directory."""
    monkeypatch.chdir(tmp_path)

    def write(source):
        (tmp_path / "main.py").write_text(source)
        return tmp_path

    return write


def test_clean_is_quiet_and_0(project, capfd):
    project(SOUND)

    assert command.main(["main:app"]) == 0

    out, err = capfd.readouterr()
    assert out.splitlines()[0].startswith("iotax check main:app: sends GET, HEAD, OPTIONS to 1 URL")
    assert out.splitlines()[-1] == "passed: nothing found"
    assert err == ""


def test_findings_are_1_and_the_application_stays_out_of_the_report(project, capfd):
    project(BROKEN)

    assert command.main(["main:app"]) == 1

    out, err = capfd.readouterr()
    assert "error  A-CL-01 SHOULD: Content-Length is 3, and the body has 5 bytes." in out
    assert "  at       main.py:4, in app" in out
    assert "something" not in out + err


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        ([], 2, "APP is missing"),
        (["main:app", "x"], 2, "unexpected argument"),
        (["main:app", "--pth", "/"], 2, "unknown option --pth: did you mean --path?"),
        (["main:app", "-d", "x"], 2, "-d belongs to the --path before it"),
        (["main:app", "--path", "x"], 2, "is not a valid request"),
        (["main:app", "--format", "pdf"], 2, "invalid choice"),
        (["main:app", "--baseline", "none.json"], 2, "cannot read"),
        (["main:nope"], 3, "did you mean main:app?"),
        (["nope:app"], 3, 'module "nope" not found'),
    ],
)
def test_usage_error_is_reported(project, capfd, argv, code, said):
    project(SOUND)

    assert command.main(argv) == code

    out, err = capfd.readouterr()
    assert said in err
    assert out == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import os; os._exit(7)", "it ends the process: exit code 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it ends the process: SIGKILL"),
        ("raise SystemExit", "the module exits when imported"),
    ],
)
def test_an_application_that_ends_the_process_at_import_cannot_be_loaded(
    project, capfd, line, said
):
    project(line)

    assert command.main(["main:app"]) == 3
    assert said in capfd.readouterr().err


def test_list_prints_the_requests_and_sends_none(project, capfd):
    directory = project("def app(environ, start_response):\n    open('called', 'w')")

    assert command.main(["main:app", "--list", "--path", "POST /items"]) == 0

    assert capfd.readouterr().out.splitlines()[1:] == ["  POST /items"] * 3
    assert not (directory / "called").exists()


def test_unsafe_methods_are_not_sent_without_the_option(project):
    source = """
def app(environ, start_response):
    with open("methods", "a") as file:
        print(environ["REQUEST_METHOD"], environ.get("PATH_INFO"), file=file)
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b'<a href="/next"></a><a href="/logout">x</a><a href="http://other.test/"></a>']
"""
    directory = project(source)

    assert command.main(["main:app", "--crawl", "5"]) == 0

    lines = (directory / "methods").read_text().splitlines()
    assert {line.split()[0] for line in lines} == {"GET", "HEAD", "OPTIONS"}
    assert {"GET /next"} <= set(lines)
    assert not any("logout" in line for line in lines)


def test_a_named_post_is_sent_with_its_headers_and_body(project):
    source = """
def app(environ, start_response):
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["HTTP_A"] == "b"
    assert environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) == b"x=1"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""
    project(source)

    argv = ["main:app", "--path", "POST /", "-H", "A: b", "-d", "x=1", "--strict"]
    assert command.main(argv) == 1  # chunked, so there is no CONTENT_LENGTH
    project(source.replace('read(int(environ.get("CONTENT_LENGTH") or 0))', "read()"))
    assert command.main(argv) == 0


def test_run_without_2xx_or_3xx_exits_with_1(project, capfd):
    project("def app(e, s):\n    s('404 Not Found', [])\n    return []")

    assert command.main(["main:app"]) == 1
    assert "FAILED: no request got a 2xx or 3xx response" in capfd.readouterr().out


def test_the_report_goes_to_a_file(project, capfd):
    directory = project(BROKEN)

    assert command.main(["main:app", "--format", "json", "-o", "report.json"]) == 1

    assert capfd.readouterr().out == ""
    assert json.loads((directory / "report.json").read_text())["exit_code"] == 1
    assert command.main(["main:app", "-o", "none/report"]) == 2


def test_ignoring_and_a_baseline_accept(project):
    project(BROKEN)

    assert command.main(["main:app", "--ignore", "A-CL-01"]) == 0
    assert command.main(["main:app", "--write-baseline", "known.json"]) == 1
    assert command.main(["main:app", "--baseline", "known.json"]) == 0
    project(BROKEN.replace('[b"hello"]', "['hello']"))
    assert command.main(["main:app", "--baseline", "known.json"]) == 1


def test_a_call_that_ends_the_process_is_a_finding_and_the_rest_is_checked(project, capfd):
    project(
        SOUND.replace(
            "    start",
            "    if environ['PATH_INFO'] == '/end':\n        import os; os._exit(9)\n    start",
        )
    )

    assert command.main(["main:app", "--path", "/end", "--path", "/"]) == 1

    out = capfd.readouterr().out
    assert "error  C-LIVE-01 MUST: It ends the process: exit code 9." in out
    assert "No more requests to /end after GET /end" in out
    assert " x 200" in out


def test_a_call_that_hangs_is_a_finding_with_its_line(project, capfd):
    project("import threading\ndef app(e, s):\n    threading.Event().wait()\n")

    assert command.main(["main:app", "--timeout", "100ms"]) == 1

    out = capfd.readouterr().out
    assert "C-TIME-01 MUST: It has not started its response after 0.1 s." in out
    assert "  at       main.py:3, in app" in out


@pytest.mark.parametrize(
    "body",
    ["while True:\n        yield b'data'", "yield b'data'\n    threading.Event().wait()"],
    ids=["endless", "waits"],
)
def test_endless_body_is_not_a_finding(project, capfd, body):
    start = "    s('200 OK', [('Content-Type', 'text/event-stream')])\n"
    project(f"import threading\ndef app(e, s):\n{start}    {body}\n")

    assert command.main(["main:app", "--timeout", "200ms", "--strict"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "passed: nothing found"


def test_an_internal_error_is_5(project, capfd, monkeypatch):
    project(SOUND)
    monkeypatch.setattr(command, "check", lambda *_: 1 / 0)

    assert command.main(["main:app"]) == 5

    assert "ZeroDivisionError" in (err := capfd.readouterr().err)
    assert err.endswith("internal error, please report the lines above\n")


def test_ctrl_c_ends_the_checker_and_its_sandbox(project, tmp_path):
    project(
        "import os\nopen('pid', 'w').write(str(os.getpid()))\n"
        "import threading\ndef app(e, s):\n"
        "    print('asked', file=open('asked', 'w'), flush=True)\n    threading.Event().wait()\n"
    )
    os.mkfifo(tmp_path / "asked")
    words = [sys.executable, "-m", "iotax", "check", "main:app"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        (tmp_path / "asked").read_text()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""

    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_middleware_alone_is_checked(project, capfd):
    project("def wrap(app):\n    return lambda e, s: [b''.join(app(e, s))]\n")

    assert command.main(["--middleware", "main:wrap"]) == 1

    out = capfd.readouterr().out
    assert "M-BLK-04 MUST: " in out
    assert "main.py:" in out


def test_help_names_every_option(capfd):
    with pytest.raises(SystemExit) as stopped:
        command.main(["-h"])

    assert stopped.value.code == 0
    assert "--write-baseline" in capfd.readouterr().out
    assert clauses()


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_each_request_in_one_line():
    out = Terminal()
    progress = command.Progress(out)

    progress("1 request so far, now GET /")
    progress("2 requests so far, now " + "GET /x" * 100)

    assert out.getvalue().startswith(f"{command.CLEAR}1 request so far, now GET /{command.CLEAR}2 ")
    assert "\n" not in out.getvalue()
    assert len(out.getvalue()) < 300


def test_a_log_gets_a_line_when_nothing_was_written_for_a_while():
    out, clock = io.StringIO(), Clock()
    progress = command.Progress(out, clock)
    for _ in range(25):
        clock.now += 1
        progress("7 requests so far, now GET /events")

    line = "iotax check: {} s, 7 requests so far, now GET /events\n"
    assert out.getvalue() == line.format(10) + line.format(20)


def test_slow_request_is_reported_each_second(project):
    project("""
import threading

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: one\\n\\n"
    threading.Event().wait()
""")
    told = []
    sandbox = SandboxProcess(Settings("main:app", timeout=2.5), progress=told.append)
    sandbox.start()
    try:
        seen = sandbox.play("plain", RequestSpec("GET", "/events"))
    finally:
        sandbox.close()

    assert [line for line in told if "import" not in line][:3] == [
        "GET /events",
        "GET /events, for 1 s",
        "GET /events, for 2 s",
    ]
    assert not seen["findings"]

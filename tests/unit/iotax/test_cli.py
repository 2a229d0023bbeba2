"""The command's output, its order, and the exit codes."""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_extension import ScriptedWorker

from iotax import cli
from iotax._command import start
from iotax._runtime import worker as worker_module

APP = "def app(environ, start_response):\n    return []\n"


@pytest.fixture(autouse=True)
def _signals_and_leaving(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore the signal handlers and disable the exit guard, because the command serves in this
    process and returns to the test."""
    monkeypatch.setenv("IOTAX_WORKERS", "0")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
    former = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(start.ExitGuard, "start", lambda _self: None)
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def main_py(project: Path) -> None:
    (project / "main.py").write_text(APP, encoding="utf-8")


def error_of(capfd: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    assert cli.main(arguments) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


# ---- usage, exit code 2


def test_without_arguments_it_prints_usage_with_two_examples(
    capfd: pytest.CaptureFixture[str],
) -> None:
    err = error_of(capfd, code=2)
    assert err.startswith("usage: iotax [options] APP\n")
    assert err.count("\n  iotax ") == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--port", "80"], "iotax: APP is missing, e.g. iotax main:app"),
        (["main:app", "x"], 'unexpected argument "x"; expected one APP'),
        (["--port"], "--port needs a value; expected an integer from 0 to 65535, e.g. --port 8001"),
        (
            ["main:app", "--bind"],
            "--bind needs a value; expected host:port, [v6]:port, :port, *:port, unix:PATH, fd:",
        ),
        (["main:app", "--factory=1"], "--factory takes no value; the option alone turns it on"),
        (["main:app", "--prot", "80"], "unknown option --prot: did you mean --port?"),
        (["main:app", "--limit-bdy=1"], "unknown option --limit-bdy: did you mean --limit-body?"),
        (["main:app", "--thread", "2"], "unknown option --thread: did you mean --threads?"),
        (["main:app", "--acces-log"], "unknown option --acces-log: did you mean --access-log?"),
        (["main:app", "--qqqqqqqqqq"], "unknown option --qqqqqqqqqq: iotax -h lists all"),
        (["main:app", "-z"], "unknown option -z: iotax -h lists all"),
        (["main:app", "--port", "80a"], '--port: "80a" is not an integer; expected a'),
        (["main:app", "-b", ":1", "--port", "2"], "--bind and --port cannot be combined"),
        (["main:app", "--chdir", "nowhere"], 'chdir: cannot enter "nowhere": No such file'),
        (["main:app", "--error-logfile", "no/x"], '--error-logfile: cannot open "no/x": No'),
        (["main:app", "--access-logfile", "."], '--access-logfile: cannot open ".": Is a'),
        (["--port", "1", "check"], "check must come first, e.g. iotax check main:app"),
        (
            ["main:app", "--timeout", "30"],
            "--timeout is an option of other servers; use --request-timeout for calls,"
            " --receive-timeout for clients",
        ),
        (["main:app", "-t30"], "-t is an option of other servers; use --request-timeout"),
        (["main:app", "-k", "gthread"], "-k is an option of other servers; use --threads for"),
        (["main:app", "--worker-class=x"], "--worker-class is an option of other servers; use"),
        (["main:app", "--uds", "/x"], "--uds is an option of other servers; use --bind unix:PATH"),
        (["main:app", "--limit-max-requests", "1"], "use --max-requests"),
        (["main:app", "--timeout-keep-alive", "5"], "use --keep-alive"),
        (["main:app", "-D"], "-D is an option of other servers; use systemd, or another super"),
        (["main:app", "--uid", "web"], "--uid is an option of other servers; use --user"),
        (["main:app", "--reuse-port"], "free threads decide who accepts"),
        (["main:app", "--log-config", "x"], "iotax does not configure Python's logging"),
        (["main:app", "--proxy-protocol"], "use --bind proxy://ADDR, with --proxy-protocol-from"),
        (["main:app", "--paste", "x.ini"], "with paste.deploy.loadapp"),
        (
            ["main:app", "--config", "gunicorn.conf.py"],
            "--config gunicorn.conf.py is a configuration of another server; translate it: iotax"
            " migrate gunicorn.conf.py >iotax.toml",
        ),
        (["--config=a/site.ini"], "translate it: iotax migrate a/site.ini >iotax.toml"),
        (["main:app", "-c", "x.py"], "-c is an option of other servers; use --config FILE"),
        (["main:app", "--interface", "wsgi"], "WSGI is the only interface, leave it out"),
        (["main:app", "--http", ":8000"], "use --bind, e.g. --bind :8000"),
    ],
)
def test_usage_error_is_one_line_and_exits_with_2(
    capfd: pytest.CaptureFixture[str], main_py: None, arguments: list[str], text: str
) -> None:
    err = error_of(capfd, *arguments, code=2)
    assert text in err
    assert err.startswith("iotax: ")
    assert err.count("\n") == 1


def test_bad_variable_is_explained_and_exits_with_2(
    capfd: pytest.CaptureFixture[str], main_py: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTAX_LIMIT_BODY", "lots")
    err = error_of(capfd, "main:app", code=2)
    assert err.startswith('iotax: IOTAX_LIMIT_BODY: "lots" is not a size; expected bytes as a')
    assert err.endswith("e.g. IOTAX_LIMIT_BODY=10M\n")


def test_every_error_of_a_settings_file_is_a_line(
    capfd: pytest.CaptureFixture[str], project: Path
) -> None:
    (project / "iotax.toml").write_text("treads = 8\nthreads = 0\n", encoding="utf-8")
    assert error_of(capfd, "main:app", code=2).splitlines() == [
        'iotax: iotax.toml:1: unknown key "treads": did you mean threads?',
        "iotax: iotax.toml:2: threads: 0 is too small; expected an integer from 1 to 1000, e.g."
        " threads = 8",
    ]


def test_missing_app_is_explained_with_an_example(
    capfd: pytest.CaptureFixture[str], project: Path
) -> None:
    (project / "iotax.toml").write_text("threads = 8\n", encoding="utf-8")
    line = 'iotax: APP is missing, e.g. iotax main:app, or app = "main:app" in iotax.toml\n'
    assert error_of(capfd, code=2) == line
    assert error_of(capfd, "", code=2).startswith('iotax: APP: "" is empty; expected module:attr')


def test_help_and_version_are_not_errors(capfd: pytest.CaptureFixture[str]) -> None:
    for argument in ("-h", "--help", "--version"):
        with pytest.raises(SystemExit) as end:
            cli.main([argument])
        assert end.value.code == 0
        assert capfd.readouterr().err == ""


# ---- cannot load 3, cannot bind 4, internal 1


def test_port_in_use_is_reported_before_the_import(
    capfd: pytest.CaptureFixture[str], project: Path
) -> None:
    (project / "main.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        err = error_of(capfd, "--port", str(port), "main:app", code=4)
        assert err == (
            f"iotax: 127.0.0.1:{port} is in use: stop the other process or take another port,"
            f" e.g. --port {port + 1}\n"
        )
        err = error_of(capfd, "-b", f"127.0.0.1:{port}", "main:app", code=4)
        assert err.endswith(f"e.g. --bind 127.0.0.1:{port + 1}\n")


def test_application_that_cannot_be_loaded_exits_with_3(
    capfd: pytest.CaptureFixture[str], main_py: None, log: list[str]
) -> None:
    err = error_of(capfd, "--port", "0", "main:ap", code=3)
    assert "\nCannot load the application main:ap\n" in err
    assert "\nFix:     did you mean main:app?\n" in err
    assert not any("Listening" in line for line in log)


def test_internal_error_exits_with_1(
    capfd: pytest.CaptureFixture[str], main_py: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "Command", lambda *_: 1 / 0)
    assert cli.main(["main:app"]) == 1
    assert capfd.readouterr().err.endswith("internal error, please report the lines above\n")


# ---- the start


def test_start_prints_and_logs_its_lines_in_order(
    capfd: pytest.CaptureFixture[str], main_py: None, log: list[str], worker: type[ScriptedWorker]
) -> None:
    assert cli.main(["--port", "0", "main:app"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    found = re.fullmatch(r"iotax v\S+\nRunning main:app\nAddress: http://127\.0\.0\.1:(\d+)\n", err)
    assert found
    opened, *lines = log
    assert opened.startswith("open: [2, 1] {'level': 'info', 'color': False, 'prefix': True,")
    assert lines == [
        f"info: Started server process [{os.getpid()}]",
        f"info: Listening on http://127.0.0.1:{found[1]}",
    ]
    (made,) = worker.made
    assert made.application is sys.modules["main"].app  # type: ignore[comparison-overlap]
    assert [label for _, label in made.listeners] == [f"127.0.0.1:{found[1]}"]
    assert made.options["threads"] == 1


@pytest.mark.parametrize(
    ("name", "head", "shown"),
    [
        ("iotax.toml", "", "iotax.toml"),
        ("pyproject.toml", "[tool.iotax]\n", "[tool.iotax] of pyproject.toml"),
    ],
)
def test_settings_file_is_named_and_gives_the_application(
    capfd: pytest.CaptureFixture[str],
    main_py: None,
    project: Path,
    worker: type[ScriptedWorker],
    name: str,
    head: str,
    shown: str,
) -> None:
    (project / name).write_text(
        f'{head}app = "main:app"\nport = 0\nthreads = 3\n', encoding="utf-8"
    )
    assert cli.main([]) == 0
    assert f"\nRunning main:app\nSettings: {shown}\nAddress: " in capfd.readouterr().err
    assert worker.made[0].options["threads"] == 3
    (project / "other.py").write_text(APP, encoding="utf-8")
    assert cli.main(["other:app"]) == 0
    assert "\nRunning other:app\n" in capfd.readouterr().err, "APP beats the file"


def test_file_is_looked_for_before_chdir(
    capfd: pytest.CaptureFixture[str],
    project: Path,
    worker: type[ScriptedWorker],
) -> None:
    (project / "app").mkdir()
    (project / "app/main.py").write_text(APP, encoding="utf-8")
    (project / "app/iotax.toml").write_text("threads = 0", encoding="utf-8")
    text = 'app = "main:app"\nport = 0\nchdir = "app"\nerror-logfile = "server.log"\n'
    (project / "iotax.toml").write_text(text, encoding="utf-8")
    assert cli.main([]) == 0
    assert Path.cwd() == project / "app"
    assert (project / "app/server.log").exists(), "other relative paths start after chdir"


def test_a_wildcard_is_printed_with_a_link(
    capfd: pytest.CaptureFixture[str], main_py: None, worker: type[ScriptedWorker]
) -> None:
    assert cli.main(["--host", "0.0.0.0", "--port", "0", "main:app"]) == 0
    assert re.search(
        r"Address: http://0\.0\.0\.0:(\d+)\n"
        r"Address: http://127\.0\.0\.1:\1 \(from this machine\)\n",
        capfd.readouterr().err,
    )


def test_usual_attribute_that_was_used_is_printed(
    main_py: None, log: list[str], worker: type[ScriptedWorker]
) -> None:
    assert cli.main(["--port", "0", "main"]) == 0
    assert "info: Taking main:app: no attribute was named" in log


def test_unknown_variable_is_a_warning(
    main_py: None, log: list[str], worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTAX_PROT", "80")
    assert cli.main(["--port", "0", "main:app"]) == 0
    assert (
        "warning: Ignoring the unknown variable IOTAX_PROT; the nearest known one is IOTAX_PORT"
        in log
    )


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", True), ("::1", True), ("::", False)])
def test_pid_1_on_loopback_is_a_warning(
    main_py: None,
    log: list[str],
    worker: type[ScriptedWorker],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    warned: bool,
) -> None:
    monkeypatch.setattr(cli.os, "getpid", lambda: 1)
    assert cli.main(["--host", host, "--port", "0", "main:app"]) == 0
    assert any("cannot be reached from outside this container" in line for line in log) == warned


@pytest.mark.parametrize(
    ("host", "warned"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("*", True)]
)
def test_reload_warns_where_its_error_pages_leave_this_machine(
    main_py: None, log: list[str], monkeypatch: pytest.MonkeyPatch, host: str, warned: bool
) -> None:
    class Stopped:
        def __init__(self, *_: object, **_named: object) -> None: ...

        def run(self) -> int:
            return 0

    monkeypatch.setenv("IOTAX_WORKERS", "1")
    monkeypatch.setattr(cli, "_supervisor", lambda _config: Stopped)
    assert cli.main(["--reload", "--host", host, "--port", "0", "main:app"]) == 0
    assert any(line.startswith("warning: --reload shows tracebacks") for line in log) == warned


def test_every_address_is_greeted_with_one_link(
    main_py: None, worker: type[ScriptedWorker], capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--host", "*", "--port", "0", "main:app"]) == 0
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("Address: ")]
    port = lines[0].rpartition(":")[2]
    assert lines == [
        f"Address: http://0.0.0.0:{port}",
        f"Address: http://127.0.0.1:{port} (from this machine)",
        f"Address: http://[::]:{port}",
    ]


def test_start_on_a_terminal_prints_how_to_stop(
    main_py: None,
    worker: type[ScriptedWorker],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli.terminal, "is_terminal", lambda: True)
    assert cli.main(["--port", "0", "main:app"]) == 0
    assert capfd.readouterr().err.endswith("\nPress Ctrl-C to stop\n")
    assert worker.made[0].options["interactive"] is True


def test_output_of_the_application_is_line_buffered(
    main_py: None, worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with open(tmp_path / "out", "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main(["--port", "0", "main:app"]) == 0
        assert stream.line_buffering


def test_log_files_are_opened(main_py: None, log: list[str], worker: type[ScriptedWorker]) -> None:
    files = ["--access-logfile", "access.log", "--error-logfile", "server.log"]
    assert cli.main([*files, "--port", "0", "main:app"]) == 0
    assert Path("access.log").exists()
    assert Path("server.log").exists()
    assert cli.main(["--no-access-log", "--color", "always", "--port", "0", "main:app"]) == 0
    assert log[-3].startswith("open: [2, -1] {'level': 'info', 'color': True, 'prefix': True,")


@pytest.mark.parametrize(
    ("environ", "choice", "colored"),
    [
        ({"FORCE_COLOR": "1"}, "auto", True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "auto", False),
        ({"NO_COLOR": "1"}, "always", True),
        ({"FORCE_COLOR": "1"}, "never", False),
        ({}, "auto", False),
    ],
)
def test_color_follows_the_option_and_the_terminal(
    main_py: None,
    log: list[str],
    worker: type[ScriptedWorker],
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    choice: str,
    colored: bool,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["--color", choice, "--port", "0", "main:app"]) == 0
    assert f"'color': {colored}" in log[0]


# ---- stopping


@pytest.mark.parametrize(("number", "how"), [(signal.SIGTERM, "drain"), (signal.SIGINT, "prompt")])
def test_a_signal_stops_with_code_0(
    main_py: None, worker: type[ScriptedWorker], number: signal.Signals, how: str
) -> None:
    worker.script = staticmethod(lambda _: signal.raise_signal(number))
    assert cli.main(["--port", "0", "main:app"]) == 0
    assert worker.made[0].calls == ["install own", how, "restore", "now"]


class _LeftError(Exception):
    """Raised instead of exiting the process."""


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    codes: list[int] = []

    def exit_now(code: int) -> None:
        codes.append(code)
        raise _LeftError

    monkeypatch.setattr(start, "exit_now", exit_now)
    return codes


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_half_a_second_later_stops_immediately(
    main_py: None,
    log: list[str],
    worker: type[ScriptedWorker],
    left: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    second: signal.Signals,
) -> None:
    clock = iter([100.0, 100.0, 100.4, 100.5])
    seen: list[list[int]] = []

    def script(made: ScriptedWorker) -> None:
        monkeypatch.setattr(worker_module.time, "monotonic", lambda: next(clock, 101.0))
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(second)
        seen.append([*left])
        signal.raise_signal(second)

    worker.script = staticmethod(script)
    path = tmp_path / "s"
    with pytest.raises(_LeftError):
        cli._run(["-b", f"unix:{path}", "main:app"])
    assert seen == [[]]
    assert left == [128 + second]
    assert f"warning: Stopped immediately by {second.name}; 2 requests aborted" in log
    assert not path.exists()


def test_quit_stops_immediately(
    main_py: None, worker: type[ScriptedWorker], left: list[int]
) -> None:
    worker.script = staticmethod(lambda _: signal.raise_signal(signal.SIGQUIT))
    with pytest.raises(_LeftError):
        cli._run(["--port", "0", "main:app"])
    assert left == [128 + signal.SIGQUIT]


def test_a_signal_while_loading_stops_with_code_0(
    capfd: pytest.CaptureFixture[str], project: Path, worker: type[ScriptedWorker]
) -> None:
    for name in ("SIGINT", "SIGTERM"):
        text = f"import signal\nsignal.raise_signal(signal.{name})\n"
        (project / f"main_{name.lower()}.py").write_text(text, encoding="utf-8")
        assert cli.main(["--port", "0", f"main_{name.lower()}:app"]) == 0
        assert "Traceback" not in capfd.readouterr().err
    assert worker.made == []


def test_process_exits_without_cleanup_when_a_call_does_not_return(
    main_py: None, worker: type[ScriptedWorker], left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "JOIN_SECONDS", 0.0)

    def script(made: ScriptedWorker) -> None:
        made.hold = True
        made.stop("script")

    worker.script = staticmethod(script)
    with pytest.raises(_LeftError):
        cli._run(["--port", "0", "--threads", "2", "main:app"])
    assert left == [0]

"""The command from the user's view: start, every error message, exit codes."""

import ctypes
import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest
from support.server import APPS, SAMPLES, Server, environment, run_command
from support.wire import Connection

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 \[\d+\] "


def refused(code, *arguments, cwd=APPS, **more):
    """The output of the command when it exits with `code` and serves nothing."""
    done = run_command(*arguments, cwd=cwd, **more)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Listening" not in done.stderr
    return done.stderr


# ---- start


@pytest.mark.smoke
def test_start_prints_version_application_and_addresses(start):
    server = start("hello:application", cwd=SAMPLES)
    lines = server.err.text.splitlines()
    assert re.fullmatch(r"iotax v\d+\.\d+\.\d+\S*", lines[0])
    assert lines[1] == "Running hello:application"
    assert lines[2] == f"Address: http://127.0.0.1:{server.port}"
    assert re.fullmatch(STAMP + rf"INFO:     Started supervisor \[{server.pid}\]", lines[3])
    assert re.fullmatch(STAMP + r"INFO:     Started server process \[\d+\]", lines[4])
    assert re.fullmatch(STAMP + rf"INFO:     Listening on {re.escape(server.url)}", lines[5])


def test_start_without_a_supervisor_is_printed(start):
    server = start("hello:application", "--workers", "0", cwd=SAMPLES)
    assert f"Started server process [{server.pid}]" in server.err.text
    assert "supervisor" not in server.err.text


def test_attribute_that_is_served_is_printed(start, project):
    directory = project("one", "def app(environ, start_response): pass")
    server = start("one", cwd=directory)
    server.err.wait_for("INFO: .*one:app")
    directory = project("both", "def app(e, s): pass\ndef application(e, s): pass")
    server = start("both", cwd=directory)
    server.err.wait_for("INFO: .*both:application")


ANSWERS = """
def answer(text):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [text.encode()]
    return app
class Holder:
    inner = staticmethod(answer("inner"))
def create_app(name="plain", *, number=0):
    return answer(f"{name} {number}")
application = answer("usual")
"""


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["pkg.deep.main"], "usual"),
        (["pkg.deep.main:application"], "usual"),
        (["pkg.deep.main:Holder.inner"], "inner"),
        (["pkg.deep.main:create_app()"], "plain 0"),
        (['pkg.deep.main:create_app("given", number=7)'], "given 7"),
        (["--factory", "pkg.deep.main:create_app"], "plain 0"),
    ],
)
def test_application_is_found_however_it_is_named(start, project, arguments, body):
    directory = project("pkg.deep.main", ANSWERS)
    with Connection(start(*arguments, cwd=directory).port) as connection:
        assert connection.ask("/").text == body


def test_modules_are_found_by_chdir_and_pythonpath(start, project, tmp_path):
    directory = project("main", "import helper\napplication = helper.application")
    library = tmp_path / "library"
    library.mkdir()
    (library / "helper.py").write_text(ANSWERS)
    options = ["--chdir", str(directory), "--pythonpath", str(library)]
    with Connection(start("main", *options, cwd=tmp_path).port) as connection:
        assert connection.ask("/").text == "usual"


def test_every_named_address_is_served(start, tmp_path):
    path = tmp_path / "socket"
    server = start("views", "--bind", "127.0.0.1:0", "-b", f"unix:{path}")
    server.err.wait_for(f"Listening on unix:{re.escape(str(path))}")
    with Connection(path=str(path)) as connection:
        found = json.loads(connection.ask("/environ").text)
        assert found["REMOTE_ADDR"] == ""
    with Connection(server.port) as connection:
        assert connection.ask("/hello").status == 200
    server.stop()
    assert not path.exists()


def test_unix_socket_has_the_mode_of_unix_mode(start, tmp_path):
    path = tmp_path / "socket"
    start("views", "--bind", f"unix:{path}", "--unix-mode", "600")
    assert path.stat().st_mode & 0o777 == 0o600


def test_stale_unix_socket_is_replaced(start, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(path))
    start("views", "--bind", f"unix:{path}")
    with Connection(path=str(path)) as connection:
        assert connection.ask("/hello").status == 200


def test_ipv6_address_is_served(start):
    server = start("views", "--bind", "[::1]:0")
    with socket.create_connection(("::1", server.port)) as connection:
        connection.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_port_in_the_environment_is_served_on_every_address(start):
    """As hosts of containers set it: then for every address, with a line for a browser on this
    machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server("views", "--host", "127.0.0.1", env={"PORT": str(port)})
    try:
        server.err.wait_for(rf"Listening on http://127\.0\.0\.1:{port}$")
    finally:
        server.kill()


def test_wildcard_address_is_printed_with_a_link(start):
    server = start("views", "--host", "0.0.0.0", "--port", "0")
    server.err.wait_for(rf"^Address: http://0\.0\.0\.0:{server.port}$")
    server.err.wait_for(rf"^Address: http://127\.0\.0\.1:{server.port}\b")


def test_variables_set_options_and_flags_beat_them(start):
    server = start("views", env={"IOTAX_LIMIT_BODY": "1", "IOTAX_THREADS": "2"})
    with Connection(server.port) as connection:
        connection.request("POST", "/digest", body=b"xx")
        assert connection.answer().status == 413
    server = start("views", "--limit-body", "5", env={"IOTAX_LIMIT_BODY": "1"})
    with Connection(server.port) as connection:
        assert connection.ask("/digest", method="POST", body=b"xx").status == 200


def test_unknown_variable_is_a_warning_that_names_the_nearest(start):
    server = start("views", env={"IOTAX_TREADS": "2", "IOTAX_APP": "x:y"})
    server.err.wait_for("WARNING: .*IOTAX_TREADS.*IOTAX_THREADS")
    assert "IOTAX_APP" not in server.err.text


def test_versions_are_printed():
    done = run_command("--version", cwd=APPS)
    assert done.returncode == 0
    python = sys.version.split()[0]
    number = r"\d+\.\d+\.\d+\S*"
    assert re.fullmatch(
        rf"iotax {number} \(Python {re.escape(python)}, llhttp {number}\)\n", done.stdout
    )


def test_help_names_every_option():
    done = run_command("-h", cwd=APPS)
    assert done.returncode == 0
    for option in (
        "--bind",
        "--threads",
        "--limit-body",
        "--forwarded-allow-ips",
        "--no-access-log",
    ):
        assert option in done.stdout


# ---- exit 2: usage


def test_without_arguments_it_prints_usage_with_two_examples():
    text = refused(2)
    assert text.startswith("usage: iotax")
    assert len(re.findall(r"^ +iotax .*:", text, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["views", "--threds", "4"], "--threds.*--threads"),
        (["views", "--limit-bodies=4"], "--limit-bodies.*--limit-body"),
        (["views", "--thread", "4"], "--thread.*--threads"),  # no abbreviations
        (["views", "-x"], "-x"),
        (["--threads", "4"], "APP is missing.*iotax main:app"),
        (["views", "another"], "another.*one APP"),
        (["--threads", "4", "check"], "check:app"),
        (["views", "--threads"], r"--threads needs a value.*--threads 8"),
        (["views", "--threads", "0"], r'--threads: "0".*1.*--threads 8'),
        (["views", "--threads", "many"], r'--threads: "many".*--threads 8'),
        (["views", "--port", "70000"], r'--port: "70000".*65535.*--port 8001'),
        (["views", "--limit-body", "10X"], r'--limit-body: "10X".*K, M.*--limit-body 10M'),
        (
            ["views", "--keep-alive", "5 days"],
            r'--keep-alive: "5 days".*ms, s, m.*--keep-alive 75s',
        ),
        (["views", "--log-level", "loud"], r'--log-level: "loud".*warning'),
        (["views", "--unix-mode", "999"], r'--unix-mode: "999".*--unix-mode 660'),
        (["views", "--bind", "nowhere"], r'--bind: "nowhere".*--bind'),
        (
            ["views", "--forwarded-allow-ips", "proxy"],
            r'--forwarded-allow-ips: "proxy".*127\.0\.0\.1',
        ),
        (["views", "--bind", ":1", "--port", "2"], "--bind and --port cannot be combined"),
        (["views", "--bind", ":1", "--host", "a"], "--bind and --host cannot be combined"),
        (["views", "--chdir", "/nowhere"], "chdir.*/nowhere.*No such file"),
        (["views", "--error-logfile", "/nowhere/x.log"], "--error-logfile.*/nowhere/x.log"),
        (["views", "--factory=yes"], "--factory takes no value"),
        # options of other servers
        (["views", "--timeout", "30"], "--timeout.*--receive-timeout"),
        (["views", "-t", "30"], "-t.*--receive-timeout"),
        (["views", "-k", "gthread"], "-k.*--threads"),
        (["views", "--worker-class", "sync"], "--worker-class.*--threads"),
        (["views", "--uds", "/tmp/x"], "--uds.*--bind unix:"),
        (["views", "--timeout-keep-alive", "5"], "--timeout-keep-alive.*--keep-alive"),
        (["views", "-c", "conf.py"], "-c is an option of other servers; use --config FILE"),
        (["views", "--config", "no.toml"], "--config no.toml cannot be read: No such file"),
        (["views", "--interface", "wsgi"], "--interface.*WSGI"),
        (["views", "--http", ":8000"], "--http.*--bind"),
        (["views", "--limit-max-requests", "5"], "--limit-max-requests"),
    ],
)
def test_usage_error_is_explained_and_exits_with_2(arguments, words):
    text = refused(2, *arguments)
    assert re.search(words, text), text
    assert text.startswith("iotax: ")
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("IOTAX_THREADS", "none", "IOTAX_THREADS.*IOTAX_THREADS=8"),
        ("PORT", "http", "PORT.*65535"),
        ("FORWARDED_ALLOW_IPS", "proxy", "FORWARDED_ALLOW_IPS"),
    ],
)
def test_bad_variable_is_explained_and_exits_with_2(variable, value, words):
    text = refused(2, "views", env={variable: value})
    assert re.search(words, text), text


# ---- exit 3: the application cannot be loaded


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("module", "text", "app", "words"),
    [
        ("main", "", "mian:app", ["not found", "main:app"]),
        ("main", "", "main.app", ["main:app"]),
        ("pkg.main", "", "pkg.mian:app", ["not found", "pkg.main"]),
        ("main", "import flaskk", "main:app", ["import flaskk", "flaskk", "pip install"]),
        ("main", "1 / 0", "main:app", ["main.py", "1 / 0", "ZeroDivisionError"]),
        ("main", "x = (", "main:app", ["SyntaxError", "line 1", "main.py"]),
        ("main", "raise SystemExit(0)", "main:app", ["__main__"]),
        ("main", "def application(e, s): pass", "main:app", ['no attribute "app"', "application"]),
        ("main", "x = 1", "main", ["application", "app"]),
        ("main", "app = 5", "main:app", ["int", "must be callable"]),
        ("main", "async def app(scope, receive, send): pass", "main:app", ["ASGI"]),
        (
            "main",
            "class A:\n async def __call__(self, s, r, d): pass\napp = A()",
            "main:app",
            ["ASGI"],
        ),
        ("main", "def create_app(): 1 / 0", "main:create_app()", ["create_app", "1 / 0"]),
        ("main", "def create_app(): pass", "main:create_app()", ["returned None"]),
        ("main", "def create_app(name): pass", "main:create_app()", ["name"]),
        ("main", "x = 1", "main:create_app(x)", ["literal"]),
        ("main", "x = 1", "main:app-2", ["neither an attribute"]),
        ("main", "x = 1", "main.py", ["is a file", "main:app"]),
        ("main", "x = 1", "main:", ["colon"]),
    ],
)
def test_application_that_cannot_be_loaded_is_explained_and_exits_with_3(
    project, module, text, app, words
):
    directory = project(module, text)
    screen = refused(3, app, cwd=directory, env={"IOTAX_PORT": "0"})
    for word in words:
        assert word in screen, screen
    for label in ("Tried:", "From:", "Problem:", "Fix:"):
        assert label in screen, screen
    assert str(directory) in screen
    assert not re.search(r'File ".*/iotax/', screen), screen  # no frames of iotax
    assert "importlib" not in screen


def test_factory_flag_and_call_exclude_each_other(project):
    directory = project("main", ANSWERS)
    screen = refused(3, "--factory", "main:create_app()", cwd=directory, env={"IOTAX_PORT": "0"})
    assert "--factory" in screen


def test_interrupted_import_ends_quietly(gates, tmp_path, start):
    gate = gates("a")
    (tmp_path / "slow_import.py").write_text("from gate import stay\nstay('a')\n")
    env = {"GATES": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(tmp_path), *old_path()])}
    server = Server("slow_import:app", "--port", "0", env=env)
    try:
        gate.wait_entered()
        server.send_signal(2)
        assert server.wait() == 0
        assert "Traceback" not in server.err.wait_for_end()
    finally:
        server.kill()


def old_path():
    return [path for path in [environment().get("PYTHONPATH", "")] if path]


# ---- exit 4: the address cannot be opened


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.smoke
def test_port_in_use_is_refused_and_another_one_proposed(taken):
    text = refused(4, "views", "--port", str(taken))
    other = taken + 1 if taken < 65535 else taken - 1
    assert (
        f"127.0.0.1:{taken} is in use: stop the other process or take another port, "
        f"e.g. --port {other}" in text
    )
    assert "Traceback" not in text


def test_port_in_use_is_reported_before_the_import(taken, project):
    directory = project("main", "raise RuntimeError('imported')")
    text = refused(4, "main:app", "--port", str(taken), cwd=directory)
    assert "imported" not in text


def test_address_of_another_machine_is_refused():
    text = refused(4, "views", "--host", "203.0.113.1", "--port", "0")
    assert "203.0.113.1" in text
    assert "not an address of this machine" in text


def test_host_that_does_not_resolve_is_refused():
    text = refused(4, "views", "--host", "nowhere.invalid", "--port", "0")
    assert "nowhere.invalid" in text
    assert "does not resolve" in text


def drop_right_to_low_ports():
    """Root may bind them; dropping the capability from the bounding set prevents it after the
    exec (capabilities(7))."""
    drop_from_bounding_set, bind_service = 24, 10
    ctypes.CDLL(None).prctl(drop_from_bounding_set, bind_service, 0, 0, 0)


def test_port_without_permission_is_refused():
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    assert first > 1, "this system lets everybody bind every port"
    text = refused(4, "views", "--port", "1", preexec_fn=drop_right_to_low_ports)
    assert "127.0.0.1:1 is not permitted" in text
    assert "e.g. --port 8000" in text


def test_unix_path_that_cannot_be_bound_is_refused(start, tmp_path):
    path = tmp_path / "live"
    start("views", "--bind", f"unix:{path}")
    assert "is in use" in refused(4, "views", "--bind", f"unix:{path}")
    file = tmp_path / "file"
    file.write_text("kept")
    assert "a file of another type" in refused(4, "views", "--bind", f"unix:{file}")
    assert file.read_text() == "kept"
    assert "not found" in refused(4, "views", "--bind", f"unix:{tmp_path}/none/x")
    assert "too long" in refused(4, "views", "--bind", f"unix:{tmp_path}/{'x' * 110}")


# ---- other names of the same command


@pytest.mark.parametrize("module", ["iotax", "iotaX"])
def test_both_spellings_of_the_module_are_the_command(module):
    done = run_command("--version", cwd=APPS, module=module)
    assert done.stdout.startswith("iotax ")

"""iotax as a library: small programs, as a user would write them, in processes of their own."""

import signal
import subprocess
import sys
import textwrap

import pytest
from support import patience
from support.server import APPS, environment

ASK = """
import urllib.request

def ask(port, path="/"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return answer.read().decode()

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"from the library"]
"""


def run(program, *, code=0, **more):
    """Run `program` after ASK in the directory of the test applications. Returns its output."""
    done = subprocess.run(
        [sys.executable, "-c", ASK + textwrap.dedent(program)],
        cwd=APPS,
        env=environment({"NO_PROXY": "*"}),
        capture_output=True,
        text=True,
        timeout=patience.SECONDS,
        **more,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.smoke
def test_server_serves_in_the_background():
    done = run("""
        from iotax import Server
        server = Server(app, port=0, access_log=False)
        with server.background() as same:
            assert same is server
            assert server.port != 0
            print(ask(server.port))
        try:
            ask(server.port)
        except OSError:
            print("closed")
    """)
    assert done.stdout == "from the library\nclosed\n"


def test_server_serves_again_after_it_has_stopped():
    done = run("""
        from iotax import Server
        server = Server(app, port=0, access_log=False)
        for _ in range(3):
            with server.background():
                print(ask(server.port))
    """)
    assert done.stdout == "from the library\n" * 3


def test_two_servers_in_one_process():
    done = run("""
        from iotax import Server
        def other(environ, start_response):
            start_response("200 OK", [])
            return [b"the other one"]
        first = Server(app, port=0, access_log=False)
        second = Server(other, port=0, access_log=False, threads=2)
        with first.background(), second.background():
            print(ask(first.port), ask(second.port), sep="; ")
    """)
    assert done.stdout == "from the library; the other one\n"


def test_serve_in_a_thread_touches_no_signal():
    done = run("""
        import signal, threading
        from iotax.server import Server
        before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        server = Server(app, port=0, access_log=False).bind()
        thread = threading.Thread(target=server.serve)
        thread.start()
        print(ask(server.port))
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
        server.signal_exit()
        thread.join()
        print("back")
    """)
    assert done.stdout == "from the library\nback\n"


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_serve_in_the_main_thread_stops_by_signal_and_restores_handlers(number):
    done = run(f"""
        import os, signal, threading
        from iotax import Server
        def mine(*_): pass
        signal.signal(signal.SIGTERM, mine)
        server = Server(app, port=0, access_log=False).bind()
        def client():
            print(ask(server.port))
            os.kill(os.getpid(), signal.{number})
        threading.Thread(target=client).start()
        server.serve()
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        print("back")
    """)
    assert done.stdout == "from the library\nback\n"


def test_signal_exit_from_a_view_ends_serve():
    done = run("""
        import threading
        from iotax import Server
        def stopping(environ, start_response):
            server.signal_exit()
            return app(environ, start_response)
        server = Server(stopping, port=0, access_log=False).bind()
        found = []
        client = threading.Thread(target=lambda: found.append(ask(server.port)))
        client.start()
        server.serve()
        client.join()
        print(*found)
    """)
    assert done.stdout == "from the library\n"


def test_signal_exit_from_a_signal_handler_ends_serve():
    done = run("""
        import os, signal, threading
        from iotax import Server
        server = Server(app, port=0, access_log=False).bind()
        signal.signal(signal.SIGUSR1, lambda *_: server.signal_exit())
        def client():
            print(ask(server.port))
            os.kill(os.getpid(), signal.SIGUSR1)
        threading.Thread(target=client).start()
        server.serve()
        print("back")
    """)
    assert done.stdout == "from the library\nback\n"


@pytest.mark.parametrize("package", ["iotax", "iotaX"])
def test_run_takes_an_object_and_serve_takes_a_name(package):
    """Both find the port in use, so host and port are understood."""
    done = run(f"""
        import socket, sys
        from {package} import run, serve
        from {package}.server import Server, load_app
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for start, what in ((run, app), (serve, "views:application")):
            try:
                start(what, host="127.0.0.1", port=port)
            except OSError as error:
                print(f"{{port}} is in use" in str(error))
    """)
    assert done.stdout == "True\nTrue\n"


def test_run_serves_until_it_is_interrupted():
    program = """
        import sys
        from iotax import run
        run(app, host="127.0.0.1", port=0, access_log=False)
        print("back")
    """
    with subprocess.Popen(
        [sys.executable, "-c", ASK + textwrap.dedent(program)],
        cwd=APPS,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if "Listening on" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=patience.SECONDS)[0] == "back\n"
        assert process.returncode == 0


def test_the_old_spelling_gives_the_same_objects():
    run("""
        import iotax, iotaX, iotax.server, iotaX.server
        assert iotaX.serve is iotax.serve and iotaX.run is iotax.run
        assert iotaX.server.Server is iotax.server.Server is iotax.Server
        from iotaX.server import load_app
        assert load_app is iotax.load_app
    """)


def test_load_app_imports_again_only_with_reload(tmp_path):
    done = run(
        f"""
        import os, pathlib
        from iotax import LoadError, load_app
        os.chdir({str(tmp_path)!r})
        module = pathlib.Path("changing.py")
        module.write_text("def app(e, s): return 'first'")
        first = load_app("changing:app")
        module.write_text("def app(e, s): return 'second, longer'")
        print(first(0, 0), load_app("changing:app")(0, 0))
        print(load_app("changing:app", reload=True)(0, 0))
        try:
            load_app("changing:none")
        except LoadError as error:
            print("none" in str(error))
        """
    )
    assert done.stdout == "first first\nsecond, longer\nTrue\n"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ("Server(5)", "TypeError", "app"),
        ("Server('views:application')", "TypeError", "serve"),
        ("Server(app, prot=1)", "TypeError", "prot"),
        ("Server(app, port='x')", "ValueError", "port"),
        ("Server(app, port=70000)", "ValueError", "port"),
        ("Server(app, threads=0)", "ValueError", "threads"),
        ("Server(app, threads=1.5)", "TypeError", "threads"),
        ("Server(app, limit_body='10X')", "ValueError", "limit_body"),
        ("Server(app, bind=':1', port=2)", "ValueError", "bind"),
        ("Server(app, chdir='/')", "TypeError", "chdir"),
        ("iotax.serve(app)", "TypeError", "app"),
        ("iotax.run('views')", "TypeError", "app"),
        ("iotax.load_app(5)", "TypeError", "path"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    run(f"""
        import iotax
        from iotax import Server
        try:
            {call}
        except {error} as error:
            assert {words!r} in str(error), error
        else:
            raise SystemExit("nothing was raised")
    """)


def test_port_in_use_is_an_oserror():
    run("""
        import errno, socket
        from iotax import BindError, Server
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        try:
            Server(app, port=taken.getsockname()[1]).serve()
        except BindError as error:
            assert isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        else:
            raise SystemExit("nothing was raised")
    """)


def test_logging_of_the_application_is_not_touched():
    """iotax adds no handler to the root logger, and disabling all loggers does not silence its
    log."""
    done = run("""
        import logging
        logging.disable(logging.CRITICAL)
        from iotax import Server
        with Server(app, port=0).background() as server:
            ask(server.port, "/logged")
        assert logging.getLogger().handlers == []
    """)
    assert '"GET /logged HTTP/1.1" 200' in done.stdout
    assert "Listening on" in done.stderr


def test_flask_is_served_within_a_program():
    """The main use of background(): an application and a real client in one process."""
    done = run("""
        import flask
        from iotax import Server
        application = flask.Flask(__name__)
        @application.get("/<name>")
        def greet(name):
            return f"Hello, {name}!"
        with Server(application, port=0, threads=4, access_log=False).background() as server:
            print(ask(server.port, "/you"))
    """)
    assert done.stdout == "Hello, you!\n"

"""serve(), run(), Server and load_app(), under both spellings, over a scripted extension."""

import importlib
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from scripted_extension import ScriptedWorker

import iotax
from iotax import server as module
from iotax.server import Server, load_app, run, serve


def app(environ: object, start_response: object) -> list[bytes]:
    return []


def test_serve_returns_after_signal_exit(worker: type[ScriptedWorker], log: list[str]) -> None:
    server = Server(app, port=0, threads=2, limit_body="2M")
    worker.script = staticmethod(lambda _: server.signal_exit())
    server.serve()
    (made,) = worker.made
    assert made.application is app
    assert made.options["limit_body"] == 2 * 1024**2
    assert "prompt" in made.calls
    assert any(line.startswith("info: Listening on http://127.0.0.1:") for line in log)


def test_signal_exit_before_serve_is_not_lost(worker: type[ScriptedWorker]) -> None:
    server = Server(app, port=0)
    server.signal_exit()
    server.serve()
    assert worker.made[0].calls == []
    worker.script = staticmethod(lambda _: server.signal_exit())
    server.serve()
    assert "prompt" in worker.made[1].calls


def test_port_is_the_real_one_while_it_is_bound(worker: type[ScriptedWorker]) -> None:
    server = Server(app, port=0)
    assert server.port == 0
    assert Server(app).port == 8000
    server.bind()
    port = server.port
    assert port > 0
    ports: list[int] = []

    def script(made: ScriptedWorker) -> None:
        ports.append(server.port)
        made.stop("script")

    worker.script = staticmethod(script)
    server.serve()
    assert ports == [port]
    with socket.create_server(("127.0.0.1", port)):  # closed again
        pass


def test_close_gives_the_port_back() -> None:
    server = Server(app, port=0).bind()
    port = server.port
    server.close()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_background_serves_from_a_thread_of_its_own(worker: type[ScriptedWorker]) -> None:
    names: list[str] = []
    begun = threading.Event()

    def script(made: ScriptedWorker) -> None:
        names.append(threading.current_thread().name)
        begun.set()

    worker.script = staticmethod(script)
    with Server(app, port=0).background() as server:
        socket.create_connection(("127.0.0.1", server.port)).close()
        begun.wait()
    assert names == ["iotax-0"]
    assert worker.made[0].calls == ["prompt", "now"]
    assert all(thread.name != "iotax-0" for thread in threading.enumerate())


def test_background_raises_what_serving_raises(worker: type[ScriptedWorker]) -> None:
    begun = threading.Event()

    def script(made: ScriptedWorker) -> None:
        begun.set()
        raise OSError("no descriptors left")

    worker.script = staticmethod(script)
    with pytest.raises(OSError, match="no descriptors left"), Server(app, port=0).background():
        begun.wait()


def test_background_reports_a_port_in_use_immediately() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = Server(app, port=port)
        with pytest.raises(iotax.BindError, match=rf"is in use: .*e\.g\. port={port + 1}$"):
            server.background().__enter__()


def test_passed_socket_stays_with_the_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        for _ in range(2):
            server = Server(app, bind=f"fd://{sock.fileno()}").bind()
            assert server.port == sock.getsockname()[1]
            server.close()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    with pytest.raises(iotax.BindError, match=r"^fd://web: no passed socket has this name"):
        Server(app, bind="fd://web").bind()


def test_one_server_serves_once_at_a_time(worker: type[ScriptedWorker]) -> None:
    server = Server(app, port=0)

    def script(made: ScriptedWorker) -> None:
        with pytest.raises(RuntimeError, match="already serving"):
            server.serve()
        made.stop("script")

    worker.script = staticmethod(script)
    server.serve()


def test_signal_stops_serve_and_a_second_one_interrupts_the_call(
    worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 100.0])
    reached: list[str] = []

    def script(made: ScriptedWorker) -> None:
        monkeypatch.setattr("iotax._runtime.worker.time.monotonic", lambda: next(clock, 101.0))
        signal.raise_signal(signal.SIGINT)
        reached.append("first")
        signal.raise_signal(signal.SIGINT)
        reached.append("second")

    worker.script = staticmethod(script)
    Server(app, port=0).serve()
    assert reached == ["first"]
    assert worker.made[0].calls == ["install", "prompt", "now", "restore", "now"]


def test_a_second_signal_ends_the_process_if_a_call_in_another_thread_hangs(
    worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    left: list[int] = []
    ended = threading.Event()

    def exit_now(code: int) -> None:
        left.append(code)
        ended.set()

    monkeypatch.setattr("iotax._runtime.process_exit.exit_now", exit_now)
    monkeypatch.setattr(module, "JOIN_SECONDS", 0.0)

    def script(made: ScriptedWorker) -> None:
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr("iotax._runtime.stop_signals.SECOND_SIGNAL_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        ended.wait()

    worker.script = staticmethod(script)
    Server(app, port=0).serve()
    assert left == [128 + signal.SIGINT]


def test_background_abandons_a_request_that_does_not_return(
    worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    monkeypatch.setattr(module, "JOIN_SECONDS", 0.0)
    monkeypatch.setattr(module._AtExit, "abandoned", [])
    codes: list[int] = []
    monkeypatch.setattr(module, "exit_now", codes.append)
    hung, begun = threading.Event(), threading.Event()

    def script(made: ScriptedWorker) -> None:
        begun.set()
        hung.wait()

    worker.script = staticmethod(script)
    with Server(app, port=0, graceful_timeout=0).background():
        begun.wait()
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "iotax-0"]
    assert "warning: A request did not finish; its thread was abandoned" in log
    module._exit_with_threads()
    assert codes == [1]
    hung.set()
    thread.join()
    module._exit_with_threads()
    assert codes == [1]


def test_foreign_keyboard_interrupt_passes(worker: type[ScriptedWorker]) -> None:
    def script(made: ScriptedWorker) -> None:
        raise KeyboardInterrupt

    worker.script = staticmethod(script)
    with pytest.raises(KeyboardInterrupt):
        Server(app, port=0).serve()


def test_serve_binds_then_loads(worker: type[ScriptedWorker], project: Path) -> None:
    directory = project / "inner"
    directory.mkdir()
    text = "def create():\n    return lambda e, s: []\n"
    (directory / "main_x.py").write_text(text, encoding="utf-8")
    serve("main_x:create", port=0, chdir=str(directory), factory=True, threads=3)
    assert worker.made[0].options["threads"] == 3
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(iotax.BindError):
            serve("nowhere:app", port=other.getsockname()[1])
        with pytest.raises(iotax.LoadError, match="nowhere"):
            serve("nowhere:app", "127.0.0.1", 0)


def test_run_serves_an_object(worker: type[ScriptedWorker]) -> None:
    run(app, "127.0.0.1", 0)
    run(app, bind="127.0.0.1:0")
    assert [made.application for made in worker.made] == [app, app]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"^app must be callable, not str"):
        run("main:app")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^app must be a string"):
        serve(app)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^path must be a string"):
        load_app(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'^port: "70000" is too large'):
        run(app, port=70000)
    with pytest.raises(TypeError, match=r"^port: expected an integer .*, not float; e\.g\. port="):
        run(app, port=80.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^bind and port cannot be combined"):
        Server(app, port=80, bind=":80")
    with pytest.raises(TypeError, match=r"unknown argument prot: did you mean port\?"):
        Server(app, prot=80)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^factory is for loading"):
        run(app, factory=True)  # type: ignore[call-arg]


def test_load_app_reloads_on_demand(project: Path) -> None:
    (project / "main_y.py").write_text("def app(e, s):\n    return []\n", encoding="utf-8")
    first = load_app("main_y:app")
    assert load_app("main_y:app") is first
    assert load_app("main_y:app", reload=True) is not first
    assert load_app("main_y:app", True) is not first


def test_exit_skips_finalization_while_a_thread_is_in_a_call(
    worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotax._runtime.worker.JOIN_SECONDS", 0.0)
    monkeypatch.setattr(module._AtExit, "has_lost_thread", False)
    codes: list[int] = []
    monkeypatch.setattr(module, "exit_now", codes.append)
    module._exit_with_threads()
    assert codes == []

    def script(made: ScriptedWorker) -> None:
        made.hold = True
        made.stop("script")

    worker.script = staticmethod(script)
    Server(app, port=0, threads=2).serve()
    module._exit_with_threads()
    assert codes == [0]


def test_environment_and_settings_file_are_not_read(
    project: Path, worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "iotax.toml").write_text("threads = 7\n", encoding="utf-8")
    monkeypatch.setenv("IOTAX_THREADS", "5")
    monkeypatch.setenv("PORT", "1")
    run(app, port=0)
    assert worker.made[0].options["threads"] == 1


def test_the_old_spelling_gives_the_same_objects() -> None:
    old = importlib.import_module("iotaX")
    assert old is iotax
    for name in ("server", "testing", "cli"):
        assert importlib.import_module(f"iotaX.{name}") is importlib.import_module(f"iotax.{name}")
    scope: dict[str, object] = {}
    exec("from iotaX import serve, run\nfrom iotaX.server import Server, load_app", scope)
    assert scope["Server"] is Server
    assert scope["serve"] is serve


@pytest.mark.parametrize("name", ["_config", "_config.sources", "check.findings", "unknown"])
def test_the_old_spelling_has_public_modules_only(name: str) -> None:
    """Any other module would be a second copy, with different classes."""
    importlib.import_module("iotaX")
    with pytest.raises(ModuleNotFoundError, match="have the old spelling") as caught:
        importlib.import_module(f"iotaX.{name}")
    assert caught.value.name in (f"iotaX.{name}", f"iotaX.{name}".rpartition(".")[0])
    assert f"iotaX.{name}" not in sys.modules


@pytest.mark.parametrize("name", ["iotax", "iotaX"])
def test_python_m_is_the_command(name: str) -> None:
    command = [sys.executable, "-m", name, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("iotax ")

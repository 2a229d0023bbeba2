"""--reload: a save brings the new code, and no saved code ends the server.

Every kind of error is a test of its own. Tests wait for lines, responses and pipes.
"""

import contextlib
import os
import re
import shutil
import signal
import threading
import time

import pytest
from support.load import Load, mix
from support.processes import children, threads, wait_for_end
from support.project import VIEW, Project
from support.wire import Connection

GATE = f"import sys\nsys.path.append({str(os.path.join(os.path.dirname(__file__), 'apps'))!r})\n"

STREAM = """\
import time
def app(environ, start_response):
    start_response('200 OK', [])
    yield b'event'
    time.sleep(1000)
"""


@pytest.fixture
def project(start, tmp_path):
    project = Project(tmp_path / "project", start)
    project.answers("one")
    return project


@pytest.fixture
def served(project):
    project.serve()
    assert project.text() == "one"
    return project


def stays_alive(project):
    """It still brings the new code."""
    project.answers("alive")
    project.reloaded()
    assert project.text() == "alive"
    assert "internal error" not in project.server.err.text


# ---- a save


@pytest.mark.smoke
def test_start_and_reload_print_their_lines(project):
    project.serve()
    project.text()
    project.answers("two")
    project.reloaded()
    assert project.text() == "two"
    shown = [line for line in project.lines() if not re.search(r"Started|Running|iotax v", line)]
    assert shown[:7] == [
        f"Address: http://127.0.0.1:{project.server.port}",
        "Auto-reload enabled (development mode)",
        f"INFO:     Watching for file changes in: {project.directory}",
        "INFO:     Starting server subprocess...",
        f"INFO:     Listening on http://127.0.0.1:{project.server.port}",
        f"INFO:     Detected modified: {project.directory}/main.py",
        "INFO:     Restarting server...",
    ]
    assert re.fullmatch(r"INFO:     Reloaded in \d+\.\d\d s \((warm|cold: .+)\)", shown[7])
    assert len(shown) == 8


def test_created_deleted_and_moved_files_are_seen(served):
    served.write("other.py", "x = 1\n")
    served.reloaded()
    (served.directory / "other.py").unlink()
    served.reloaded()
    served.server.err.wait_for(f"Detected created: {served.directory}/other.py")
    served.server.err.wait_for(f"Detected deleted: {served.directory}/other.py")
    (served.directory / "main.py").rename(served.directory / "gone.py")
    served.failed()
    served.server.err.wait_for(f"Detected deleted: {served.directory}/main.py")
    (served.directory / "gone.py").rename(served.directory / "main.py")
    served.reloaded()
    assert served.text() == "one"


def test_templates_are_watched_and_other_files_are_not(served):
    served.write("notes.txt", "")
    served.write("__pycache__/x.py", "")
    served.write("templates/page.html", "")
    served.reloaded()
    assert re.findall("Detected .*", served.server.err.text) == [
        f"Detected created: {served.directory}/templates/page.html"
    ]


def test_directories_and_patterns_can_be_named(project, tmp_path):
    (tmp_path / "library").mkdir()
    project.serve(
        "main:app",
        *("--reload-dir", ".", "--reload-dir", str(tmp_path / "library")),
        *("--reload-include", "*.toml", "--reload-exclude", "generated"),
    )
    project.text()
    project.write("generated/x.py", "")
    (tmp_path / "library/settings.toml").write_text("")
    project.reloaded()
    assert re.findall("Detected .*", project.server.err.text) == [
        f"Detected created: {tmp_path}/library/settings.toml"
    ]


def test_saves_are_seen_by_polling(project):
    project.serve("main:app", "--reload-poll")
    assert project.text() == "one"
    stays_alive(project)


def test_hup_reloads_too(served):
    served.server.send_signal(signal.SIGHUP)
    served.reloaded()
    assert served.text() == "one"


def test_saves_of_equal_length_are_seen_with_bytecode_allowed(project):
    """Bytecode is checked only by modification time and length of the source."""
    project.answers("0000")
    project.serve(env={"PYTHONDONTWRITEBYTECODE": ""})
    for number in range(1, 8):
        project.answers(f"{number:04}")
        os.utime(project.directory / "main.py", (1_000_000_000, 1_000_000_000))
        project.reloaded()
        assert project.text() == f"{number:04}"
    assert not list(project.directory.glob("__pycache__/main*"))


@pytest.mark.parametrize("gap", [0.1])
def test_saves_in_quick_succession_end_with_the_last(served, gap):
    """Saves that are 100 ms apart may be one reload or several; the last text is served."""
    for number in range(10, 20):
        served.answers(f"version {number}")
        threading.Event().wait(gap)  # the test is about this rhythm; nothing is waited for
    while served.text() != "version 19":
        served.reloaded()


# ---- what it works with


def test_reload_works_with_workers_and_threads(project):
    server = project.serve("main:app", "--workers", "2", "--threads", "3")
    project.text()
    stays_alive(project)
    assert all(project.text() == "alive" for _ in range(20))
    assert "Traceback" not in server.err.text


def test_factory_in_a_package_is_reloaded(project):
    project.write("shop/__init__.py", "")
    project.write("shop/wsgi.py", "from shop.views import app\ndef make(): return app\n")
    project.answers("one", "shop/views.py")
    project.serve("shop.wsgi:make()")
    assert project.text() == "one"
    project.answers("two", "shop/views.py")
    project.reloaded()
    assert project.text() == "two"


def test_reload_watches_the_directory_of_chdir(project, tmp_path, start):
    project.server = start("main:app", "--reload", "--chdir", str(project.directory), cwd=tmp_path)
    assert project.text() == "one"
    stays_alive(project)


# ---- code that cannot be loaded

BROKEN = {
    "syntax error": ("def app(:\n", "SyntaxError"),
    "import error": ("import no_such_module\n", "no_such_module"),
    "name error": ("undefined\n", "NameError"),
    "exit": ("import sys\nsys.exit()\n", "SystemExit"),
    "os._exit": ("import os\nos._exit(0)\n", "ended with exit code 0"),
    "killed": ("import os\nos.kill(os.getpid(), 9)\n", "SIGKILL"),
    "no attribute": ("other = 1\n", 'has no attribute "app"'),
    "empty": ("", 'has no attribute "app"'),
    "not UTF-8": (b"x = '\xff\xfe'\n", "utf-8"),
    "base exception": ("raise BaseException('all')\n", "all"),
    "recursion": ("def f(): f()\nf()\n", "RecursionError"),
}


@pytest.mark.parametrize(("text", "shown"), BROKEN.values(), ids=BROKEN)
def test_broken_code_gets_its_error_page_until_it_loads(served, text, shown):
    served.save("main.py", text)
    served.failed()
    answer = served.ask()
    assert answer.status == 503
    assert answer.get("Content-Type") == "text/plain; charset=utf-8"
    assert answer.get("Cache-Control") == "no-store"
    assert shown in answer.text
    assert "<pre>" in served.ask("/", "Accept: text/html").text
    log = served.server.err.text
    assert shown in log
    assert log.count("Traceback (most") == answer.text.count("Traceback (most") <= 1
    stays_alive(served)


@pytest.mark.parametrize("broken", ["syntax error", "os._exit", "empty"])
def test_code_that_is_broken_from_the_start_gets_its_error_page(project, broken):
    text, shown = BROKEN[broken]
    project.write("main.py", text)
    project.serve()
    project.failed()
    assert shown in project.ask().text
    project.answers("whole")
    project.reloaded()
    assert project.text() == "whole"


def test_deleted_main_module_gets_an_error_page_until_it_is_back(served):
    (served.directory / "main.py").unlink()
    served.failed()
    assert 'module "main" not found' in served.ask().text
    stays_alive(served)


def test_the_traceback_begins_in_the_project(served):
    served.write("views.py", "1 / 0\n")
    served.save("main.py", "import views\n")
    served.failed()
    trace = re.search(r"Traceback.*\n(.*)\n", served.ask().text)
    assert f'File "{served.directory}/main.py", line 1' in trace[1]
    stays_alive(served)


def test_deleted_and_recreated_directory_is_watched_again(served):
    served.write("shop/views.py", "x = 'one'\n")
    served.reloaded()
    served.save("main.py", "from shop.views import x\n" + VIEW.replace("{value!r}", "x"))
    served.reloaded()
    shutil.rmtree(served.directory / "shop")
    served.failed()
    assert served.ask().status == 503
    served.write("shop/views.py", "x = 'two'\n")
    served.reloaded()
    assert served.text() == "two"


def test_a_checkout_is_a_reload_not_thousands(served):
    for number in range(2000):
        served.write(f"p{number % 20}/m{number}.py", "x = 1\n")
    served.answers("last")
    served.reloaded()
    while served.text() != "last":
        served.reloaded()
    # One, unless this process had to wait for the processor while it wrote.
    assert served.server.err.text.count("Restarting server...") <= 3


# ---- code that does not return


def test_hanging_import_is_logged_and_interrupted_by_the_next_save(served):
    served.save("main.py", "import time\ntime.sleep(1000)\n")
    served.server.err.wait_for("main:app has been imported for more than 10 s")
    answer = served.ask()
    assert answer.status == 503
    assert "main:app is still being imported" in answer.text
    served.server.err.wait_for(r'File "\S+main.py", line 2')
    stays_alive(served)


def test_save_in_the_middle_of_a_reload_is_loaded(served):
    served.save("main.py", "import time\nprint('begun', flush=True)\ntime.sleep(1000)\n")
    served.server.out.wait_for("begun")
    stays_alive(served)


def test_endless_loop_in_a_view_is_ended_by_a_save(served):
    served.save("main.py", "def app(environ, start_response):\n    while True: pass\n")
    served.reloaded()
    with Connection(served.server.port) as connection:
        connection.get("/endless")
        served.server.err.wait_for("Started server process", 2)
        stays_alive(served)
        assert connection.is_closed()
    served.server.err.wait_for("WARNING:  Aborted: GET /endless")


def test_stream_is_visibly_truncated(served):
    served.save("main.py", STREAM)
    served.reloaded()
    with Connection(served.server.port) as connection:
        connection.get("/events")
        assert connection.head().get("Transfer-Encoding") == "chunked"
        assert connection.chunk() == b"event"
        stays_alive(served)
        assert b"0\r\n\r\n" not in connection.rest()
    served.server.err.wait_for("WARNING:  Aborted: GET /events")


def test_a_worker_that_dies_is_replaced(served):
    served.save("main.py", "import os\ndef app(environ, start_response):\n    os._exit(1)\n")
    served.reloaded()
    with Connection(served.server.port) as connection, contextlib.suppress(Exception):
        connection.ask("/")
    served.server.err.wait_for("ended with exit code 1")
    stays_alive(served)


# ---- requests meanwhile


def test_requests_wait_for_the_new_code(project, gates, tmp_path):
    served = project
    served.serve(env={"GATES": str(tmp_path)})
    gate = gates("import")
    with Connection(served.server.port) as kept, Connection(served.server.port) as other:
        assert kept.ask("/").text == "one"
        assert other.ask("/").text == "one"
        served.answers("two", ahead=f"{GATE}import gate\ngate.stay('import')\n")
        gate.wait_entered()
        kept.get("/")
        with Connection(served.server.port) as new:
            new.get("/")
            assert kept.is_silent()
            assert new.is_silent()
            gate.let_go()
            assert new.answer().text == "two"
        assert kept.answer().text == "two"
        assert other.ask("/").text == "two"


@pytest.mark.parametrize("times", [int(os.environ.get("E2E_RELOADS", "6"))])
def test_no_request_is_lost(project, times, tmp_path):
    echoes = os.path.join(os.path.dirname(__file__), "apps/echoes.py")
    shutil.copy(echoes, project.directory / "main.py")
    project.serve("main:application", "--threads", "4", "--no-access-log")
    with Load(project.server.port, mix(steady=4, fresh=3, pausing=6)) as running:
        for number in range(times):
            running.wait_for_answers(20)
            project.write(f"other{number % 2}.py", f"x = {number}\n")
            project.reloaded()
    running.report.must_be_clean()


# ---- the end, and the supervisor


@pytest.mark.parametrize("state", ["idle", "broken", "booting", "endless", "streaming"])
def test_ctrl_c_ends_it_within_a_second(served, state):
    if state == "broken":
        served.save("main.py", "1 / 0\n")
        served.failed()
    elif state == "booting":
        served.save("main.py", "import time\nprint('begun', flush=True)\ntime.sleep(1000)\n")
        served.server.out.wait_for("begun")
    with contextlib.ExitStack() as stack:
        if state == "endless":
            served.save(
                "main.py",
                "def app(environ, start_response):\n"
                "    print('begun', flush=True)\n"
                "    while True: pass\n",
            )
            served.reloaded()
            stack.enter_context(Connection(served.server.port)).get("/")
            served.server.out.wait_for("begun")
        elif state == "streaming":
            served.save("main.py", STREAM)
            served.reloaded()
            connection = stack.enter_context(Connection(served.server.port))
            connection.get("/")
            connection.head()
        processes = children(served.server.pid)
        began = time.monotonic()
        served.server.send_signal(signal.SIGINT)
        assert served.server.wait() == 0
        assert time.monotonic() - began < 1.5  # a second, because the machine may be busy
        wait_for_end(*processes)


def test_no_process_remains_when_the_supervisor_is_killed(served):
    processes = children(served.server.pid)
    assert len(processes) >= 2
    served.server.process.kill()
    wait_for_end(*processes)


def test_the_supervisor_has_no_threads_and_survives_its_watcher(served):
    watcher = min(children(served.server.pid))
    os.kill(watcher, signal.SIGKILL)
    served.server.err.wait_for("The process that watches files was killed by SIGKILL")
    served.reloaded()  # a save during this time is not missed
    stays_alive(served)
    assert threads(served.server.pid) == 1

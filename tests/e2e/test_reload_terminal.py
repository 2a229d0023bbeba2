"""--reload on a terminal: a debugger in a view, and the page in a browser."""

import signal
import sys

import pytest
from support.browser import Browser
from support.project import Project
from support.server import LISTENING
from support.terminal import Terminal
from support.wire import Connection

DEBUGGED = """\
def app(environ, start_response):
    x = 40
    breakpoint()
    x += 2
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"debugged"]
"""


@pytest.fixture
def project(start, tmp_path):
    return Project(tmp_path / "project", start)


@pytest.mark.parametrize("options", [("--reload",), ()], ids=["reload", "plain"])
def test_breakpoint_in_a_view_delays_the_reload_until_the_debugger_exits(project, options):
    """A save waits until the debugger exits; the request ends in the code that it started in."""
    project.save("main.py", DEBUGGED)
    arguments = ["main:app", "--port", "0", "--color", "never", *options]
    with Terminal(*arguments, cwd=project.directory) as terminal:
        shown = terminal.shown
        port = int(shown.wait_for(LISTENING)["port"])
        with Connection(port) as connection:
            connection.get("/")
            shown.wait_for(r"\(Pdb\) ")
            if options:
                project.answers("new")
                shown.wait_for("A debugger is active in process .*; the reload is delayed")
            # CPython 3.13 and later stop at breakpoint() itself, earlier ones behind it.
            for step in range(2 if sys.version_info >= (3, 13) else 1):
                terminal.type(b"next\n")
                shown.wait_for(r"\(Pdb\) ", step + 2)
            terminal.type(b"p x, 'is x'\n")
            shown.wait_for(r"\(42, 'is x'\)")
            assert "Restarting" not in shown.text
            terminal.type(b"continue\n")
            assert connection.answer().text == "debugged"
        if options:
            shown.wait_for("Reloaded in")
            with Connection(port) as connection:
                assert connection.ask("/").text == "new"
        terminal.type(b"\x03")
        assert terminal.process.wait(20) == 0
        assert "Traceback" not in shown.wait_for_end()


def test_breakpoint_works_while_the_code_is_imported(project):
    project.save("main.py", "x = 42\nbreakpoint()\n" + DEBUGGED.replace("breakpoint()", "pass"))
    with Terminal("main:app", "--reload", "--port", "0", cwd=project.directory) as terminal:
        terminal.shown.wait_for(r"\(Pdb\) ")
        terminal.type(b"p x, 'is x'\ncontinue\n")
        terminal.shown.wait_for(r"\(42, 'is x'\)")
        terminal.shown.wait_for(LISTENING)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(20) == 0


@pytest.mark.browser
def test_error_page_reloads_itself(project, tmp_path):
    project.answers("before")
    project.serve()
    project.save("main.py", "undefined_name\n")
    project.failed()
    with Browser(tmp_path / "browser") as browser:
        browser.open(project.server.url + "/")
        assert "undefined_name" in browser.text
        browser.wait_for_page_after(lambda: project.save("main.py", "another_name\n"))
        assert "another_name" in browser.text
        browser.wait_for_page_after(lambda: project.answers("whole again"))
        assert browser.text.strip() == "whole again"
    asked = [line for line in project.server.out.text.splitlines() if "HEAD" in line]
    # Requests of the page are not logged, except the one that got the new page.
    assert len(asked) <= 2

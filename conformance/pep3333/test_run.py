"""conformance/run: exit codes, and files with the same content as the text."""

import json
import os
import subprocess
import sys
from pathlib import Path

import clauses

RUN = clauses.HERE.parent / "run"


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name != "E2E_COMMAND"}
    return subprocess.run(
        [sys.executable, str(RUN), *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
    )


def test_the_report_goes_to_the_terminal_and_to_files(tmp_path: Path) -> None:
    files = {form: str(tmp_path / form) for form in ("json", "junit", "html")}
    wanted = [part for form, file in files.items() for part in (f"--{form}", file)]
    done = run("test_thread_support.py", *wanted)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("server: iotax ")
    found = json.loads(Path(files["json"]).read_text())
    results = {clause["id"]: clause["result"] for clause in found["clauses"]}
    assert results["S-ENV-29"] == "passed"
    assert results["S-SR-06"] == "not tested"
    passed = list(results.values()).count("passed")
    count = len(clauses.of_the_server())
    assert f"clauses: {passed} of {count} passed" in done.stdout
    assert f"{passed} of {count} clauses, 0 of " in Path(files["html"]).read_text()
    assert 'failures="0"' in Path(files["junit"]).read_text()


def test_another_server_and_what_it_did_instead(tmp_path: Path) -> None:
    """The server of the standard library: one connection at a time, HTTP/1.0."""
    server = f"{sys.executable} {clauses.HERE / 'wsgiref_server.py'} {{port}} {{app}}"
    tests = ("test_application_configuration.py", "test_thread_support.py", "test_error_stream.py")
    found = tmp_path / "report"
    named = ("--server", server, "--name", "wsgiref", "--patience", "1", "--json", str(found))
    done = run(*tests, *named)
    assert done.stdout.startswith("server: wsgiref\n"), done.stderr
    report = json.loads(found.read_text())
    assert report["about"]["command"] == server
    results = {clause["id"]: clause for clause in report["clauses"]}
    assert results["S-ERR-05"]["result"] == "passed"
    assert results["S-CFG-01"]["result"] == "not applicable"
    assert results["S-ERR-01"]["result"] == "failed", "its log goes on in an open line"
    said = results["S-ERR-01"]["tests"]
    assert any(test["wire"] and test["said"] for test in said if test["result"] == "failed")
    assert done.returncode == any(
        clause["result"] == "failed" and clause["level"].startswith("MUST")
        for clause in results.values()
    )


def test_commands_that_cannot_be_run() -> None:
    for server, words in (
        ("gunicorn {app}", "has to hold {port} and {app}"),
        ("no-such-server {port} {app}", "there is no command no-such-server"),
        ("python {prot} {app} {port}", "cannot be read"),
    ):
        done = run("--server", server)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr

"""pytest --iotax-check, in processes of its own."""

import os
import re
import subprocess
import sys

import pytest

SOUND = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
BROKEN = SOUND.replace('b"hello"', '"hello"')


@pytest.fixture
def run(tmp_path):
    """Run pytest in a directory with this main.py. Returns its exit code and output. If the plugin
    is installed, it needs no -p (tests/e2e/test_downstream.py)."""

    def run(source, *arguments, directory="."):
        (tmp_path / "main.py").write_text(source)
        plugins = ["-p", "iotax_pytest", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "-rs", *arguments],
            cwd=tmp_path / directory,
            env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_each_clause_is_a_test(run):
    code, said = run(SOUND, "--iotax-check", "main:app", "-v")

    assert code == 0, said
    assert "iotax check main:app::A-SR-04 MUST PASSED" in said
    assert "not exercised" in said
    assert " passed, " in said


def test_broken_clause_fails_with_advice(run):
    code, said = run(BROKEN, "--iotax-check", "main:app")

    assert code == 1
    assert "A block is str, not bytes." in said
    assert "at main.py:4" in said
    assert "1 failed" in said


def test_a_warning_passes_unless_it_is_strict(run):
    source = SOUND.replace("200 OK", "200")

    assert run(source, "--iotax-check", "main:app")[0] == 0
    assert "has no reason phrase" in run(source, "--iotax-check", "main:app")[1]
    assert run(source, "--iotax-check", "main:app", "--iotax-strict")[0] == 1


def test_load_error_is_reported_once(run):
    code, said = run("", "--iotax-check", "main:app")

    assert code == 1
    assert said.count("Cannot load the application main:app") == 1
    assert "1 failed" in said


def test_settings_come_from_pyproject(run, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.iotax.check]\nignore = ["A-STR-02"]\n')

    assert run(BROKEN, "--iotax-check", "main:app")[0] == 0


def test_invalid_setting_is_a_usage_error(run, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.iotax.check]\nstrikt = true\n")

    code, said = run(SOUND, "--iotax-check", "main:app")

    assert code == 4
    assert "ERROR: --iotax-check main:app: " in said
    assert "unknown key strikt; did you mean strict?" in said


def test_middleware_of_the_settings_is_checked_too(run, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.iotax.check]\nmiddleware = ["main:careless"]\n')
    careless = "def careless(app):\n    return lambda *call: [b''.join(app(*call))]\n"

    code, said = run(SOUND + careless, "--iotax-check", "main:app", "-v")

    assert code == 1, said
    assert re.search("::M-[A-Z0-9-]+ MUST(_NOT)? FAILED", said)


def test_it_works_from_a_directory_below_and_with_the_directories_of_pytest(run, tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = lib\n")
    for directory in ("lib", "tests"):
        (tmp_path / directory).mkdir()
    (tmp_path / "lib/library.py").write_text("body = b'hello'\n")
    source = "from library import body\n" + SOUND.replace('b"hello"', "body")

    assert run(source, "--iotax-check", "main:app", directory="tests")[0] == 0


def test_clauses_are_chosen_as_tests_are(run):
    code, said = run(BROKEN, "--iotax-check", "main:app", "-k", "A-STR-02 or A-SR-04")

    assert code == 1
    assert "1 failed, 1 passed" in said


def test_exit_during_the_import_is_reported_once(run):
    code, said = run("import os\nos._exit(3)\n", "--iotax-check", "main:app")

    assert code == 1
    assert said.count("it ends the process: exit code 3") == 1


@pytest.mark.parametrize("source", [SOUND, "", "import os\nos._exit(3)\n"])
def test_plugin_leaves_nothing_open(run, source):
    said = run(source, "--iotax-check", "main:app", "-W", "error")[1]

    assert "ResourceWarning" not in said
    assert "unraisable" not in said


def test_without_the_option_nothing_of_it_is_imported(run, tmp_path):
    (tmp_path / "test_modules.py").write_text(
        "import sys\ndef test_modules():\n"
        "    assert 'iotax_pytest' in sys.modules\n    assert 'iotax' not in sys.modules\n"
    )

    code, said = run(SOUND)

    assert code == 0, said

"""pytest --iotax-check, in processes of its own."""

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
    """Runs pytest in a folder with this main.py; its exit code and what it printed."""

    def run(source, *arguments):
        (tmp_path / "main.py").write_text(source)
        words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *arguments]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout

    return run


def test_each_clause_is_a_test(run):
    code, said = run(SOUND, "--iotax-check", "main:app", "-v")

    assert code == 0, said
    assert "iotax check main:app::A-SR-04 MUST PASSED" in said
    assert "not exercised" in said
    assert " passed, " in said


def test_a_broken_clause_fails_with_what_to_do(run):
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


def test_an_application_that_cannot_be_loaded_is_told_once(run):
    code, said = run("", "--iotax-check", "main:app")

    assert code == 1
    assert said.count("Cannot load the application main:app") == 1
    assert "1 failed" in said


def test_settings_come_from_pyproject(run, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.iotax.check]\nignore = ["A-STR-02"]\n')

    assert run(BROKEN, "--iotax-check", "main:app")[0] == 0


def test_without_the_option_nothing_of_it_is_imported(run, tmp_path):
    (tmp_path / "test_modules.py").write_text(
        "import sys\ndef test_modules():\n"
        "    assert 'iotax_pytest' in sys.modules\n    assert 'iotax' not in sys.modules\n"
    )

    code, said = run(SOUND)

    assert code == 0, said

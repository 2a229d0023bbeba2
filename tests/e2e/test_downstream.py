"""Another project that checks its application with iotax: the steps of action.yml, and a CMake
project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = """\
from flask import Flask, Response

app = Flask(__name__)


@app.get("/")
def index():
    return "welcome"


@app.get("/orders")
def orders():
    answer = Response("none")
    return answer
"""
BROKEN_LINE = '    answer.headers["Connection"] = "close"\n'


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment with Flask, pytest and nothing of iotax, and a wheel of it."""
    directory = tmp_path_factory.mktemp("downstream")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    wheels = ROOT / "build" / "wheel"  # that of build/venv (.ci/setup)
    ours = f"iotax-*-cp{sys.version_info.major}{sys.version_info.minor}-*.whl"
    if not list(wheels.glob(ours)):
        wheels = directory / "wheels"
        subprocess.run(
            [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT], check=True
        )
    subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)
    python = directory / "venv/bin/python"
    subprocess.run([python, *pip[1:], "install", "flask", "pytest"], check=True)
    (wheel,) = wheels.glob(ours)
    return python, wheel


@pytest.fixture(scope="module")
def gate(environment):
    """Run the steps of action.yml for an application. Returns output and exit code of the last
    one."""
    python, wheel = environment
    action = yaml.safe_load((ROOT / "action.yml").read_text())

    def run(directory, **given):
        inputs = {name: row.get("default", "") for name, row in action["inputs"].items()}
        inputs |= {"app": "shop:app", "python": str(python), **given}

        def filled(text):
            text = text.replace("${{ github.action_path }}", str(wheel))
            return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: inputs[found[1]], text)

        for step in action["runs"]["steps"]:
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
                cwd=directory / filled(step.get("working-directory", ".")),
                env=clean_environment()
                | {name: filled(value) for name, value in step["env"].items()}
                | {"GITHUB_WORKSPACE": str(directory)},
                capture_output=True,
                text=True,
            )
            if done.returncode:
                break
        return done

    return run


def clean_environment():
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_gate_passes_a_correct_application_and_fails_a_broken_one_at_its_line(gate, tmp_path):
    shop = tmp_path / "shop.py"
    shop.write_text(APPLICATION)
    passed = gate(tmp_path)
    broken = APPLICATION.replace("    return answer\n", f"{BROKEN_LINE}    return answer\n")
    shop.write_text(broken)
    failed = gate(tmp_path)

    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "::error" not in passed.stdout
    assert failed.returncode == 1
    line = broken.splitlines(keepends=True).index(BROKEN_LINE) + 1
    assert f"::error file=shop.py,line={line},title=A-SR-10 MUST NOT::" in failed.stdout


def test_the_gate_takes_arguments_and_a_directory(gate, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/shop.py").write_text(APPLICATION)

    found = gate(tmp_path, **{"working-directory": "site", "arguments": "--path '/none' --list"})

    assert found.returncode == 0, found.stderr
    assert "  GET /none" in found.stdout.splitlines()
    assert gate(tmp_path, arguments="--pth x").returncode == 2


def test_the_gate_runs_nothing_of_its_arguments(gate, tmp_path):
    (tmp_path / "shop.py").write_text(APPLICATION)

    found = gate(tmp_path, arguments='--path "/$(touch ran)`touch ran`" --list; touch ran')

    assert found.returncode == 2
    assert "--list;" in found.stderr
    assert not (tmp_path / "ran").exists()
    assert "quotes have to be in pairs" in gate(tmp_path, arguments="--path '/").stderr


def test_example_workflow_passes_the_inputs_of_the_action(gate, tmp_path):
    workflow = yaml.safe_load((ROOT / "examples/workflow.yml").read_text())
    (given,) = [
        step["with"] for step in workflow["jobs"]["check"]["steps"] if step.get("uses") == "./iotax"
    ]
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert set(given) <= set(action["inputs"])
    (tmp_path / "main.py").write_text(APPLICATION)

    found = gate(tmp_path, **{**given, "arguments": given["arguments"] + " --list"})

    assert found.returncode == 0, found.stderr
    assert "  POST /items" in found.stdout.splitlines()


def test_pytest_has_its_option(environment, gate, tmp_path):
    python, _ = environment
    (tmp_path / "shop.py").write_text(APPLICATION)
    gate(tmp_path)

    done = subprocess.run(
        [python, "-m", "pytest", "-v", "--iotax-check", "shop:app"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "iotax check shop:app::A-SR-10 MUST_NOT PASSED" in done.stdout


def test_a_cmake_project_finds_it_and_adds_tests(environment, gate, tmp_path):
    python, _ = environment
    (tmp_path / "shop.py").write_text(APPLICATION)
    gate(tmp_path)
    example = (ROOT / "examples/CMakeLists.txt").read_text()
    (tmp_path / "CMakeLists.txt").write_text(
        example.replace("find_package(iotax ", "find_package(iotax 0.1 ")
        + "iotax_add_conformance_test(none APP shop:none)\n"
    )
    path = f"{python.parent}:{os.environ['PATH']}"
    # The default generator of CMake needs make, which the tests do not install.
    environ = clean_environment() | {"PATH": path, "CMAKE_GENERATOR": "Ninja"}
    subprocess.run(["cmake", "-B", "build", "."], cwd=tmp_path, env=environ, check=True)
    done = subprocess.run(
        ["ctest", "--test-dir", "build", "-L", "conformance", "--output-on-failure"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )

    assert re.search(r"Test +#1: shop \.+ +Passed", done.stdout), done.stdout
    assert "did you mean shop:app?" in done.stdout
    assert "50% tests passed, 1 tests failed out of 2" in done.stdout

"""Everything that the pages name exists: options, variables, files, tests, cases, clauses and
links. Generated parts are up to date."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from blocks import DOCS, EVIDENCE, ROOT, blocks_of, name_of, pages, prose_of
from peer_lists import options_of_peers
from play import commands_of

import iotax
from iotax import _iotax

PAGES = pytest.mark.parametrize("page", pages(), ids=name_of)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
OPTION = re.compile(r"(?<![\w/-])--[a-z][a-z0-9_-]*")
# Options of other programs, and the pages that may name them.
OTHERS = {
    "CONTRIBUTING.md": "--full --build --preset --gtest_filter --gtest_list_tests --schedules"
    " --minutes --only --dry-run",
    "docs/migrating/index.md": "--timeout",
    "docs/migrating/waitress.md": "--call",
    "docs/internals/hardening.md": "--deviations --server --count --preset",
    "docs/internals/leader.md": "--preset",
    "docs/internals/testing.md": "--full --preset --gtest_filter --server",
    "docs/testing/ci.md": "--iotax-check",
}
# A path in the text begins with one of these.
TOP = {path.name for path in ROOT.iterdir() if not path.name.startswith("build")}
PATH = re.compile(r"[\w.*-]+(?:/[\w.*-]+)+")
# `Suite.Test` of C++, `test_x` of Python; a star stands for any letters.
CPP_TEST = re.compile(r"[A-Z]\w+\.(?:[A-Z]\w*)?\*?")
PYTHON_TEST = re.compile(r"test_\w+\*?")
TEST_PROGRAMS = {"test_core", "test_driver"}
BY_EXTENSION = ("py", "md", "cc", "toml")
CASE = re.compile(r"(?:h|t|te|ck|lm|tr|pl|rl)-[a-z0-9-]+\*?")
VARIABLES_OF_OTHERS = {"IOTAX_APP", "IOTAX_CHECK", "IOTAX_SERVICE_HOST", "IOTAX_WORKER"}


def words_of(page: Path) -> list[str]:
    """The code in the page."""
    return CODE.findall(prose_of(page))


@cache
def known_options() -> frozenset[str]:
    found: set[str] = set()
    for words in (["-h"], ["check", "-h"]):
        done = subprocess.run(
            [sys.executable, "-m", "iotax", *words], capture_output=True, text=True, check=True
        )
        found |= set(OPTION.findall(done.stdout))
    assert len(found) > 60
    return frozenset(found)


@cache
def text_of_tests() -> str:
    files = [file for kind in ("py", "cc") for file in (ROOT / "tests").rglob(f"*.{kind}")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@PAGES
def test_options_exist(page: Path) -> None:
    found = {flag for word in words_of(page) for flag in OPTION.findall(word)}
    for block in blocks_of(page):
        if block.language == "console":
            lines = [command.line for command in commands_of(block.text)]
            commands = [line for line in lines if line.startswith("iotax ")]
            found |= {flag for line in commands for flag in OPTION.findall(line)}
    indented = re.findall(r"^    (iotax .*)$", prose_of(page), re.M)
    found |= {flag for line in indented for flag in OPTION.findall(line)}
    allowed = set(OTHERS.get(name_of(page), "").split())
    if page.parent.name == "migrating":
        allowed |= options_of_peers(page.stem)
    assert found - known_options() - allowed == set()


@PAGES
def test_variables_exist(page: Path) -> None:
    found = {name for word in words_of(page) for name in re.findall(r"\bIOTAX_\w+", word)}
    options = {flag.removeprefix("--").replace("-", "_").upper() for flag in known_options()}
    known = {f"IOTAX_{name}" for name in options} | VARIABLES_OF_OTHERS
    assert found - {"IOTAX_"} - known == set()


@PAGES
def test_files_exist(page: Path) -> None:
    for word in words_of(page):
        for path in PATH.findall(word):
            if path.split("/")[0] in TOP:
                assert list(ROOT.glob(path)), f"{name_of(page)}: there is no {path}"


@PAGES
def test_tests_exist(page: Path) -> None:
    for word in words_of(page):
        if PYTHON_TEST.fullmatch(word) and word not in TEST_PROGRAMS:
            name = re.escape(word).replace(r"\*", r"\w*")
            assert re.search(rf"def {name}\(", text_of_tests()), f"there is no test {word}"
        elif CPP_TEST.fullmatch(word) and word.rsplit(".")[-1] not in BY_EXTENSION:
            suite, _, test = word.replace("*", r"\w*").partition(".")
            pattern = rf"\b(?:TEST\w*|RC_GTEST_PROP)\({suite},\s*{test}\b"
            if suite.startswith("Property") or re.search(pattern, text_of_tests()):
                continue
            pytest.fail(f"there is no test {word}")


@PAGES
def test_cases_exist(page: Path) -> None:
    cases = "\n".join(path.read_text() for path in (ROOT / "conformance/http1").glob("*.jsonl"))
    for word in words_of(page):
        if CASE.fullmatch(word):
            assert re.search(rf'"id": "{word.replace("*", "[^ ]*")}"', cases), word


@PAGES
def test_clauses_exist(page: Path) -> None:
    files = [
        *(ROOT / "conformance/pep3333").glob("*.toml"),
        *(ROOT / "src").rglob("advice.toml"),
    ]
    known = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for clause in re.findall(r"\b[ASMBC]-[A-Z]{2,7}-\d\d\b", page.read_text(encoding="utf-8")):
        assert clause in known, clause


@PAGES
def test_link_targets_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if not re.match(r"https?:|#", target):
            path = page.parent / target.partition("#")[0]
            assert path.exists(), f"{name_of(page)}: {target}"


def test_the_readme_is_short_and_has_both_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert "$ ./serve\n" in text
    assert "$ ./test\n" in text


def test_the_readme_shows_this_version() -> None:
    assert f"\niotax v{iotax.__version__}\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_numbers_are_those_of_the_repository() -> None:
    """The numbers of README and the hardening page."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    hardening = (DOCS / "internals/hardening.md").read_text(encoding="utf-8")
    files = (ROOT / "conformance/http1").glob("*.jsonl")
    cases = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    assert f"{cases} cases" in readme
    assert f"{cases} cases" in hardening
    assert f"{len(list((ROOT / 'tests/mutants').glob('*.toml')))} mutants" in hardening
    clauses = re.search(r"\d+ of \d+ clauses", (EVIDENCE / "pep3333.md").read_text("utf-8"))
    assert clauses
    assert clauses[0] in readme
    found = re.search(
        r"iotax check: (\d+ of \d+); wsgiref.validate: (\d+) of",
        (EVIDENCE / "check.md").read_text("utf-8"),
    )
    assert found
    assert f"finds {found[1]} planted mistakes, `wsgiref.validate` {found[2]}:" in readme


def test_logs_page_names_every_atom_and_every_end() -> None:
    page = (DOCS / "guide/logs.md").read_text(encoding="utf-8")
    atoms, keys, ends = (
        re.findall(
            r"^\| `([^`]+)` \|", page.partition(f"| {title} |")[2].partition("\n\n")[0], re.M
        )
        for title in ("atom", "key", "end")
    )
    assert {atom for atom in atoms if "{" not in atom} == set(_iotax.access_format_atoms())
    assert [atom for atom in atoms if "{" in atom] == ["{NAME}i", "{NAME}o", "{KEY}e"]
    assert len(keys) == len(set(keys)) == 36
    source = (ROOT / "src/driver/log/access_line.cc").read_text(encoding="utf-8")
    assert set(ends) == set(re.findall(r"case End::(\w+):", source))


def test_health_page_names_every_metric() -> None:
    source = (ROOT / "src/admin/metrics.cc").read_text(encoding="utf-8")
    suffixes = {"counter": "_total", "info": "_info", "gauge": ""}
    made = re.findall(r'\.(?:begin|single)\(\s*"(\w+)",\s*"(\w+)"', source)
    histograms = re.findall(r'write_histogram\(\s*out,\s*"(\w+)"', source)
    names = {f"iotax_{name}{suffixes[kind]}" for name, kind in made}
    names |= {f"iotax_{name}" for name in histograms}
    assert len(names) > 20
    page = (ROOT / "docs/deployment/health.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.splitlines() if line.startswith("| `iotax_"))
    assert set(re.findall(r"`(iotax_\w+)`", table)) == names
    assert set(re.findall(r"iotax_\w+", page)) <= names


def test_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_file_is_shown_or_named_and_tested() -> None:
    tests = text_of_tests()
    shown = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    for path in (ROOT / "examples").rglob("*"):
        if path.is_file():
            name = str(path.relative_to(ROOT))
            is_single = path.parent.name == "examples"  # others belong together
            assert (f"{name}\n" if is_single else name) in shown, f"no page shows {name}"
            assert path.name in tests, f"no test uses {name}"

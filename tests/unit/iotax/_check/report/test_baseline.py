"""Findings that do not count: ignored ones, and the baseline."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from iotax._check.report.baseline import (
    Ignore,
    compared,
    ignored,
    read_baseline,
    write_baseline,
)
from iotax._check.report.findings import Finding, Place, Report
from iotax._config.errors import ConfigError

CRASH = Finding(
    "A-EXC-01",
    "warning",
    "It fails.",
    ("GET /admin?x (a variation)",),
    Place("main.py", 3, "admin"),
)
LENGTH = Finding("A-CL-01", "error", "Wrong.", ("GET /",), Place("main.py", 9, "index"))
NOTE = Finding("A-BUF-02", "information", "Two blocks.", ("GET /",))


def report(*found):
    return Report("main:app", findings=list(found))


@pytest.mark.parametrize(
    ("entry", "accepted"),
    [
        (Ignore("A-EXC-01"), "ignored"),
        (Ignore("A-EXC-01", "/admin*", "legacy"), "legacy"),
        (Ignore("A-EXC-01", "main.py"), "ignored"),
        (Ignore("A-EXC-01", "/other"), ""),
        (Ignore("A-CL-01"), ""),
    ],
)
def test_an_entry_fits_by_clause_and_path_or_file(entry, accepted):
    found = report(CRASH)

    ignored(found, [entry])

    assert found.findings[0].accepted == accepted


def test_baseline_accepts_its_findings_and_lists_those_not_found_again(tmp_path):
    file = str(tmp_path / "baseline.json")
    write_baseline(file, report(LENGTH, CRASH, NOTE))
    moved = Finding("A-CL-01", "error", "Wrong.", ("GET /",), Place("main.py", 99, "index"))
    new = Finding("A-CL-01", "error", "Wrong.", ("GET /new",), Place("main.py", 12, "new"))
    found = report(moved, new)

    compared(found, file)

    assert [one.accepted for one in found.findings] == ["in the baseline", ""]
    assert found.gone == ["A-EXC-01 It fails. main.py admin GET /admin"]
    assert found.exit_code == 1


@pytest.mark.parametrize(
    "again",
    [
        {"what": "It raises ValueError: <object at 0x2>."},
        {"requests": ("GET /other", "GET /admin?x")},
        {"place": Place("main.py", 99, "admin")},
    ],
)
def test_a_finding_is_known_by_clause_place_and_type(tmp_path, again):
    kind = "It raises ValueError"
    first = replace(CRASH, what=f"{kind}: <object at 0x1>.", kind=kind)
    file = str(tmp_path / "baseline.json")
    write_baseline(file, report(first))
    found = report(replace(first, **again))

    compared(found, file)

    assert [one.accepted for one in found.findings] == ["in the baseline"]
    assert not found.gone
    assert "0x" not in Path(file).read_text()


@pytest.mark.parametrize(
    "other",
    [
        {"clause": "A-EXC-02"},
        {"kind": "It raises KeyError"},
        {"place": Place("main.py", 3, "other")},
        {"place": Place("other.py", 3, "admin")},
        {"place": None},
    ],
)
def test_another_clause_place_or_type_is_new(tmp_path, other):
    first = replace(CRASH, kind="It raises ValueError")
    file = str(tmp_path / "baseline.json")
    write_baseline(file, report(first))
    found = report(replace(first, **other))

    compared(found, file)

    assert [one.accepted for one in found.findings] == [""]
    assert len(found.gone) == 1


def test_without_a_place_the_request_tells_findings_apart(tmp_path):
    first = replace(LENGTH, place=None)
    file = str(tmp_path / "baseline.json")
    write_baseline(file, report(first))
    found = report(first, replace(first, requests=("GET /new",)))

    compared(found, file)

    assert [one.accepted for one in found.findings] == ["in the baseline", ""]


def test_a_package_may_be_installed_elsewhere(tmp_path):
    here = Place(
        "/srv/shop/venv/lib/python3.11/site-packages/shop/views.py", 3, "view", "shop", "1"
    )
    there = Place("/usr/lib/python3/dist-packages/shop/views.py", 4, "view", "shop", "2")
    file = str(tmp_path / "baseline.json")
    write_baseline(file, report(replace(CRASH, place=here)))
    found = report(replace(CRASH, place=there))

    compared(found, file)

    assert [one.accepted for one in found.findings] == ["in the baseline"]
    assert "/srv/shop" not in Path(file).read_text()


def test_a_baseline_is_sorted_and_has_no_lines_and_no_information(tmp_path):
    file = tmp_path / "baseline.json"
    write_baseline(str(file), report(LENGTH, CRASH, NOTE))
    text = file.read_text()
    write_baseline(str(file), report(CRASH, LENGTH))

    assert file.read_text() == text
    assert [one["clause"] for one in json.loads(text)["findings"]] == ["A-CL-01", "A-EXC-01"]
    assert "line" not in json.loads(text)["findings"][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a baseline"),
        ("[]", "is not a baseline"),
        ('{"format": 2}', "has format 2, and this version reads 1"),
        ('{"format": 1, "findings": [{}]}', "is not a baseline"),
        (
            '{"format": 1, "findings": [{"clause": "X", "what": "", "file": "", "function": "",'
            ' "request": ""}]}',
            'unknown clause "X"',
        ),
    ],
)
def test_invalid_baseline_is_reported_with_advice(tmp_path, text, said):
    file = tmp_path / "baseline.json"
    file.write_text(text)

    with pytest.raises(ConfigError, match=said):
        read_baseline(str(file))


def test_file_that_cannot_be_read_or_written_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read.*--write-baseline"):
        read_baseline(str(tmp_path / "none.json"))
    with pytest.raises(ConfigError, match="cannot write"):
        write_baseline(str(tmp_path), report())

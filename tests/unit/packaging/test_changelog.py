"""What must agree before a release."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "packaging"))

from changelog import disagreements, sections, version_in  # noqa: E402

ENTRIES = "### Added\n\n- Something.\n"
RELEASED = f"# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-12-01\n\n{ENTRIES}"
COMING = f"# Changelog\n\n## [Unreleased]\n\n{ENTRIES}"


def found(tag: str, version: str, changelog: str, dry_run: bool = False) -> list[str]:
    return [*disagreements(tag, version, changelog, dry_run=dry_run)]


def test_tag_version_and_section_agree() -> None:
    assert found("v1.2.0", "1.2.0", RELEASED) == []
    assert found("v1.2.0", "1.2.0", RELEASED, dry_run=True) == []


def test_a_dry_run_takes_the_unreleased_section() -> None:
    assert found("v1.2.0", "1.2.0", COMING, dry_run=True) == []


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "said"),
    [
        ("v1.2.1", "1.2.0", RELEASED, "expected v1.2.0"),
        ("1.2.0", "1.2.0", RELEASED, "expected v1.2.0"),
        ("v1.3.0", "1.3.0", RELEASED, "no section ## [1.3.0] - YYYY-MM-DD"),
        ("v1.2.0", "1.2.0", COMING, "[Unreleased] has entries"),
        ("v1.2.0", "1.2.0", RELEASED.replace(" - 2026-12-01", ""), "[1.2.0] has no date"),
        ("v1.2.0", "1.2.0", RELEASED.replace(ENTRIES, ""), "[1.2.0] has no entries"),
    ],
)
def test_a_release_that_disagrees_is_refused(
    tag: str, version: str, changelog: str, said: str
) -> None:
    assert said in found(tag, version, changelog)[0]


def test_the_files_of_this_repository_could_be_released() -> None:
    version = version_in((ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert found(f"v{version}", version, changelog, dry_run=True) == []
    assert next(iter(sections(changelog))) == "Unreleased"

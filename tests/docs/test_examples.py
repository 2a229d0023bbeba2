"""Every example of README and docs/ runs: files are written into an empty project, and the
output of commands is compared with the page (play.py)."""

from pathlib import Path

import pytest
from blocks import Block, blocks_of, name_of, pages
from play import compare, project

PAGES = [page for page in pages() if any(True for _ in blocks_of(page))]
# Text without a test: a diagram, a directive of Sphinx, output of a program that is not run here.
LANGUAGES = {"console", "python", "toml", "text", "mermaid", "json", "cpp", "http"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_examples_of_a_page_do_what_it_shows(page: Path, tmp_path: Path) -> None:
    with project(tmp_path) as made:
        for block in blocks_of(page):
            try:
                made.play(block)
            except (AssertionError, SyntaxError) as error:
                raise AssertionError(f"{block.where}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_block_says_its_language(page: Path) -> None:
    for block in blocks_of(page):
        directive = block.language.startswith("{")
        assert directive or block.language in LANGUAGES or block.test, block.where


def test_most_examples_are_run() -> None:
    found = [block for page in PAGES for block in blocks_of(page)]
    runs = [block for block in found if block.language in ("console", "python")]
    skipped = [block for block in runs if block.test.startswith("skip")]
    assert len(runs) > 40
    assert len(skipped) < len(runs) / 2, [block.where for block in skipped]


def test_output_is_compared_line_by_line() -> None:
    compare(["a [12] 0.2 s", "..."], "a [345] 1.25 s\nb\nc\n")
    compare(["a … c"], "a b c\n")
    for shown, printed in (
        (["a"], "a\nb"),
        (["a", "b"], "a"),
        (["a [x]"], "a [12]"),
        (["a.c"], "abc"),
    ):
        with pytest.raises(AssertionError, match="shown:"):
            compare(shown, printed)


def test_a_comment_belongs_to_the_next_block(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- file: a.py -->\n\n```python\n1\n```\n\n```python\n2\n```\n")
    first, second = (Block(page, 4, "python", "1\n", file="a.py"), Block(page, 8, "python", "2\n"))
    assert list(blocks_of(page)) == [first, second]

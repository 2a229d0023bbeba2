"""The pages for users of other servers have all options of these servers, in the versions that the
pages name, and keys that exist. list_peer_options writes the lists in peers/."""

import re

import pytest
from blocks import DOCS
from peer_lists import PEERS, list_of

from iotax._migrate import gunicorn, uwsgi
from iotax._migrate.draft import KEYS

EACH = pytest.mark.parametrize("peer", PEERS)
NOT_YET = " (not in this version yet)"


def page_of(peer: str) -> str:
    return (DOCS / "migrating" / f"{peer}.md").read_text(encoding="utf-8")


def rows_of(peer: str) -> list[list[str]]:
    """The cells of the tables of all options."""
    _, _, text = page_of(peer).partition("\n## All ")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    return [row for row in rows if "`" in row[0] or "`" in row[1]]


@EACH
def test_page_has_exactly_the_options_of_the_peer(peer: str) -> None:
    version, lines = list_of(peer)
    assert re.search(rf"\b{re.escape(version)}\b", page_of(peer).partition("\n## All ")[2])
    shown = []
    for first, second, *_ in rows_of(peer):
        shown += re.findall(r"`(?:--)?([\w-]+)`", first if "`" in first else second)
    assert sorted(shown) == sorted(name for name, *_ in lines)


@EACH
def test_keys_on_the_page_exist(peer: str) -> None:
    """A key that this version does not have says so, and one that it has does not."""
    keys = 0
    for row in rows_of(peer):
        cell = row[2 if peer == "gunicorn" else 1]
        if "`" not in row[0] or not cell.startswith("`"):
            continue
        for key in re.findall(r"`([^`]+)`", cell):
            assert (key in KEYS) == (NOT_YET not in cell), row
            keys += 1
    assert keys > 8


def test_index_names_every_page() -> None:
    index = page_of("index")
    for path in (DOCS / "migrating").glob("*.md"):
        assert path.stem == "index" or f"({path.name})" in index


def test_table_of_gunicorn_has_its_flags() -> None:
    version, lines = list_of("gunicorn")
    assert version == gunicorn.VERSION
    assert {name: tuple(flags) for name, *flags in lines} == {
        name: row.flags for name, row in gunicorn.ROWS.items()
    }


def test_table_of_uwsgi_has_its_version() -> None:
    assert list_of("uwsgi")[0] == uwsgi.VERSION

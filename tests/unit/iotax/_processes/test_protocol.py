"""The tables of messages: both ends have the same words, and each word has one meaning."""

import re
from pathlib import Path

import pytest

from iotax._processes.channel import Channel, Message
from iotax._processes.protocol import GONE, Order, Report
from iotax._reload.reports import ReloadReport

(HEADER,) = (Path(__file__).resolve().parents[4] / "src" / "driver").rglob("channel.h")


def words_of_the_driver(table: str) -> list[str]:
    """The words in channel.h. Checks that they equal the enumerators, in the same order."""
    header = HEADER.read_text()
    enumerators = re.search(rf"enum class {table} : std::uint8_t {{(.*?)}};", header, re.DOTALL)
    words = re.search(rf"k{table}Words{{(.*?)}};", header, re.DOTALL)
    assert enumerators is not None
    assert words is not None
    found = re.findall(r'"(\w+)"', words[1])
    names = re.findall(r"^\s*(\w+),", enumerators[1], re.MULTILINE)
    assert [name for name in names if name != "gone"] == found
    return found


@pytest.mark.parametrize("table", [Order, Report])
def test_protocol_tables_agree(table: type[Order | Report]) -> None:
    words = words_of_the_driver(table.__name__)
    assert len(words) > 5
    assert {*words} <= {*table}


@pytest.mark.parametrize("tables", [(Order,), (Report, ReloadReport)])
def test_each_kind_of_message_has_a_distinct_word(
    tables: tuple[type[Order | Report | ReloadReport], ...],
) -> None:
    kinds = [kind for table in tables for kind in table.__members__.values()]
    assert len({*kinds}) == len(kinds)
    assert all(kind.isidentifier() for kind in kinds)


@pytest.mark.parametrize("text", ["", "one", "two words", " ", "two\nlines", "x" * 60_000])
def test_text_of_a_message_arrives_unchanged(text: str) -> None:
    one, other = Channel.pair()
    assert one.send(Report.LOAD_ERROR, text)
    assert other.receive() == Message(Report.LOAD_ERROR, text)
    one.close()
    other.close()


def test_messages_arrive_complete_and_before_the_closed_channel() -> None:
    one, other = Channel.pair()
    one.send(Report.LOAD_ERROR, "two\nlines")
    one.close()
    assert other.wait() == Message(Report.LOAD_ERROR, "two\nlines")
    assert other.wait() == Message(GONE)
    other.close()

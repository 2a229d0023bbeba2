"""The tables of messages: each end means the same by a letter, and each letter one thing."""

import re
from pathlib import Path

import pytest

from iotax._processes.channel import Channel, Message
from iotax._processes.protocol import GONE, Order, Report
from iotax._reload.reports import ReloadReport

HEADER = Path(__file__).resolve().parents[4] / "src" / "driver" / "channel.h"


def letters_of_the_driver(table: str) -> set[str]:
    body = re.search(rf"enum class {table} : char {{(.*?)}};", HEADER.read_text(), re.DOTALL)
    assert body is not None
    found = re.findall(r"^\s*\w+ = '(.)',", body[1], re.MULTILINE)
    assert len(found) > 5
    return {*found}


@pytest.mark.parametrize("table", [Order, Report])
def test_protocol_tables_agree(table: type[Order | Report]) -> None:
    assert letters_of_the_driver(table.__name__) <= {*table}


@pytest.mark.parametrize("tables", [(Order,), (Report, ReloadReport)])
def test_each_kind_is_one_letter_of_its_own(
    tables: tuple[type[Order | Report | ReloadReport]],
) -> None:
    kinds = [kind for table in tables for kind in table.__members__.values()]
    assert len({*kinds}) == len(kinds)
    assert all(len(kind) == 1 for kind in kinds)


def test_messages_arrive_whole_and_the_end_of_a_process_after_them() -> None:
    one, other = Channel.pair()
    one.send(Report.LOAD_ERROR, "two\nlines")
    one.close()
    assert other.wait() == Message(Report.LOAD_ERROR, "two\nlines")
    assert other.wait() == Message(GONE)
    other.close()

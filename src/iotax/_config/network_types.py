"""The types of option values that name addresses and peers, or stand in lines for statsd.

Errors as in option_types.py.
"""

import ipaddress
from typing import Final

from iotax._config.address import (
    Address,
    parse_address,
    parse_host,
    parse_receiver,
)
from iotax._config.option_types import Kind, ListOf, String, filled_text
from iotax._config.toml_values import to_toml


class Host(String):
    """Where to listen, without the port. An IPv6 address may have brackets."""

    def __init__(self) -> None:
        super().__init__("a name, an IP address or *", "HOST")

    def accept(self, value: object) -> str:
        return parse_host(super().accept(value))


_ADDRESS_FORMS: Final = "host:port, [v6]:port, :port, *:port, unix:PATH, fd://N or fd://NAME"


class Binds(ListOf):
    metavar = "ADDR"
    expected = f"{_ADDRESS_FORMS}, each also after proxy://"

    def one(self, text: str) -> Address:
        return parse_address(text)


class Bind(Kind):
    """One address, in the forms of --bind without proxy://."""

    metavar = Binds.metavar
    expected = _ADDRESS_FORMS

    def accept(self, value: object) -> Address:
        if not isinstance(value, Address):
            value = parse_address(filled_text(value))
        if value.proxy:
            raise ValueError("begins with proxy://")
        return value

    def to_toml(self, value: object) -> str:
        return "" if value is None else to_toml(str(value))

    def to_json(self, value: object) -> object:
        return None if value is None else str(value)


class Receiver(Bind):
    """Where to send datagrams."""

    expected = "host:port, [v6]:port or unix:PATH"

    def accept(self, value: object) -> Address:
        return parse_receiver(str(value) if isinstance(value, Address) else filled_text(value))


class Peers(ListOf):
    metavar = "PEERS"
    expected = 'IP addresses, networks, "unix" or "*", separated by commas'

    def one(self, text: str) -> str:
        if text in ("unix", "*"):
            return text
        if "%" in text:
            raise ValueError("has a zone, and peers are compared without zones")
        try:
            if "/" not in text:
                return str(ipaddress.ip_address(text))
            loose = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError("is neither an address nor a network") from None
        if str(loose.network_address) != str(ipaddress.ip_address(text.partition("/")[0])):
            raise ValueError(f"has bits set after its prefix, the network is {loose}")
        return str(loose)


class MetricPrefix(String):
    """What stands before names in lines for statsd."""

    _BYTES_MAX = 256

    def __init__(self) -> None:
        super().__init__("visible ASCII without :, |, @ and #, at most 256 characters", "PREFIX")

    def accept(self, value: object) -> str:
        text = _visible(super().accept(value), ":|@#", self._BYTES_MAX)
        if not text.strip("."):
            raise ValueError("has only dots")
        return text


class MetricTags(String):
    """Tags for lines for statsd, in the form of DogStatsD."""

    _BYTES_MAX = 1024

    def __init__(self) -> None:
        super().__init__(
            "tags such as name:value, separated by commas: visible ASCII without |, at most 1024"
            " characters",
            "TAGS",
        )

    def accept(self, value: object) -> str:
        text = _visible(super().accept(value), "|", self._BYTES_MAX)
        if not all(text.split(",")):
            raise ValueError("has an empty tag")
        return text


def _visible(text: str, excluded: str, most: int) -> str:
    """`text`, if it can stand in a line for statsd. Errors: ValueError."""
    for character in text:
        if character == " ":
            raise ValueError("has a space")
        if character in excluded:
            raise ValueError(f'has "{character}"')
        if not character.isascii():
            raise ValueError(f'has "{character}", which is not ASCII')
    if len(text) > most:
        raise ValueError(f"has more than {most} characters")
    return text

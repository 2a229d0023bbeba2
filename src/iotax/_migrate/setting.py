"""One setting of the source, and why a source cannot be read."""

from dataclasses import dataclass


class SourceError(Exception):
    """SOURCE cannot be translated at all. The text is for the user, and says what to do."""


@dataclass(frozen=True)
class Setting:
    """`name`: as in the table of its server. `label`: as the source spells it. `shown`: the whole
    setting as the source spells it. `obstacle`: why `value` is not what the server uses; empty if
    it is. `superseded`: because a later setting replaces it."""

    name: str
    label: str
    shown: str
    value: object = None
    obstacle: str = ""
    superseded: bool = False
    line: int = 0

    @property
    def place(self) -> str:
        return f"line {self.line}" if self.line else self.shown

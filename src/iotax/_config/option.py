"""One row of the table of options."""

from dataclasses import dataclass, field
from typing import Any, Final

from iotax._config.option_types import Kind

VARIABLE_PREFIX: Final = "IOTAX_"
SETTINGS_FILE: Final = "iotax.toml"
PROJECT_FILE: Final = "pyproject.toml"


@dataclass(eq=False)  # frozen ones take longer to make, at each start
class Option:
    """One row of the table. `name`: the keyword. `example`: a value as a user types it."""

    kind: Kind
    default: object
    section: str
    help: str
    example: str
    short: str = ""  # "-b"
    shown: str = ""  # the default in words, if the value does not explain itself
    variable_too: str = ""  # a second, common variable; IOTAX_NAME beats it
    for_path_only: bool = False  # for loading: not for a caller who passes a callable
    for_command_only: bool = False  # not for the library
    needs_supervisor: bool = False  # not with --workers 0
    until_restart: bool = False  # SIGHUP does not change it
    negative: bool = False  # --no-NAME exists
    positional: bool = False  # an argument of the command without a name
    has_variable: bool = True
    has_key: bool = True
    starts_at_file: bool = False  # a relative path in a settings file starts in its directory
    name: str = ""

    def named(self, name: str) -> "Option":
        self.name = name
        return self

    @property
    def flag(self) -> str:
        return self.name.upper() if self.positional else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return VARIABLE_PREFIX + self.name.upper() if self.has_variable else ""

    @property
    def key(self) -> str:
        """Of the settings file; "": none."""
        return self.name.replace("_", "-") if self.has_key else ""

    @property
    def hint(self) -> str:
        """The types of its values as a keyword argument."""
        return self.kind.hint if self.default is not None else f"{self.kind.hint} | None"

    @property
    def default_text(self) -> str:
        return self.shown or self.kind.show(self.default)


def option(default: object, kind: Kind, section: str, example: str, help: str, **more: Any) -> Any:
    return field(
        default=default, metadata={"option": Option(kind, default, section, help, example, **more)}
    )

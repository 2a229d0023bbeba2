"""The report in its forms: for people, for programs, for code hosts."""

from collections.abc import Callable, Mapping
from typing import Final

from iotax.check.findings import Report
from iotax.check.forms.page import page
from iotax.check.forms.programs import as_json, github, junit, sarif
from iotax.check.forms.text import heading, text

FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "text": text,
    "json": as_json,
    "junit": junit,
    "github": github,
    "sarif": sarif,
    "html": page,
}

__all__ = ["FORMATS", "heading", "text"]

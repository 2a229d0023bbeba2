"""The formats of the report, by name."""

from collections.abc import Callable, Mapping
from typing import Final

from iotax._check.report.findings import Report
from iotax._check.report.html_report import page
from iotax._check.report.machine_readable import as_json, github, junit, sarif
from iotax._check.report.text import heading, text

FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "text": text,
    "json": as_json,
    "junit": junit,
    "github": github,
    "sarif": sarif,
    "html": page,
}

__all__ = ["FORMATS", "heading", "text"]

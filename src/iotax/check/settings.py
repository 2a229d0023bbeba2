"""What is to be checked, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iotax.check.findings import Report


@dataclass(frozen=True)
class RequestSpec:
    """One request. `target`: as on the request line. `body` None: none."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def to_json(self) -> dict[str, Any]:
        body = None if self.body is None else self.body.decode("latin-1")
        return {"method": self.method, "target": self.target, "headers": self.headers, "body": body}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "RequestSpec":
        body = given["body"]
        headers = tuple((name, value) for name, value in given["headers"])
        return cls(
            given["method"],
            given["target"],
            headers,
            None if body is None else body.encode("latin-1"),
        )


@dataclass(frozen=True)
class Settings:
    """`target`: the application; empty: only `middleware`, each a target too."""

    target: str
    middleware: tuple[str, ...] = ()
    paths: tuple[RequestSpec, ...] = ()
    crawl: int = 0
    exclude: tuple[str, ...] = ("*logout*", "*delete*")
    unsafe_methods: bool = False
    timeout: float = 10.0
    strict: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    chdir: str = ""
    pythonpath: tuple[str, ...] = ()
    factory: bool = False

    def judge(self, report: Report) -> Report:
        return report

"""Options that are accepted only with another one, and that one."""

from typing import Any

NEEDED: dict[str, dict[str, Any]] = {
    "health_log": {"health_path": "/healthz"},
    "proxy_protocol_from": {"bind": ["proxy://:8000"]},
}

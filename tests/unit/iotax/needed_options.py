"""Options that are accepted only with another one, and that one."""

from typing import Any

NEEDED: dict[str, dict[str, Any]] = {
    "health_log": {"health_path": "/healthz"},
    "statsd_prefix": {"statsd_host": "127.0.0.1:8125"},
    "dogstatsd_tags": {"statsd_host": "127.0.0.1:8125"},
    "proxy_protocol_from": {"bind": ["proxy://:8000"]},
}

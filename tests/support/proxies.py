"""nginx and HAProxy in front of a server, each with its file of examples/."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import patience
from .wire import Connection

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NGINX = """
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;

{example}
}}
"""

HAPROXY = """
global
    log stderr format raw local0
defaults
    log global
    mode {mode}
    unique-id-format %ci:%cp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{port}
    default_backend application
backend application
    {line}
    server one {server}
"""


def _nginx_text(directory: Path, upstream: str, port: int, scheme: str, prefix: str) -> str:
    """The example in an http block, on plain HTTP. With a prefix, as in the documentation."""
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "    ssl_certificate /etc/nginx/mysite.pem;\n": "",
        "    ssl_certificate_key /etc/nginx/mysite.key;\n": "",
        "server 127.0.0.1:8000;": f"server {upstream};",
        "X-Forwarded-Proto $scheme;": f"X-Forwarded-Proto {scheme};",
    }
    if prefix:
        changes |= {
            "location / {": f"location {prefix}/ {{",
            "proxy_pass http://application;": "proxy_pass http://application/;",
            'X-Forwarded-Prefix "";': f'X-Forwarded-Prefix "{prefix}";',
        }
    return NGINX.format(directory=directory, example=example("nginx.conf", changes))


def _haproxy_text(directory: Path, upstream: str, port: int, scheme: str, prefix: str) -> str:
    return example(
        "haproxy.cfg",
        {
            "bind :443 ssl crt /etc/haproxy/mysite.pem": f"bind 127.0.0.1:{port}",
            "X-Forwarded-Proto https": f"X-Forwarded-Proto {scheme}",
            "server one 127.0.0.1:8000": f"server one {upstream.replace('unix:', 'unix@')}",
        },
    )


def example(name: str, changes: Mapping[str, str]) -> str:
    """The file of examples/, with the ports of this test. Nothing else is changed."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, f"examples/{name} holds {text.count(old)} times {old!r}"
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(
    directory: Path, upstream: str, *, scheme: str = "https", prefix: str = ""
) -> Iterator[int]:
    """Serves `upstream` ("127.0.0.1:8000" or "unix:PATH"). Returns the port of the proxy."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "nginx is not installed; the set-up script installs it"
    options = ["-p", str(directory), "-c"]
    with _running(program, options, directory, _nginx_text, upstream, scheme, prefix) as port:
        yield port


@contextmanager
def haproxy(directory: Path, upstream: str, *, scheme: str = "https") -> Iterator[int]:
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "HAProxy is not installed; the set-up script installs it"
    options = ["-db", "-f"]
    with _running(program, options, directory, _haproxy_text, upstream, scheme, "") as port:
        yield port


@contextmanager
def haproxy_backend(directory: Path, server: str, line: str = "") -> Iterator[int]:
    """One server line, and another line of the backend, e.g. "option httpchk"."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "HAProxy is not installed; the set-up script installs it"

    def text(_directory: Path, _upstream: str, port: int, _scheme: str, _prefix: str) -> str:
        mode = "tcp" if line == "mode tcp" else "http"
        return HAPROXY.format(mode=mode, port=port, line=line, server=server)

    with _running(program, ["-db", "-f"], directory, text, "", "", "") as port:
        yield port


@contextmanager
def _running(
    program: str,
    options: list[str],
    directory: Path,
    make_text: Callable[[Path, str, int, str, str], str],
    upstream: str,
    scheme: str,
    prefix: str,
) -> Iterator[int]:
    port = _free_port()
    file = directory / f"{Path(program).name}.conf"
    file.write_text(make_text(directory, upstream, port, scheme, prefix))
    errors = (directory / "errors").open("w+b")
    process = subprocess.Popen([program, *options, str(file)], stdout=errors, stderr=errors)
    try:
        while not _answers(port):
            assert process.poll() is None, (directory / "errors").read_text()
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(patience.SECONDS)
        errors.close()


def _answers(port: int) -> bool:
    try:
        Connection(port).close()
    except ConnectionRefusedError:
        return False
    return True


def _free_port() -> int:
    """Neither proxy can report its port; this one is free now, though not reserved."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

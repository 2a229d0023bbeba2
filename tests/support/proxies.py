"""nginx and HAProxy in front of a server, each with one configuration file, as the README shows."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import patience
from .wire import Connection

NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

    upstream application {{
        server {upstream};
        keepalive 16;
        keepalive_timeout 10s;    # shorter than --keep-alive: the proxy closes first
        keepalive_requests 90;    # fewer than --keep-alive-requests
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 20m;
        location {prefix}/ {{
            proxy_pass http://application/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto {scheme};
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port "";
            proxy_set_header X-Forwarded-Prefix "{prefix}";
            proxy_set_header X-Request-ID $request_id;
            proxy_buffering off;      # for streams and server-sent events
        }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 10s

frontend web
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Proto {scheme}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request del-header X-Forwarded-Port
    http-request del-header X-Forwarded-Prefix
    option forwardfor
    default_backend application

backend application
    http-reuse safe
    server one {upstream} pool-purge-delay 10s  # shorter than --keep-alive
"""


@contextmanager
def nginx(folder: Path, upstream: str, *, scheme: str = "https", prefix: str = "") -> Iterator[int]:
    """Serves `upstream` ("127.0.0.1:8000" or "unix:PATH"). Gives the port of the proxy."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "nginx is not installed; the set-up script installs it"
    options = ["-p", str(folder), "-c"]
    with _running(program, options, folder, NGINX, upstream, scheme, prefix) as port:
        yield port


@contextmanager
def haproxy(folder: Path, upstream: str, *, scheme: str = "https") -> Iterator[int]:
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "HAProxy is not installed; the set-up script installs it"
    upstream = upstream.replace("unix:", "unix@")
    with _running(program, ["-db", "-f"], folder, HAPROXY, upstream, scheme, "") as port:
        yield port


@contextmanager
def _running(
    program: str,
    options: list[str],
    folder: Path,
    template: str,
    upstream: str,
    scheme: str,
    prefix: str,
) -> Iterator[int]:
    port = _free_port()
    file = folder / f"{Path(program).name}.conf"
    file.write_text(
        template.format(folder=folder, upstream=upstream, port=port, scheme=scheme, prefix=prefix)
    )
    errors = (folder / "errors").open("w+b")
    process = subprocess.Popen([program, *options, str(file)], stdout=errors, stderr=errors)
    try:
        while not _answers(port):
            assert process.poll() is None, (folder / "errors").read_text()
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
    """Neither proxy can say which port it got; this one is free now, though not reserved."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

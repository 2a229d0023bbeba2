"""With a real nginx and HAProxy: what the application sees, and that no request is lost."""

import hashlib
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from support import patience
from support.proxies import haproxy, nginx
from support.server import SAMPLES
from support.wire import Connection

PROJECT = SAMPLES / "django_project"
PROXIES = {"nginx": nginx, "haproxy": haproxy}
TRUSTED = ("--forwarded-allow-ips", "127.0.0.1")


@pytest.fixture(params=PROXIES)
def proxy(request, tmp_path):
    """proxy(upstream) runs one of the two in front of it. Returns the port."""

    def put_in_front(upstream, **more):
        return PROXIES[request.param](tmp_path, upstream, **more)

    return put_in_front


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Host"] = "www.example.org"
        yield session


def get(session, port, path, **more):
    more.setdefault("allow_redirects", False)
    return session.get(f"http://127.0.0.1:{port}{path}", timeout=patience.SECONDS, **more)


@pytest.mark.smoke
def test_flask_sees_the_url_and_client_behind_a_trusted_proxy(start, proxy, session):
    server = start("flask_app", *TRUSTED, cwd=SAMPLES)
    with proxy(f"127.0.0.1:{server.port}") as port:
        assert get(session, port, "/").text == "Hello from iotaX! 🔥"
        answer = get(session, port, "/redirect")
        assert answer.headers["Location"] == "https://www.example.org/target"
        assert get(session, port, "/where").json() == {
            "url": "https://www.example.org/target",
            "scheme": "https",
            "host": "www.example.org",
            "client": "127.0.0.1",
            "root": "",
        }


def test_django_sees_the_url_behind_a_trusted_proxy(start, proxy, session):
    server = start("site_config.wsgi", *TRUSTED, cwd=PROJECT)
    with proxy(f"127.0.0.1:{server.port}") as port:
        found = get(session, port, "/where").json()
        assert found["url"] == "https://www.example.org/"
        assert found["scheme"] == "https"
        assert get(session, port, "/old").headers["Location"] == "/"


def test_django_accepts_a_form_sent_over_https(start, proxy, session, tmp_path):
    """Django compares Origin with the scheme and host that it sees."""
    server = start("site_config.wsgi", *TRUSTED, cwd=PROJECT)
    with proxy(f"127.0.0.1:{server.port}") as port:
        page = get(session, port, "/sign").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        cookie = session.cookies.get("csrftoken")
        answer = session.post(
            f"http://127.0.0.1:{port}/sign",
            data={"csrfmiddlewaretoken": token, "name": "x"},
            headers={"Origin": "https://www.example.org", "Cookie": f"csrftoken={cookie}"},
            timeout=patience.SECONDS,
        )
        assert answer.json() == {"name": "x"}


def test_untrusted_proxy_changes_nothing_and_gives_one_warning(start, proxy, session):
    server = start("flask_app", cwd=SAMPLES)
    with proxy(f"127.0.0.1:{server.port}") as port:
        for _ in range(3):
            found = get(session, port, "/where").json()
            assert found["scheme"] == "http"
            assert found["url"] == "http://www.example.org/target"
    server.stop()
    warnings = re.findall("WARNING: .*--forwarded-allow-ips.*", server.err.wait_for_end())
    assert len(warnings) == 1


def test_client_is_the_rightmost_untrusted_address_of_a_chain(start, proxy, session):
    """The peer of the trusted proxy is the client; addresses that the client claims are not
    trusted."""
    server = start("flask_app", *TRUSTED, cwd=SAMPLES)
    with proxy(f"127.0.0.1:{server.port}") as port:
        claimed = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
        found = get(session, port, "/where", headers=claimed).json()
        # The proxy adds 127.0.0.1, which is trusted: the rightmost other address is the client.
        assert found["client"] == "203.0.113.9"


def test_prefix_of_a_trusted_proxy_is_in_urls(start, tmp_path, session):
    headers = ("--forwarded-headers", "for,proto,prefix")
    server = start("flask_app", *TRUSTED, *headers, cwd=SAMPLES)
    with nginx(tmp_path, f"127.0.0.1:{server.port}", prefix="/shop") as port:
        found = get(session, port, "/shop/where").json()
        assert found["url"] == "https://www.example.org/shop/target"
        assert found["root"] == "/shop"


def test_proxy_on_a_unix_socket_is_trusted(start, proxy, session, tmp_path):
    path = tmp_path / "application.sock"
    start("flask_app", "--bind", f"unix:{path}", "--forwarded-allow-ips", "unix", cwd=SAMPLES)
    with proxy(f"unix:{path}") as port:
        found = get(session, port, "/where").json()
        assert found["scheme"] == "https"
        assert found["client"] == "127.0.0.1"


def test_upload_arrives_through_a_proxy(start, proxy, session):
    server = start("flask_app", "--limit-body", "20M", cwd=SAMPLES)
    content = bytes(range(256)) * 4096 * 5
    with proxy(f"127.0.0.1:{server.port}") as port:
        answer = session.post(
            f"http://127.0.0.1:{port}/upload", files={"file": content}, timeout=patience.SECONDS
        )
        assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()


def test_rejection_reaches_the_client_through_a_proxy(start, proxy, session):
    server = start("flask_app", "--limit-body", "10K", cwd=SAMPLES)
    with proxy(f"127.0.0.1:{server.port}") as port:
        answer = session.post(
            f"http://127.0.0.1:{port}/upload",
            files={"file": b"x" * 500_000},
            timeout=patience.SECONDS,
        )
        assert answer.status_code == 413


def test_stream_arrives_block_by_block_through_a_proxy(start, proxy, session):
    server = start("flask_app", "--threads", "2", cwd=SAMPLES)
    with proxy(f"127.0.0.1:{server.port}") as port, Connection(port) as connection:
        connection.get("/events/news")
        for line in ("first", "second"):
            session.post(f"http://127.0.0.1:{port}/feed/news", data=line, timeout=patience.SECONDS)
            if line == "first":
                connection.head()
            assert connection.chunk() == f"data: {line}\n\n".encode()
        session.delete(f"http://127.0.0.1:{port}/feed/news", timeout=patience.SECONDS)
        assert connection.chunk() == b""


def test_request_id_of_the_proxy_is_used(start, tmp_path, session):
    server = start("flask_app", "--forwarded-allow-ips", "127.0.0.1", cwd=SAMPLES)
    with nginx(tmp_path, f"127.0.0.1:{server.port}") as port:
        get(session, port, "/")
    server.out.wait_for(r'"GET / HTTP/1\.1" 200 OK \S+ \S+ [0-9a-f]{32}$')


def test_kept_connections_lose_no_request(start, proxy):
    """More requests than one connection may have, on both sides of the proxy."""
    server = start("views", *TRUSTED, "--threads", "2", "--no-access-log")

    def client(_):
        with requests.Session() as session:
            session.trust_env = False
            return {get(session, port, "/hello").status_code for _ in range(150)}

    with proxy(f"127.0.0.1:{server.port}") as port, ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(client, range(8))) == {200}


@pytest.mark.parametrize(
    ("allowed", "believed"),
    [("127.0.0.1", True), ("127.0.0.0/8", True), ("*", True), ("10.0.0.0/8,::1", False)],
)
def test_only_allowed_peers_are_believed(start, allowed, believed):
    server = start("flask_app", "--forwarded-allow-ips", allowed, cwd=SAMPLES)
    with Connection(server.port) as connection:
        answer = connection.ask("/where", "X-Forwarded-Proto: https")
    assert ('"scheme":"https"' in answer.text) is believed


def test_variable_names_the_peers_too(start):
    server = start("flask_app", cwd=SAMPLES, env={"FORWARDED_ALLOW_IPS": "127.0.0.1"})
    with Connection(server.port) as connection:
        assert '"https"' in connection.ask("/where", "X-Forwarded-Proto: https").text


def test_proxy_that_half_closes_gets_its_response(start):
    server = start("flask_app", cwd=SAMPLES)
    with Connection(server.port) as connection:
        connection.get("/")
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.answer().status == 200

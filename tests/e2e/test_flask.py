"""The Flask sample: pages, forms, uploads (in a browser too), redirects, streams, errors."""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from support import patience
from support.browser import Browser
from support.server import SAMPLES
from support.wire import Connection

MIB = 1024 * 1024


@pytest.fixture
def server(start):
    return start("flask_app", "--threads", "4", cwd=SAMPLES)


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def ten_megabytes(tmp_path):
    path = tmp_path / "upload.bin"
    path.write_bytes(os.urandom(MIB) * 10)
    return path


def get(session, server, path, **more):
    return session.get(server.url + path, timeout=patience.SECONDS, **more)


def post(session, server, path, **more):
    return session.post(server.url + path, timeout=patience.SECONDS, **more)


@pytest.mark.smoke
def test_page_is_served(server, session):
    answer = get(session, server, "/")
    assert answer.status_code == 200
    assert answer.content.decode() == "Hello from iotaX! 🔥"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.smoke
def test_json_is_served(server, session):
    answer = get(session, server, "/api/data")
    assert answer.json() == {"message": "Hello", "server": "iotaX"}
    assert answer.headers["Content-Type"] == "application/json"


def test_head_has_the_length_and_no_body(server, session):
    whole = get(session, server, "/")
    head = session.head(server.url + "/", timeout=patience.SECONDS)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]


def test_unknown_page_is_404(server, session):
    assert get(session, server, "/nowhere").status_code == 404


def test_form_is_accepted(server, session):
    answer = post(session, server, "/form", data={"name": "Zoë & 🔥"})
    assert answer.json() == {"name": "Zoë & 🔥", "fields": ["name"]}


def test_upload_arrives_unchanged(server, session):
    content = bytes(range(256)) * 1000
    answer = post(session, server, "/upload", files={"file": ("some name.bin", content)})
    assert answer.json() == {
        "filename": "some name.bin",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_chunked_form_is_accepted(server, session):
    """A body of unknown length: requests sends a generator in chunks."""
    blocks = [b"name=", b"in+", b"pieces"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = post(session, server, "/form", data=iter(blocks), headers=form)
    assert answer.json()["name"] == "in pieces"


def test_upload_of_10_mb_is_accepted_with_a_raised_limit(start, session, ten_megabytes):
    server = start("flask_app", "--limit-body", "20M", cwd=SAMPLES)
    content = ten_megabytes.read_bytes()
    answer = post(session, server, "/upload", files={"file": content})
    assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()


def test_upload_of_10_mb_is_rejected_by_default(server, ten_megabytes):
    """A client that reads while it sends gets the 413, and no reset in its place."""
    content = ten_megabytes.read_bytes()
    with Connection(server.port) as connection:
        connection.request("POST", "/upload", f"Content-Length: {len(content)}")
        answer = connection.answer()
        assert answer.status == 413
        assert answer.get("Connection") == "close"
        connection.send(content[: 2 * MIB])  # the server discards the rest: no reset
        connection.end_sending()
        assert connection.is_closed()
    server.err.wait_for(r"413 body of 10\.5 MB is over --limit-body 1 MiB")


def test_small_requests_work_after_a_rejection(server, session, ten_megabytes):
    with Connection(server.port) as connection:
        connection.request("POST", "/upload", "Content-Length: 10485760")
        assert connection.answer().status == 413
    assert get(session, server, "/").status_code == 200


@pytest.mark.browser
def test_upload_of_10_mb_is_sent_in_a_browser(start, ten_megabytes, tmp_path):
    server = start("flask_app", "--limit-body", "20M", "--threads", "2", cwd=SAMPLES)
    with Browser(tmp_path / "profile") as browser:
        browser.open(server.url + "/form")
        browser.choose_file("input[type=file]", ten_megabytes)
        browser.click("form[action='/upload'] button")
        found = browser.text
    assert hashlib.sha256(ten_megabytes.read_bytes()).hexdigest() in found


@pytest.mark.browser
def test_rejection_of_an_upload_is_shown_in_a_browser(server, ten_megabytes, tmp_path):
    """The browser is in the middle of its upload, and still shows the response."""
    with Browser(tmp_path / "profile") as browser:
        browser.open(server.url + "/form")
        browser.choose_file("input[type=file]", ten_megabytes)
        browser.click("form[action='/upload'] button")
        found = browser.text
    server.err.wait_for(r"\b413\b")
    assert "ERR_" not in found
    assert re.search(r"(?i)too large|limit|413", found), found


@pytest.mark.browser
def test_form_is_sent_in_a_browser(server, tmp_path):
    with Browser(tmp_path / "profile") as browser:
        browser.open(server.url + "/form")
        browser.type("input[name=name]", "Zoë 🔥")
        browser.click("form[action='/form'] button")
        assert '"name":"Zoë 🔥"' in browser.text


def test_redirect_names_the_server_as_the_client_did(server, session):
    answer = get(session, server, "/redirect", allow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{server.url}/target"
    assert get(session, server, "/redirect").text == "the target"


def test_redirect_keeps_the_host_name_of_the_client(server, session):
    answer = get(
        session, server, "/redirect", allow_redirects=False, headers={"Host": "example.org:81"}
    )
    assert answer.headers["Location"] == "http://example.org:81/target"


def test_stream_is_seen_block_by_block(server, session):
    """Each line is sent only after the previous line was read."""
    with Connection(server.port) as connection:
        connection.get("/feed/news")
        for line in ("first", "second", "third"):
            assert post(session, server, "/feed/news", data=line).status_code == 204
            if line == "first":
                assert connection.head().get("Transfer-Encoding") == "chunked"
            assert connection.chunk() == line.encode() + b"\n"
        session.delete(server.url + "/feed/news", timeout=patience.SECONDS)
        assert connection.chunk() == b""
        assert connection.ask("/").status == 200  # the connection stays open


def test_server_sent_events_arrive_one_by_one(server, session):
    with Connection(server.port) as connection:
        connection.get("/events/news", "Accept: text/event-stream")
        for line in ("first", "second"):
            post(session, server, "/feed/news", data=line)
            if line == "first":
                assert connection.head().get("Content-Type") == "text/event-stream; charset=utf-8"
            assert connection.chunk() == f"data: {line}\n\n".encode()
        session.delete(server.url + "/feed/news", timeout=patience.SECONDS)
        assert connection.chunk() == b""


def test_disconnect_from_a_stream_frees_its_thread(start, session):
    """Two threads: one follower disconnected, so the next one and the publisher both get a
    thread."""
    server = start("flask_app", "--threads", "2", cwd=SAMPLES)
    for name in ("a", "b", "c"):
        with Connection(server.port) as follower:
            follower.get(f"/feed/{name}")
            post(session, server, f"/feed/{name}", data="line")
            follower.head()
            assert follower.chunk() == b"line\n"
        session.delete(server.url + f"/feed/{name}", timeout=patience.SECONDS)
    assert get(session, server, "/").status_code == 200


def test_asynchronous_view_is_served(server, session):
    assert get(session, server, "/async").text == "asynchronous view"


def test_error_is_logged_and_not_shown(server, session):
    answer = get(session, server, "/error")
    assert answer.status_code == 500
    assert "the view is broken" not in answer.text
    server.err.wait_for("Traceback")
    server.err.wait_for("ValueError: the view is broken")
    server.out.wait_for(r'"GET /error HTTP/1\.1" 500 ')


def test_requests_of_a_session_use_one_connection(server, session):
    for _ in range(10):
        get(session, server, "/api/data")
    ports = {re.search(r":(\d+) - ", line)[1] for line in access_lines(server, "/api/data", 10)}
    assert len(ports) == 1


def access_lines(server, path, count):
    server.out.wait_for(rf'"GET {path} HTTP/1\.1" 200', count)
    return [line for line in server.out.text.splitlines() if f"GET {path} " in line]


@pytest.mark.smoke
def test_100_concurrent_clients_get_their_own_responses(server):
    def client(number):
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(5):
                answer = get(session, server, "/api/data")
                assert answer.json() == {"message": "Hello", "server": "iotaX"}
            return post(session, server, "/form", data={"name": str(number)}).json()["name"]

    with ThreadPoolExecutor(100) as pool:
        names = list(pool.map(client, range(100)))
    assert names == [str(number) for number in range(100)]

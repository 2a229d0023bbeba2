"""The Django sample: page, JSON, form with CSRF and upload, stream, file, session, redirect."""

import hashlib
import os
import re
import subprocess
import sys

import pytest
import requests
from support import patience
from support.browser import Browser
from support.server import SAMPLES, environment

PROJECT = SAMPLES / "django_project"
STYLE = PROJECT / "guestbook" / "files" / "style.css"


@pytest.fixture
def data(tmp_path):
    """Environment variables that name a directory with a migrated database."""
    names = {"SAMPLE_DATA_DIR": str(tmp_path)}
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(migrate, cwd=PROJECT, env=environment(names), check=True)
    return names


@pytest.fixture
def server(start, data):
    return start("site_config.wsgi", "--threads", "2", "--limit-body", "20M", cwd=PROJECT, env=data)


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def get(session, server, path, **more):
    return session.get(server.url + path, timeout=patience.SECONDS, **more)


def sign(session, server, files=None, **form):
    page = get(session, server, "/sign").text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    return session.post(
        server.url + "/sign",
        data={"csrfmiddlewaretoken": token, **form},
        files=files,
        timeout=patience.SECONDS,
    )


@pytest.mark.smoke
def test_page_is_served(server, session):
    answer = get(session, server, "/")
    assert answer.status_code == 200
    assert "<h1>Hello from iotaX! 🔥</h1>" in answer.text
    assert "Write &lt;something&gt; nice." in answer.text


def test_json_is_served(server, session):
    assert get(session, server, "/api/data").json() == {"message": "Hello", "server": "iotaX"}


def test_form_is_accepted(server, session):
    assert sign(session, server, name="Zoë 🔥").json() == {"name": "Zoë 🔥"}


def test_form_without_csrf_token_is_rejected(server, session):
    answer = session.post(server.url + "/sign", data={"name": "x"}, timeout=patience.SECONDS)
    assert answer.status_code == 403


@pytest.mark.parametrize("megabytes", [1, 10])
def test_upload_arrives_unchanged(server, session, megabytes):
    """Django keeps small files in memory and writes larger ones to a temporary file."""
    content = os.urandom(1024) * 1024 * megabytes
    answer = sign(session, server, name="x", files={"file": ("big file.bin", content)})
    assert answer.json() == {
        "name": "x",
        "filename": "big file.bin",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@pytest.mark.browser
def test_form_with_upload_is_sent_in_a_browser(server, tmp_path):
    path = tmp_path / "upload.bin"
    path.write_bytes(os.urandom(3_000_000))
    with Browser(tmp_path / "profile") as browser:
        browser.open(server.url + "/sign")
        browser.type("input[name=name]", "Zoë")
        browser.choose_file("input[type=file]", path)
        browser.click("button")
        found = browser.text
    assert hashlib.sha256(path.read_bytes()).hexdigest() in found


def test_stream_arrives_completely(server, session):
    answer = get(session, server, "/rows?count=50000")
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    lines = answer.text.splitlines()
    assert len(lines) == 50_000
    assert lines[-1] == "49999,2499900001"


def test_static_file_is_served(server, session):
    answer = get(session, server, "/static/style.css")
    assert answer.content == STYLE.read_bytes()
    assert answer.headers["Content-Type"] == "text/css"
    assert answer.headers["Content-Length"] == str(STYLE.stat().st_size)
    head = session.head(server.url + "/static/style.css", timeout=patience.SECONDS)
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]
    assert get(session, server, "/static/none.css").status_code == 404


def test_each_client_has_its_session(server, session):
    counts = [get(session, server, "/visits").json()["visits"] for _ in range(3)]
    assert counts == [1, 2, 3]
    with requests.Session() as another:
        another.trust_env = False
        assert get(another, server, "/visits").json()["visits"] == 1


def test_sessions_outlive_the_server(start, data, session):
    first = start("site_config.wsgi", cwd=PROJECT, env=data)
    get(session, first, "/visits")
    first.stop()
    second = start("site_config.wsgi", cwd=PROJECT, env=data)
    assert get(session, second, "/visits").json()["visits"] == 2


def test_redirect_and_environ_name_the_server(server, session):
    answer = get(session, server, "/old", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert get(session, server, "/where").json() == {
        "url": f"{server.url}/",
        "scheme": "http",
        "host": f"127.0.0.1:{server.port}",
        "client": "127.0.0.1",
        "root": "",
    }


def test_missing_slash_is_left_to_django(server, session):
    assert get(session, server, "/visits/").status_code == 404
    assert get(session, server, "//visits").status_code == 404


def test_error_is_logged_and_not_shown(server, session):
    answer = get(session, server, "/error")
    assert answer.status_code == 500
    assert "the view is broken" not in answer.text
    server.err.wait_for("ValueError: the view is broken")

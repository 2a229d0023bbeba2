"""Applications on the usual frameworks, and some complete ones, get no false MUST.

Findings that are true, and caused by the framework, are listed here with the reason.
"""

import pytest

from iotax._check.play.runner import check
from iotax._check.requests import RequestSpec
from iotax._check.settings import Settings

FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
JSON = (("Content-Type", "application/json"),)
PATHS = (
    *("/", "/items", "/visits", "/file", "/stream", "/moved", "/nothing", "/forbidden"),
    "/broken",
)
REQUESTS = (
    *(RequestSpec("GET", path) for path in PATHS),
    *(RequestSpec("HEAD", path) for path in ("/", "/file", "/stream")),
    RequestSpec("POST", "/form", FORM, b"name=Ada"),
    RequestSpec("POST", "/json", JSON, b'{"name": "Ada"}'),
)
COOKIE = (("Cookie", f"sessionid={'known' * 4}"),)
FILES = (("Content-Type", "multipart/form-data; boundary=part"),)
XML = (("Content-Type", "application/xml"),)


def getting(*paths, headers=()):
    return tuple(RequestSpec("GET", path, headers) for path in paths)


def upload(name):
    fields = {":action": "file_upload", f'content"; filename="{name}': "no real archive"}
    parts = (
        f'--part\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    )
    return ("".join(parts) + "--part--\r\n").encode()


APPLICATIONS = {
    "on_dash": (
        *getting("/", "/_dash-layout", "/_dash-dependencies", "/_favicon.ico", "/nothing"),
        RequestSpec(
            "POST",
            "/_dash-update-component",
            JSON,
            b'{"output": "text.children", "outputs": {"id": "text", "property": "children"},'
            b' "inputs": [{"id": "name", "property": "value", "value": "Ada"}],'
            b' "changedPropIds": ["name.value"]}',
        ),
    ),
    "on_django_admin": (
        *getting("/", "/login/", "/form", "/tell", "/static/admin/css/base.css", "/nothing/"),
        *getting("/", "/auth/user/", "/auth/user/1/change/", "/jsi18n/", headers=COOKIE),
        *getting("/tell", headers=COOKIE),
        RequestSpec("POST", "/login/", FORM, b"username=ada&password=secret"),
        RequestSpec("POST", "/auth/group/add/", FORM + COOKIE, b"name=all"),
    ),
    "on_pypiserver": (
        *getting("/", "/simple/", "/simple/chair/", "/packages/", "/packages/chair-1.0.tar.gz"),
        *getting("/chair/json", "/nothing"),
        RequestSpec("HEAD", "/"),
        RequestSpec("POST", "/", FILES, upload("table-1.0.tar.gz")),
        RequestSpec("POST", "/", FORM, b":action=doc_upload&name=chair"),
    ),
    "on_wsgidav": (
        *getting("/", "/file.txt", "/nothing"),
        RequestSpec("HEAD", "/file.txt"),
        RequestSpec("OPTIONS", "/"),
        RequestSpec("PROPFIND", "/", (("Depth", "1"),)),
        RequestSpec("PUT", "/new.txt", (), b"text"),
        RequestSpec("MKCOL", "/directory"),
        RequestSpec("COPY", "/file.txt", (("Destination", "http://localhost/copy.txt"),)),
        RequestSpec("MOVE", "/copy.txt", (("Destination", "http://localhost/moved.txt"),)),
        RequestSpec("DELETE", "/moved.txt"),
        RequestSpec(
            "LOCK",
            "/file.txt",
            XML,
            b'<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope>'
            b"<locktype><write/></locktype><owner>Ada</owner></lockinfo>",
        ),
        RequestSpec(
            "PROPPATCH",
            "/new.txt",
            XML,
            b'<propertyupdate xmlns="DAV:"><set><prop><size xmlns="urn:x">1</size></prop></set>'
            b"</propertyupdate>",
        ),
    ),
}
# Clause and package of true findings about the framework.
TRUE = {
    # They read environ["PATH_INFO"], which a server may omit.
    "on_bottle": {("A-ENV-02", "bottle")},
    "on_falcon": {("A-ENV-02", "falcon")},
    "on_pypiserver": {("A-ENV-02", "pypiserver")},  # with a Bottle of its own
    # It reads SCRIPT_NAME too, and a path that is not valid UTF-8 makes it fail.
    "on_wsgidav": {("A-ENV-02", "wsgidav"), ("A-UNI-01", "wsgidav")},
}
# The same, of some versions of the framework.
TRUE_OF_SOME_VERSIONS = {
    # Django 6.1 cannot encode its page for a static file that it does not find.
    "on_django_admin": {("A-UNI-01", "Django")},
}


FRAMEWORKS = ("on_bottle", "on_django", "on_falcon", "on_flask", "on_pyramid", "on_werkzeug")


def checked_without_a_false_must(name, requests):
    settings = Settings(f"{name}:app", paths=requests, chdir="conformance/check/frameworks")

    report = check(settings)

    errors = [one for one in report.findings if one.severity == "error"]
    found = {(one.clause, one.place.package if one.place else "") for one in errors}
    assert found - TRUE_OF_SOME_VERSIONS.get(name, set()) == TRUE.get(name, set()), errors
    assert report.exit_code == 0
    assert not report.problem
    assert not report.notes
    return report


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_no_must_is_claimed_that_a_framework_keeps(name):
    report = checked_without_a_false_must(name, REQUESTS)

    assert report.statuses[200] > 100
    # Only the page that fails on purpose remains, with the place of its error.
    warnings = [one for one in report.findings if one.severity == "warning"]
    assert {one.clause for one in warnings} <= {"A-EXC-01", "A-EXC-02", "A-IN-01"}, warnings


@pytest.mark.parametrize("name", APPLICATIONS)
def test_no_must_is_claimed_that_an_application_keeps(name):
    if name == "on_dash":
        pytest.importorskip("dash", reason="Dash has 100 MB: ./test --full installs it")

    report = checked_without_a_false_must(name, APPLICATIONS[name])

    assert report.statuses[200] > 50

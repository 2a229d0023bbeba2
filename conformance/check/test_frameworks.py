"""Applications on the usual frameworks run through the checker without a false MUST.

What is true, and the framework's own, is listed here with its reason.
"""

import pytest

from iotax.check.playing import check
from iotax.check.requests import RequestSpec
from iotax.check.settings import Settings

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
# Clause and package of what the framework really does.
TRUE = {
    # They read environ["PATH_INFO"], which a server may leave out.
    "on_bottle": {("A-ENV-02", "bottle")},
    "on_falcon": {("A-ENV-02", "falcon")},
}


@pytest.mark.parametrize(
    "name", ["on_bottle", "on_django", "on_falcon", "on_flask", "on_pyramid", "on_werkzeug"]
)
def test_no_must_is_claimed_that_the_application_keeps(name):
    settings = Settings(f"{name}:app", paths=REQUESTS, chdir="conformance/check/frameworks")

    report = check(settings)

    errors = [one for one in report.findings if one.severity == "error"]
    found = {(one.clause, one.place.package if one.place else "") for one in errors}
    assert found == TRUE.get(name, set()), errors
    assert report.exit_code == 0
    assert not report.problem
    assert report.statuses[200] > 100

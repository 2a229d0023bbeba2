"""Parsing requests of the command line and of files."""

import pytest

from iotax._check.requests import RequestSpec, parse_request, read_requests, with_parts
from iotax._config.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("/", RequestSpec("GET", "/")),
        ("/a?b=c", RequestSpec("GET", "/a?b=c")),
        ("POST /items", RequestSpec("POST", "/items")),
        ("  DELETE   /x ", RequestSpec("DELETE", "/x")),
    ],
)
def test_a_request_is_a_method_and_a_target(text, spec):
    assert parse_request("--path", text) == spec


@pytest.mark.parametrize("text", ["", "x", "GET", "GET x", "GET /a b", "GE,T /", "/\x00", "/\xe9"])
def test_invalid_request_is_reported_with_an_example(text):
    with pytest.raises(ConfigError, match=r"--path: .* is not a valid request; .*e\.g\. /items"):
        parse_request("--path", text)


def test_parts_are_added():
    spec = with_parts("-H", RequestSpec("POST", "/"), ["A: b", "C:d "], "x=\u00e9")

    assert spec == RequestSpec("POST", "/", (("A", "b"), ("C", "d")), b"x=\xc3\xa9")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("A", "not a valid header"),
        ("A b: c", "not a valid header"),
        ("A: b\r\nC: d", "not a valid header"),
        ("Content-Length: 3", "set by the checker"),
        ("transfer-encoding: chunked", "set by the checker"),
        ("A: \u20ac", "beyond U"),
    ],
)
def test_header_that_cannot_be_sent_is_rejected(header, said):
    with pytest.raises(ConfigError, match=said):
        with_parts("-H", RequestSpec("GET", "/"), [header], None)


def test_a_file_lists_requests(tmp_path):
    file = tmp_path / "requests.http"
    file.write_text(
        "# shop\n/\nGET /items\n\nPOST /items\nContent-Type: application/json\n\n"
        '{"a": 1,\n\n "b": 2}\n###\n\nPUT /items/1\nA: b\n\nname=x\nHEAD /\n'
    )

    assert read_requests(str(file)) == (
        RequestSpec("GET", "/"),
        RequestSpec("GET", "/items"),
        RequestSpec(
            "POST", "/items", (("Content-Type", "application/json"),), b'{"a": 1,\n\n "b": 2}'
        ),
        RequestSpec("PUT", "/items/1", (("A", "b"),), b"name=x"),
        RequestSpec("HEAD", "/"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no requests"),
        ("items\n", r"requests.http:1: .* is not a valid request"),
        ("/\nnothing\n", r"requests.http:2: .* is not a valid header"),
    ],
)
def test_error_in_a_file_is_reported_with_its_line(tmp_path, text, said):
    file = tmp_path / "requests.http"
    file.write_text(text)

    with pytest.raises(ConfigError, match=said):
        read_requests(str(file))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_requests(str(tmp_path / "none"))


def test_a_request_travels_as_json():
    spec = RequestSpec("POST", "/", (("A", "b"),), bytes(range(256)))

    assert RequestSpec.from_json(spec.to_json()) == spec

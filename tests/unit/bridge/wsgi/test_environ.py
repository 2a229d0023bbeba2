"""environ: names and values (PEP 3333, "environ Variables"; S-ENV, S-STR, S-UNI, S-URL)."""

import re
import sys
import urllib.parse
from typing import Any
from wsgiref.util import request_uri

import pytest
from scripted_bridge import Bridge

HOST = [("Host", "example.test")]


def test_s_env_01_environ_is_a_builtin_dict() -> None:
    types = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        types.append(type(environ))
        start_response("200 OK", [])
        return []

    Bridge(app).request()
    assert types == [dict]


def test_s_env_02_changes_neither_break_this_request_nor_reach_the_next() -> None:
    seen = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(dict(environ))
        environ["REQUEST_METHOD"] = environ["SERVER_PROTOCOL"] = None
        environ.clear()
        environ[7] = "junk"
        environ["wsgi.input"] = environ["wsgi.file_wrapper"] = "junk"
        start_response("200 OK", [])
        return [b"ok"]

    bridge = Bridge(app)
    for number in range(3):
        answer = bridge.request(target=f"/{number}", method="POST", body=b"x")
        assert (answer.status, answer.body, answer.log) == ("200 OK", b"ok", [])
    assert [environ["PATH_INFO"] for environ in seen] == ["/0", "/1", "/2"]
    assert all(set(environ) == set(seen[0]) for environ in seen)


@pytest.mark.parametrize(
    "request_",
    [{}, {"method": "POST", "body": b"x"}, {"method": "HEAD"}, {"version": "1.0", "headers": []}],
)
def test_s_env_03_all_wsgi_keys_are_there(environ_of: Any, request_: dict[str, Any]) -> None:
    names = ["version", "url_scheme", "input", "errors", "multithread", "multiprocess", "run_once"]
    assert {f"wsgi.{name}" for name in names} <= environ_of(**request_).keys()


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PATCH", "PURGE", "M-SEARCH"])
def test_s_env_04_request_method_is_the_token(environ_of: Any, method: str) -> None:
    assert environ_of(method=method)["REQUEST_METHOD"] == method


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a%20b",
        "/caf%C3%A9",
        "/%FF",
        "/a%2Fb",
        "/a%2fb",
        "//a//b/../c/./d",
        "/a+b;c",
        "/%2525",
        "/%41%42",
    ],
)
def test_s_env_05_06_07_the_path_is_decoded_once(environ_of: Any, path: str) -> None:
    environ = environ_of(target=path)
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"].encode("latin-1") == urllib.parse.unquote_to_bytes(path)
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == path


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a", "/a", ""),
        ("/a?", "/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/a?x=%20+%2F", "/a", "x=%20+%2F"),
        ("/?x", "/", "x"),
        ("/%41?%41", "/A", "%41"),
    ],
)
def test_s_env_08_the_query_stays_raw(environ_of: Any, target: str, path: str, query: str) -> None:
    environ = environ_of(target=target)
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == target


def test_s_env_09_10_content_type_and_length(environ_of: Any) -> None:
    environ = environ_of(
        method="POST",
        body=b"x" * 17,
        headers=[("content-TYPE", "text/x; a=b"), ("Content-Length", "17")],
    )
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/x; a=b", "17")
    absent = environ_of()
    assert "CONTENT_TYPE" not in absent
    assert "CONTENT_LENGTH" not in absent


def test_beyond_1_2_a_complete_chunked_body_has_its_decoded_size(environ_of: Any) -> None:
    environ = environ_of(method="POST", body=b"x" * 5000, chunked=True)
    assert environ["CONTENT_LENGTH"] == "5000"
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert environ["wsgi.input_terminated"] is True


def test_s_env_10_no_length_is_invented_while_a_chunked_body_arrives(environ_of: Any) -> None:
    environ = environ_of(method="POST", pieces=[b"x"], chunked=True, size_known=False)
    assert "CONTENT_LENGTH" not in environ
    assert environ["wsgi.input_terminated"] is True


@pytest.mark.parametrize(
    ("request_", "name", "port"),
    [
        ({}, "127.0.0.1", "8000"),
        ({"version": "1.0", "headers": []}, "127.0.0.1", "8000"),
        ({"peer": ("::1", "4", "::1", "81")}, "[::1]", "81"),
        ({"unix": True}, "localhost", "80"),
        (
            {
                "peer": ("10.0.0.9", "4", "10.0.0.1", "80"),
                "options": {"server_name": "www.example"},
            },
            "www.example",
            "80",
        ),
    ],
)
def test_s_env_11_12_server_name_and_port(
    environ_of: Any, request_: Any, name: str, port: str
) -> None:
    environ = environ_of(**request_)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_s_env_13_protocol_of_the_request(environ_of: Any, version: str) -> None:
    assert environ_of(version=version)["SERVER_PROTOCOL"] == f"HTTP/{version}"


def test_s_env_14_one_variable_per_field_and_no_other(environ_of: Any) -> None:
    names = [f"X-{'aB' * number}-{number}" for number in range(20)] + [
        "x" * 200,
        "Y" * 48,
        "Y" * 49,
        "!#$%&'*+.^`|~",
    ]
    environ = environ_of(headers=[(name, name[::-1]) for name in names] + [("X-Empty", "")])
    expected = {"HTTP_" + name.upper().replace("-", "_"): name[::-1] for name in names} | {
        "HTTP_X_EMPTY": ""
    }
    assert {key: value for key, value in environ.items() if key.startswith("HTTP_")} == expected


def test_s_env_14_names_that_share_a_place_in_the_table_stay_apart() -> None:
    seen: list[dict[str, str]] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append({key: value for key, value in environ.items() if key.startswith("HTTP_")})
        start_response("200 OK", [])
        return []

    bridge = Bridge(app)
    for _ in range(2):
        for number in range(1000):
            bridge.request(
                headers=[(f"X-N{number}", str(number)), ("User-Agent", f"agent {number % 7}")]
            )
    assert seen[:1000] == seen[1000:]
    assert seen[:1000] == [
        {f"HTTP_X_N{number}": str(number), "HTTP_USER_AGENT": f"agent {number % 7}"}
        for number in range(1000)
    ]


def test_s_env_15_content_fields_have_no_http_form(environ_of: Any) -> None:
    environ = environ_of(
        method="POST", body=b"x", headers=[("Content-Type", "a/b"), ("CONTENT-LENGTH", "1")]
    )
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_s_env_16_repeats_are_joined_in_order(environ_of: Any) -> None:
    environ = environ_of(
        headers=[("X-A", "1"), ("Host", "h"), ("X-A", "2"), ("x-a", "3"), ("X-B", ""), ("X-B", "")]
    )
    assert (environ["HTTP_X_A"], environ["HTTP_X_B"]) == ("1, 2, 3", ", ")


def test_s_env_16_equal_values_are_joined_too(environ_of: Any) -> None:
    environ = environ_of(headers=[("Accept", "a/b"), ("Accept", "a/b"), ("X-A", "1"), ("X-A", "1")])
    assert (environ["HTTP_ACCEPT"], environ["HTTP_X_A"]) == ("a/b, a/b", "1, 1")


def test_s_env_17_cookies_are_joined_as_cookies(environ_of: Any) -> None:
    environ = environ_of(headers=[("Cookie", "a=1"), ("cookie", "b=2"), ("COOKIE", "c=3")])
    assert environ["HTTP_COOKIE"] == "a=1; b=2; c=3"


def test_s_env_19_22_23_cgi_variables_are_str_or_absent(environ_of: Any) -> None:
    environ = environ_of(peer=("192.0.2.7", "51000", "192.0.2.1", "80"))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "51000")
    assert environ["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert environ["SERVER_SOFTWARE"] == "iotax/1.2.3"
    assert (
        not {"REMOTE_USER", "AUTH_TYPE", "REMOTE_IDENT", "HTTPS", "CONTENT_TYPE", "CONTENT_LENGTH"}
        & environ.keys()
    )
    for request_ in ({}, {"unix": True}, {"version": "1.0"}):
        assert all(
            type(value) is str for key, value in environ_of(**request_).items() if "." not in key
        )


def test_s_env_22_a_unix_socket_has_no_remote_port(environ_of: Any) -> None:
    environ = environ_of(unix=True)
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ


def test_the_addresses_are_those_of_the_connection() -> None:
    seen = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(
            tuple(
                environ.get(f"{side}_{what}")
                for side, what in [
                    ("REMOTE", "ADDR"),
                    ("REMOTE", "PORT"),
                    ("SERVER", "NAME"),
                    ("SERVER", "PORT"),
                ]
            )
        )
        start_response("200 OK", [])
        return []

    bridge = Bridge(app)
    peers = [
        ("10.0.0.1", "1", "10.0.0.9", "80"),
        ("10.0.0.2", "2", "10.0.0.9", "80"),
        ("10.0.0.1", "3", "10.0.0.8", "81"),
    ]
    for peer in peers * 2:
        bridge.request(peer=peer)
        bridge.request(unix=True)
    assert seen[::2] == peers * 2
    assert set(seen[1::2]) == {("", None, "localhost", "80")}


def test_s_env_25_26_29_30_31_the_wsgi_values(environ_of: Any) -> None:
    environ = environ_of()
    assert environ["wsgi.version"] == (1, 0)
    assert type(environ["wsgi.version"]) is tuple
    assert type(environ["wsgi.url_scheme"]) is str
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is False
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False
    many = environ_of(options={"threads": 2, "multiprocess": True})
    assert many["wsgi.multithread"] is True
    assert many["wsgi.multiprocess"] is True


def test_s_env_32_own_keys_have_the_prefix(environ_of: Any) -> None:
    own = [key for key in environ_of() if "." in key]
    assert own
    assert all(re.fullmatch(r"(iotax|wsgi)\.[a-z0-9_]+", key) for key in own)


def test_s_str_01_s_uni_01_02_values_are_latin_1(environ_of: Any) -> None:
    raw = bytes(range(0x21, 0x100)).replace(b"\x7f", b"")
    environ = environ_of(headers=[("X-L", b"\xe9\xc3\xa9"), ("X-All", raw)])
    assert environ["HTTP_X_L"] == "\xe9\xc3\xa9"
    assert environ["HTTP_X_ALL"].encode("latin-1") == raw
    assert all(
        ord(max(value, default="a")) <= 0xFF for value in environ.values() if isinstance(value, str)
    )


@pytest.mark.parametrize("target", ["/", "/a/b?c=d", "/a%20b", "/caf%C3%A9?x=%C3%A9"])
def test_s_url_01_the_url_can_be_rebuilt(environ_of: Any, target: str) -> None:
    assert request_uri(environ_of(target=target, headers=HOST)) == "http://example.test" + target
    ipv6 = environ_of(target=target, version="1.0", headers=[], peer=("::1", "4", "::1", "81"))
    assert request_uri(ipv6) == "http://[::1]:81" + target


def test_beyond_2_7_an_absolute_target_names_the_host(environ_of: Any) -> None:
    environ = environ_of(
        target="http://example.test/a?b", path="/a", authority="example.test", headers=HOST
    )
    assert (environ["HTTP_HOST"], environ["PATH_INFO"], environ["QUERY_STRING"]) == (
        "example.test",
        "/a",
        "b",
    )
    assert environ["REQUEST_URI"] == "http://example.test/a?b"
    old = environ_of(target="http://h/", path="/", authority="h", version="1.0", headers=[])
    assert old["HTTP_HOST"] == "h"


def test_beyond_3_6_hop_by_hop_fields_stay_visible(environ_of: Any) -> None:
    environ = environ_of(
        headers=[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("TE", "trailers")]
    )
    assert (environ["HTTP_CONNECTION"], environ["HTTP_UPGRADE"], environ["HTTP_TE"]) == (
        "Upgrade",
        "websocket",
        "trailers",
    )


def test_the_request_id_is_the_exchanges(environ_of: Any) -> None:
    assert environ_of(id="abc-7")["iotax.request_id"] == "abc-7"


def test_keys_of_a_browser_and_a_framework_do_not_make_the_dict_grow() -> None:
    sizes = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        sizes.append(sys.getsizeof(environ))
        for number in range(10):
            environ[f"framework.{number}"] = number
        sizes.append(sys.getsizeof(environ))
        start_response("200 OK", [])
        return []

    bridge = Bridge(app)
    bridge.request(headers=[])
    bridge.request(headers=[(f"X-{number}", "x") for number in range(7)])
    assert len(set(sizes)) == 1

"""--forwarded-allow-ips and --forwarded-headers: from which peers X-Forwarded-* headers are
trusted, and which of them change environ and the client in the logs (S-ENV-26; beyond 3.4)."""

import ipaddress
import re
from typing import Any

import pytest
from _iotax_test import client_of, ip_bytes, is_ip, trusts
from scripted_bridge import Bridge

PROXY = ("10.0.0.2", "40000", "10.0.0.1", "8000")
BELIEVED = ["for", "proto", "host", "port", "prefix"]
TRUSTED = {"trusted": ["10.0.0.0/8"], "believed": BELIEVED}
ALL = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "www.example:8443"),
    ("X-Forwarded-Port", "8443"),
    ("X-Forwarded-Prefix", "/app/"),
]


@pytest.fixture
def behind(environ_of: Any) -> Any:
    """behind(*headers) returns the environ of a request from a trusted proxy."""
    return lambda *headers, **request: environ_of(
        **{"options": TRUSTED, "peer": PROXY, **request}, headers=[("Host", "inner"), *headers]
    )


def test_a_trusted_proxy_sets_the_five_variables(behind: Any) -> None:
    environ = behind(*ALL)
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["REMOTE_ADDR"] == "203.0.113.7"
    assert environ["HTTP_HOST"] == "www.example:8443"
    assert environ["SERVER_PORT"] == "8443"
    assert environ["SCRIPT_NAME"] == "/app"
    assert environ["PATH_INFO"] == "/"
    assert "REMOTE_PORT" not in environ, "the port that is known is the proxy's"
    assert environ["HTTP_X_FORWARDED_FOR"] == "203.0.113.7"


@pytest.mark.parametrize("trusted", [[], ["10.0.0.3"], ["unix"], ["192.168.0.0/16"]])
def test_an_untrusted_peer_changes_nothing(environ_of: Any, trusted: list[str]) -> None:
    request = {"options": {"trusted": trusted}, "peer": PROXY}
    environ = environ_of(**request, headers=[("Host", "inner"), *ALL])
    without = environ_of(**request, headers=[("Host", "inner")])
    passed = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in ALL}
    ours = {"wsgi.input", "wsgi.errors", "wsgi.early_hints", "iotax.client_disconnected"}
    assert {k: v for k, v in environ.items() if k not in ours} == {
        k: v for k, v in {**without, **passed}.items() if k not in ours
    }


def ok(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return []


def test_the_first_unused_proto_gives_one_warning_that_names_the_option() -> None:
    bridge = Bridge(ok)
    assert bridge.request(headers=[("X-Forwarded-For", "1.2.3.4")]).log == []
    first = bridge.request(headers=[("X-Forwarded-Proto", "https")], peer=PROXY)
    assert len(first.warnings()) == 1
    assert "--forwarded-allow-ips 10.0.0.2" in first.warnings()[0]
    assert bridge.request(headers=[("X-Forwarded-Proto", "https")]).log == []
    assert "--forwarded-allow-ips unix" in Bridge(ok).request(headers=ALL, unix=True).warnings()[0]


def test_a_trusted_proxy_gives_no_warning() -> None:
    assert Bridge(ok, **TRUSTED).request(headers=ALL, peer=PROXY).log == []


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7, 10.9.9.9, 10.1.1.1", "203.0.113.7"),
        ("10.9.9.9, 10.1.1.1", "10.9.9.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("203.0.113.7:5000", "203.0.113.7"),
        ("  203.0.113.7\t", "203.0.113.7"),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
        ("1.1.1.1, ::ffff:10.1.1.1", "1.1.1.1"),
        ("unknown", "10.0.0.2"),
        ("1.1.1.1, unknown", "10.0.0.2"),
        ("1.1.1.1, unknown, 10.1.1.1", "10.1.1.1"),
        ("", "10.0.0.2"),
        (",", "10.0.0.2"),
        ("203.0.113.7,", "10.0.0.2"),
        ("203.0.113.07", "10.0.0.2"),
        ("[203.0.113.7", "10.0.0.2"),
        ("[203.0.113.7]", "10.0.0.2"),
        ("203.0.113.7:x", "10.0.0.2"),
        ("fe80::1%eth0", "10.0.0.2"),
    ],
)
def test_the_rightmost_untrusted_address_is_the_client(
    behind: Any, chain: str, address: str
) -> None:
    assert behind(("X-Forwarded-For", chain))["REMOTE_ADDR"] == address
    logged = client_of(TRUSTED["trusted"], PROXY[0], [("x-forwarded-FOR", chain)], BELIEVED)
    assert (logged or PROXY[0]) == address, "the logs name the client that environ names"


def test_several_fields_are_one_chain(behind: Any) -> None:
    environ = behind(
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-For", "2.2.2.2"),
        ("X-Forwarded-For", "10.3.3.3"),
    )
    assert environ["REMOTE_ADDR"] == "2.2.2.2"


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("http", "http"),
        ("ftp", "http"),
        ("", "http"),
        ("https\t", "https"),
        ("http, https", "https"),
        ("https, http", "http"),
        ("httpsx", "http"),
    ],
)
def test_the_scheme_is_that_of_forwarded_proto(behind: Any, value: str, scheme: str) -> None:
    assert behind(("X-Forwarded-Proto", value))["wsgi.url_scheme"] == scheme


def test_other_forwarded_values_belong_to_the_selected_address(behind: Any) -> None:
    environ = behind(
        ("X-Forwarded-For", "203.0.113.7, 10.1.1.1"),
        ("X-Forwarded-Proto", "https, http"),
        ("X-Forwarded-Host", "outer.example, inner.example"),
        ("X-Forwarded-Port", "443"),
    )
    assert (environ["wsgi.url_scheme"], environ["HTTP_HOST"], environ["SERVER_PORT"]) == (
        "https",
        "outer.example",
        "443",
    )


@pytest.mark.parametrize(
    "host",
    [
        "www.example",
        "www.example:80",
        "192.0.2.1:8000",
        "[2001:db8::1]",
        "[::1]:65535",
        "a_b.example",
        "localhost",
    ],
)
def test_a_host_replaces_the_host_field(behind: Any, host: str) -> None:
    assert behind(("X-Forwarded-Host", host))["HTTP_HOST"] == host


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a/b",
        "u@h",
        "h:",
        "h:0",
        "h:65536",
        "h:000080",
        "h:x",
        ":80",
        "[::1",
        "[x]",
        "[::1]80",
        "[1.2.3.4]",
        "[1::2::3]",
        "h?x",
        "a\xe9",
        "x" * 300,
    ],
)
def test_an_invalid_host_is_ignored(behind: Any, host: str) -> None:
    assert behind(("X-Forwarded-Host", host))["HTTP_HOST"] == "inner"


@pytest.mark.parametrize(
    ("port", "result"),
    [
        ("1", "1"),
        ("65535", "65535"),
        *[(bad, "8000") for bad in ["0", "65536", "-1", "x", "", "8 0", "+8", "000443"]],
    ],
)
def test_a_port_replaces_the_server_port(behind: Any, port: str, result: str) -> None:
    assert behind(("X-Forwarded-Port", port))["SERVER_PORT"] == result


@pytest.mark.parametrize(
    ("prefix", "result"),
    [
        ("/app", "/app"),
        ("/app/", "/app"),
        ("/", ""),
        ("/a%20b", "/a b"),
        ("%2Fapp%2f", "/app"),
        ("/caf%C3%A9", "/caf\xc3\xa9"),
        ("/a%3Fb", "/a?b"),
        *[
            (bad, "")
            for bad in [
                "app",
                "//evil.example",
                "/%2Fevil.example",
                "/%2fevil.example",
                "%2F%2Fevil.example",
                "/shop%2F%2Fevil.example",
                "/shop/%2f",
                "/a/b//",
                "/a%0d%0aSet-Cookie:%20x=y",
                "/a%0Ab",
                "/a%00b",
                "/a%7Fb",
                "/a%09b",
                "/%5Cevil.example",
                "/a b",
                "/a?b",
                "/a#b",
                "/a\\b",
                "/a%",
                "/a%2",
                "/a%zz",
                "/\xe9",
                "/" + "x" * 2000,
            ]
        ],
        ("", ""),
    ],
)
def test_a_prefix_becomes_the_script_name(behind: Any, prefix: str, result: str) -> None:
    environ = behind(("X-Forwarded-Prefix", prefix), target="/x")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (result, "/x")


def test_a_prefix_that_is_ignored_gives_one_warning() -> None:
    bridge = Bridge(ok, **TRUSTED)
    assert bridge.request(headers=[("X-Forwarded-Prefix", "/app")], peer=PROXY).log == []
    assert bridge.request(headers=[("X-Forwarded-Prefix", "")], peer=PROXY).log == []
    bad = [("X-Forwarded-Prefix", "/%2Fevil\x1b")]
    (warning,) = bridge.request(headers=bad, peer=PROXY).warnings()
    assert r'X-Forwarded-Prefix "/%2Fevil\x1b" from 10.0.0.2 is ignored' in warning
    assert bridge.request(headers=bad, peer=PROXY).log == []
    not_named = Bridge(ok, trusted=["10.0.0.0/8"])
    assert not_named.request(headers=bad, peer=PROXY).log == [], "it is a plain field"


@pytest.mark.parametrize("name", BELIEVED)
def test_each_field_is_believed_alone(environ_of: Any, name: str) -> None:
    changed = {
        "for": ("REMOTE_ADDR", "203.0.113.7"),
        "proto": ("wsgi.url_scheme", "https"),
        "host": ("HTTP_HOST", "www.example:8443"),
        "port": ("SERVER_PORT", "8443"),
        "prefix": ("SCRIPT_NAME", "/app"),
    }
    options = {"trusted": ["10.0.0.0/8"], "believed": [name]}
    request = {"options": options, "peer": PROXY, "headers": [("Host", "inner"), *ALL]}
    environ = environ_of(**request)
    request["options"] = {"trusted": []}
    due = environ_of(**request) | dict([changed[name]])
    if name == "for":
        del due["REMOTE_PORT"]
    ours = {"wsgi.input", "wsgi.errors", "wsgi.early_hints", "iotax.client_disconnected"}
    assert {k: v for k, v in environ.items() if k not in ours} == {
        k: v for k, v in due.items() if k not in ours
    }


def test_by_default_for_and_proto_are_believed(environ_of: Any) -> None:
    options = {"trusted": ["10.0.0.0/8"]}
    environ = environ_of(options=options, peer=PROXY, headers=[("Host", "inner"), *ALL])
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("203.0.113.7", "https")
    assert (environ["HTTP_HOST"], environ["SCRIPT_NAME"]) == ("inner", "")
    assert environ["SERVER_PORT"] == "8000"


def test_without_the_address_the_last_member_of_each_field_counts(environ_of: Any) -> None:
    environ = environ_of(
        options={"trusted": ["10.0.0.0/8"], "believed": ["proto"]},
        peer=PROXY,
        headers=[
            ("X-Forwarded-For", "203.0.113.7, 10.1.1.1"),
            ("X-Forwarded-Proto", "http, https"),
        ],
    )
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["REMOTE_ADDR"] == PROXY[0]


def test_unix_sockets_and_all_peers_can_be_trusted(environ_of: Any) -> None:
    for trusted, request in [
        (["unix"], {"unix": True}),
        (["*"], {"unix": True}),
        (["*"], {"peer": PROXY}),
    ]:
        environ = environ_of(options={"trusted": trusted}, headers=ALL, **request)
        assert environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize(
    ("trusted", "chain", "address"),
    [
        (["*"], "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        (["*"], "1.1.1.1", "1.1.1.1"),
        (["*"], "1.1.1.1, unknown", PROXY[0]),
        (["*", "10.0.0.0/8"], "1.1.1.1, 2.2.2.2, 10.3.3.3", "2.2.2.2"),
        (["*", "unix"], "1.1.1.1, 2.2.2.2", "2.2.2.2"),
    ],
)
def test_wildcard_trusts_the_peer_and_no_further_hop(
    environ_of: Any, trusted: list[str], chain: str, address: str
) -> None:
    """Otherwise the client chooses its address: each address in the header would be a trusted
    hop."""
    fields = [("X-Forwarded-For", chain)]
    environ = environ_of(options={"trusted": trusted}, headers=fields, peer=PROXY)
    assert environ["REMOTE_ADDR"] == address
    assert (client_of(trusted, PROXY[0], fields, ["for"]) or PROXY[0]) == address


def test_the_logs_name_the_client_only_where_it_is_believed() -> None:
    fields = [("X-Forwarded-For", "1.1.1.1"), ("A", "b"), ("X-Forwarded-For", "10.0.0.3")]
    assert client_of(["10.0.0.0/8"], "10.0.0.2", fields, ["for"]) == "1.1.1.1"
    assert client_of(["10.0.0.0/8"], "11.0.0.2", fields, ["for"]) == ""
    assert client_of(["10.0.0.0/8"], "10.0.0.2", fields, ["proto"]) == ""
    assert client_of(["unix"], "", fields, ["for"]) == "10.0.0.3"
    assert client_of([], "", fields, ["for"]) == ""


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        (
            "10.0.0.0/8",
            ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            ["11.0.0.0", "9.255.255.255", "::a00:1"],
        ),
        (
            "192.168.1.128/25",
            ["192.168.1.128", "192.168.1.255"],
            ["192.168.1.127", "192.168.2.128"],
        ),
        ("192.0.2.1", ["192.0.2.1"], ["192.0.2.2", "192.0.2.0"]),
        ("0.0.0.0/0", ["1.2.3.4", "255.0.0.1"], ["::1", "2001:db8::1"]),
        ("2001:db8::/33", ["2001:db8::1", "2001:db8:7fff::"], ["2001:db8:8000::", "2001:db9::"]),
        ("::1", ["::1", "0:0:0:0:0:0:0:1"], ["::2", "127.0.0.1"]),
        ("::/0", ["::1", "1.2.3.4"], []),
    ],
)
def test_networks_contain_their_addresses_only(
    network: str, inside: list[str], outside: list[str]
) -> None:
    assert [trusts([network], address) for address in inside] == [True] * len(inside)
    assert [trusts([network], address) for address in outside] == [False] * len(outside)
    assert not trusts([network], "nonsense")


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "x",
        "10.0.0",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/x",
        "10.0.0.0/8/8",
        "10.0.0.256",
    ],
)
def test_invalid_entries_are_rejected(entry: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(entry)}$"):
        trusts([entry], "1.2.3.4")


TEXTS = """
1.2.3.4 0.0.0.0 255.255.255.255 256.1.1.1 1.2.3 1.2.3.4.5 01.2.3.4 1.2.3.04 1.2.3.4x 1..2.3
.1.2.3 1.2.3. 1.2.3.-4 1.2.3.+4 1.2.3.0x4 :: ::1 1:: 1::2 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7
1:2:3:4:5:6:7:8:9 1::2::3 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1:2:3:4::5:6:7:8 :1 1: ::: 12345:: g::
::1.2.3.4 ::ffff:1.2.3.4 1:2:3:4:5:6:1.2.3.4 1:2:3:4:5:6:7:1.2.3.4 1.2.3.4:: ::1.2.3.4:1
1.2.3.4::1 ::1.2.3 ::ffff:1.2.3.256 fe80::1%1 ABCD:ef01:: 1:2:3:4:5:6:7:8: :1:2:3:4:5:6:7:8
0001::0 00001:: -1:: +1::
"""


@pytest.mark.parametrize("text", TEXTS.split())
def test_addresses_are_those_of_ipaddress(text: str) -> None:
    try:
        expected = None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        expected = None
    assert is_ip(text) == (expected is not None)
    if expected is not None:
        mapped = b"\0" * 10 + b"\xff\xff" if expected.version == 4 else b""
        assert ip_bytes(text) == mapped + expected.packed

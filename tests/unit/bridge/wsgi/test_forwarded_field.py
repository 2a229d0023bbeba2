"""Forwarded (RFC 7239), where --forwarded-headers names it: what a trusted peer changes in environ
and in the logs, and that a client changes nothing."""

import random
from typing import Any

import pytest
from _iotax_test import client_of

PROXY = ("10.0.0.2", "40000", "10.0.0.1", "8000")
BELIEVED = ["for", "proto", "host", "forwarded"]
TRUSTED = {"trusted": ["10.0.0.0/8"], "believed": BELIEVED}
FAULT = "400 Forwarded: not a list of name=value pairs as in RFC 7239"


@pytest.fixture
def behind(environ_of: Any) -> Any:
    """behind(*lines) returns the environ of a request with these lines of Forwarded."""

    def one(
        *lines: str, believed: list[str] = BELIEVED, fields: Any = (), peer: Any = PROXY
    ) -> Any:
        headers = [("Host", "inner"), *fields, *(("Forwarded", line) for line in lines)]
        return environ_of(options={**TRUSTED, "believed": believed}, peer=peer, headers=headers)

    return one


def logged(*lines: str, believed: list[str] = BELIEVED) -> str:
    fields = [("FORWARDED", line) for line in lines]
    return str(client_of(TRUSTED["trusted"], PROXY[0], fields, believed))


def test_element_of_the_client_sets_three_variables(behind: Any) -> None:
    environ = behind('for=203.0.113.7;proto=https;host="www.example:8443", for=10.1.1.1;proto=http')
    assert environ["REMOTE_ADDR"] == "203.0.113.7"
    assert "REMOTE_PORT" not in environ, "the port that is known is the proxy's"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_HOST"] == "www.example:8443"
    assert environ["HTTP_FORWARDED"].startswith("for=203.0.113.7;")


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ("for=1.1.1.1, for=203.0.113.7, for=10.9.9.9", "203.0.113.7"),
        ("for=10.9.9.9, for=10.1.1.1", "10.9.9.9"),
        ('for="203.0.113.7"', "203.0.113.7"),
        ('for="203.0.113.7:47011"', "203.0.113.7"),
        ('for="203.0.113.7:_port.1"', "203.0.113.7"),
        ('for="[2001:db8::1]"', "2001:db8::1"),
        ('For="[2001:db8::1]:4711";by=_x', "2001:db8::1"),
        ('for="[2001:db8::1]:_x"', "2001:db8::1"),
        ('for="2001:db8::1"', "10.0.0.2"),
        ('for="2001:db8::1:_x"', "10.0.0.2"),
        ("for=unknown", "10.0.0.2"),
        ("for=_hidden", "10.0.0.2"),
        ("for=1.1.1.1, for=unknown, for=10.1.1.1", "10.1.1.1"),
        ("for=1.1.1.1, for=_secret, for=10.1.1.1", "10.1.1.1"),
        ("for=1.1.1.1, proto=https, for=10.1.1.1", "10.1.1.1"),
        ("for=1.1.1.1, ;, for=10.1.1.1", "10.1.1.1"),
        (r'for="203.0.113.\7"', "10.0.0.2"),
        ('for=""', "10.0.0.2"),
        ("for=www.example", "10.0.0.2"),
        ("by=203.0.113.7", "10.0.0.2"),
        (", for=203.0.113.7 ,", "203.0.113.7"),
        ("", "10.0.0.2"),
        (", ".join(["for=10.1.1.1"] * 1000), "10.1.1.1"),
        ("for=203.0.113.7, " + ", ".join(["for=10.1.1.1"] * 1000), "203.0.113.7"),
    ],
)
def test_rightmost_untrusted_address_is_the_client(behind: Any, chain: str, address: str) -> None:
    assert behind(chain)["REMOTE_ADDR"] == address
    assert (logged(chain) or PROXY[0]) == address, "the logs name the client that environ names"


def test_lines_are_one_chain(behind: Any) -> None:
    lines = ("for=1.1.1.1", "for=2.2.2.2;proto=https", "for=10.3.3.3")
    assert behind(*lines)["REMOTE_ADDR"] == logged(*lines) == "2.2.2.2"
    assert behind(*lines)["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize(
    "lines",
    [
        ['for="1.1.1.1'],
        ['for="1.1.1.1', 'x", for=2.2.2.2'],
        ["for=1.1.1.1; proto=http"],
        ["for=1.1.1.1;for=2.2.2.2"],
        ["for=2001:db8::1"],
        ["1.1.1.1"],
        ["for=1.1.1.1", "for"],
    ],
)
def test_broken_grammar_is_rejected(lines: list[str]) -> None:
    assert logged(*lines) == FAULT
    assert logged(*lines, believed=["proto", "forwarded"]) == FAULT, "whatever it is asked for"


def test_broken_grammar_of_others_is_a_plain_value(behind: Any) -> None:
    fields = [("Forwarded", 'for="')]
    assert client_of(TRUSTED["trusted"], "11.0.0.2", fields, BELIEVED) == ""
    assert client_of(TRUSTED["trusted"], PROXY[0], fields, ["for"]) == ""
    assert behind('for="', believed=["for", "proto"])["REMOTE_ADDR"] == PROXY[0]


def test_x_forwarded_fields_are_plain_values_beside_it(behind: Any) -> None:
    fields = [
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "other"),
        ("X-Forwarded-Port", "8443"),
        ("X-Forwarded-Prefix", "/app"),
    ]
    believed = [*BELIEVED, "port", "prefix"]
    environ = behind("for=203.0.113.7;proto=http", believed=believed, fields=fields)
    assert environ["REMOTE_ADDR"] == "203.0.113.7"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] == "inner"
    assert (environ["SERVER_PORT"], environ["SCRIPT_NAME"]) == ("8443", "/app")
    assert environ["HTTP_X_FORWARDED_FOR"] == "198.51.100.1"
    alone = behind(believed=believed, fields=fields)
    assert (alone["REMOTE_ADDR"], alone["wsgi.url_scheme"]) == (PROXY[0], "http")


@pytest.mark.parametrize("named", ["for", "proto", "host"])
def test_each_value_is_trusted_only_if_it_is_named(behind: Any, named: str) -> None:
    environ = behind("for=203.0.113.7;proto=https;host=outer", believed=[named, "forwarded"])
    found = {
        "for": environ["REMOTE_ADDR"] == "203.0.113.7",
        "proto": environ["wsgi.url_scheme"] == "https",
        "host": environ["HTTP_HOST"] == "outer",
    }
    assert [name for name, changed in found.items() if changed] == [named]


def test_untrusted_peers_and_other_settings_change_nothing(behind: Any) -> None:
    line = "for=203.0.113.7;proto=https;host=outer"
    for environ in (
        behind(line, peer=("11.0.0.2", "1", "10.0.0.1", "8000")),
        behind(line, believed=["for", "proto", "host"]),
    ):
        assert environ["REMOTE_ADDR"] in ("11.0.0.2", PROXY[0])
        assert (environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == ("http", "inner")


@pytest.mark.parametrize(
    ("pair", "scheme", "host"),
    [
        ("proto=HTTPS", "https", "inner"),
        ('proto="https"', "https", "inner"),
        ("proto=ftp", "http", "inner"),
        ('proto="http s"', "http", "inner"),
        ("host=a.example", "http", "a.example"),
        ('host="[::1]:80"', "http", "[::1]:80"),
        ('host="a b"', "http", "inner"),
        ('host="a/b"', "http", "inner"),
        ('host=""', "http", "inner"),
    ],
)
def test_scheme_and_host(behind: Any, pair: str, scheme: str, host: str) -> None:
    environ = behind(f"for=203.0.113.7;{pair}")
    assert (environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == (scheme, host)


def element(made: random.Random) -> str:
    """A random element that keeps the grammar."""
    nodes = ["1.1.1.1", "10.1.1.1", '"[::1]:4"', "_x", "unknown", '"\\1.1.1.1"']
    others = ["proto=https", "proto=http", "host=evil.example", 'by="a,b;c"', 'x="\\""', ""]
    pairs = [f"for={made.choice(nodes)}", *made.sample(others, made.randint(0, 2))]
    return ";".join(made.sample(pairs, len(pairs)))


def test_what_a_client_puts_to_the_left_changes_nothing(behind: Any) -> None:
    """Random elements and lines before those of the proxies: the result stays, or, if they break
    the grammar, the request is rejected."""
    words = [
        "for",
        "proto",
        "host",
        "by",
        "=",
        ";",
        ",",
        '"',
        "\\",
        " ",
        "1.1.1.1",
        "[::1]",
        "https",
    ]
    words += ["unknown", "_x", "10.1.1.1", "evil.example", "\xe9"]
    keys = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "REMOTE_PORT")
    chains = (
        "for=203.0.113.7;proto=https;host=outer",
        "for=203.0.113.7;proto=https, for=10.1.1.1;proto=http",
        "for=203.0.113.7, for=10.1.1.1",
        "for=unknown;proto=https",
        "for=_x, for=10.1.1.1;host=outer",
    )
    found = {chain: behind(chain) for chain in chains}
    accepted = 0
    for seed in range(1000):
        made = random.Random(seed)
        chain = made.choice(chains)
        expected = {key: found[chain].get(key) for key in keys}
        left = "".join(made.choices(words, k=made.randint(0, 12)))
        if made.random() < 0.7:
            left = ",".join(element(made) for _ in range(made.randint(0, 4)))
        lines = (left, chain) if made.random() < 0.5 else (f"{left}, {chain}",)
        client = logged(*lines)
        if client == FAULT:
            continue
        accepted += 1
        environ = behind(*lines)
        assert {key: environ.get(key) for key in keys} == expected, (seed, lines)
        assert (client or PROXY[0]) == expected["REMOTE_ADDR"], (seed, lines)
    assert accepted > 500

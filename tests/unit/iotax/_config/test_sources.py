"""Which source wins, and the error for each invalid value."""

import re

import pytest

from iotax._config.address import TcpAddress, UnixAddress
from iotax._config.errors import ConfigError
from iotax._config.options import OPTIONS, Config
from iotax._config.sources import from_arguments, from_command


def flags(**typed: object) -> Config:
    return from_command(typed, {})[0]


def test_flag_beats_variable_beats_default() -> None:
    environ = {"IOTAX_THREADS": "3"}
    assert from_command({"threads": "5"}, environ)[0].threads == 5
    assert from_command({}, environ)[0].threads == 3
    assert from_command({}, {})[0].threads == 1


def test_invalid_variable_is_not_read_if_a_flag_overrides_it() -> None:
    assert from_command({"threads": "5"}, {"IOTAX_THREADS": "many"})[0].threads == 5


def test_empty_variable_is_unset_unless_empty_is_a_value() -> None:
    config = from_command({}, {"IOTAX_THREADS": "", "PORT": "", "IOTAX_SERVER_HEADER": ""}).config
    assert config.threads == 1
    assert config.port == 8000
    assert config.server_header == ""


@pytest.mark.parametrize(
    ("typed", "environ", "host", "port"),
    [
        ({}, {"PORT": "5000"}, "0.0.0.0", 5000),
        ({"host": "127.0.0.2"}, {"PORT": "5000"}, "127.0.0.2", 5000),
        ({}, {"PORT": "5000", "IOTAX_HOST": "127.0.0.2"}, "127.0.0.2", 5000),
        ({"port": "6000"}, {"PORT": "5000"}, "127.0.0.1", 6000),
        ({}, {"PORT": "5000", "IOTAX_PORT": "6000"}, "127.0.0.1", 6000),
        ({"host": "::1"}, {"IOTAX_BIND": ":9000"}, "::1", 8000),
    ],
)
def test_port_variable_opens_to_all_unless_a_host_is_given(
    typed: dict[str, object], environ: dict[str, str], host: str, port: int
) -> None:
    assert from_command(typed, environ)[0].addresses == (TcpAddress(host, port),)


def test_bind_flag_beats_addresses_in_variables() -> None:
    environ = {"PORT": "5000", "IOTAX_HOST": "127.0.0.2"}
    config = from_command({"bind": ["[::1]:80", "unix:/run/x.sock", ":81"]}, environ).config
    assert config.addresses == (
        TcpAddress("::1", 80),
        UnixAddress("/run/x.sock"),
        TcpAddress("0.0.0.0", 81),
    )


def test_bind_variable_holds_several() -> None:
    config = from_command({}, {"IOTAX_BIND": "127.0.0.1:80, unix:/run/x"}).config
    assert config.addresses == (TcpAddress("127.0.0.1", 80), UnixAddress("/run/x"))


def test_forwarded_allow_ips_has_a_common_variable() -> None:
    environ = {"FORWARDED_ALLOW_IPS": "127.0.0.1, 10.0.0.0/255.0.0.0"}
    assert from_command({}, environ)[0].forwarded_allow_ips == ("127.0.0.1", "10.0.0.0/8")
    environ["IOTAX_FORWARDED_ALLOW_IPS"] = "*"
    assert from_command({}, environ)[0].forwarded_allow_ips == ("*",)


def test_unknown_variable_is_a_warning_that_names_the_nearest() -> None:
    environ = {"IOTAX_TREADS": "3", "IOTAX_APP": "main:app", "IOTAX_PORT": "1", "OTHER": "x"}
    assert from_command({}, environ)[1] == [
        "Ignoring the unknown variable IOTAX_TREADS; the nearest known one is IOTAX_THREADS"
    ]


def test_variables_of_a_kubernetes_service_are_ignored_with_one_warning() -> None:
    environ = {
        "IOTAX_PORT": "tcp://10.0.0.7:80",
        "IOTAX_PORT_80_TCP": "tcp://10.0.0.7:80",
        "IOTAX_PORT_80_TCP_ADDR": "10.0.0.7",
        "IOTAX_PORT_80_TCP_PORT": "80",
        "IOTAX_PORT_80_TCP_PROTO": "tcp",
        "IOTAX_PORT_53_UDP": "udp://10.0.0.7:53",
        "IOTAX_SERVICE_HOST": "10.0.0.7",
        "IOTAX_SERVICE_PORT": "80",
        "IOTAX_SERVICE_PORT_WEB": "80",
        "IOTAX_LIMIT_PORT": "sctp://10.0.0.8:80",
        "IOTAX_LIMIT_SERVICE_HOST": "10.0.0.8",
        "PORT": "5000",
    }
    config, warnings, *_ = from_command({}, environ)
    assert config.addresses == (TcpAddress("0.0.0.0", 5000),)
    assert warnings == [
        "Ignoring IOTAX_LIMIT_PORT, IOTAX_LIMIT_SERVICE_HOST, IOTAX_PORT=tcp://10.0.0.7:80 and 8"
        " more: they describe a service of the cluster, not options of this server; to avoid them,"
        " set enableServiceLinks: false in the pod"
    ]
    bound = from_command({"bind": [":80"]}, environ)[0]
    assert bound.addresses == (TcpAddress("0.0.0.0", 80),), (
        "IOTAX_PORT does not count as an address"
    )


@pytest.mark.parametrize("value", ["80", "http://10.0.0.7:80", "x"])
def test_other_values_of_the_port_variable_are_read(value: str) -> None:
    if value == "80":
        assert from_command({}, {"IOTAX_PORT": value})[0].port == 80
    else:
        with pytest.raises(ConfigError, match=r"^IOTAX_PORT: "):
            from_command({}, {"IOTAX_PORT": value})


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("*", "*"),
        ("[::]", "::"),
        ("[::1]", "::1"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("::", "::"),
        ("localhost", "localhost"),
    ],
)
def test_hosts_are_read_in_all_usual_forms(host: str, address: str) -> None:
    assert flags(host=host).addresses == (TcpAddress(address, 8000),)
    assert from_command({}, {"IOTAX_HOST": host})[0].host == address
    assert from_arguments({"host": host}, path=False).host == address
    bind = f"{host}:80" if host.startswith("[") or ":" not in host else f"[{host}]:80"
    assert flags(bind=[bind]).addresses == (TcpAddress(address, 80),)
    assert flags(bind=[f"tcp://{bind}"]).addresses == (TcpAddress(address, 80),)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ({"host": "127.0.0.1:80"}, '--host: "127.0.0.1:80" contains a port; use --bind 127.0.0.'),
        ({"host": "[::1]:80"}, '--host: "[::1]:80" contains a port; use --bind [::1]:80; ex'),
        ({"host": "*:80"}, '--host: "*:80" contains a port; use --bind *:80; expected a name,'),
        ({"host": "http://a"}, '--host: "http://a" is a URL, not a host'),
        ({"host": "[::"}, '--host: "[::" does not have one IPv6 address in brackets, as in [::1]'),
        ({"host": "[a]"}, '--host: "[a]" does not have one IPv6 address in brackets, as in [::1]'),
        (
            {"bind": ["[a]:80"]},
            '--bind: "[a]:80" does not have one IPv6 address in brackets, as in [::1]:8',
        ),
        ({"bind": ["http://a:80"]}, '--bind: "http://a:80" is a URL, not an address'),
        ({"port": "80a"}, '--port: "80a" is not an integer; expected an integer from 0'),
        ({"port": "65536"}, '--port: "65536" is too large; expected an integer from 0 to'),
        ({"port": "-1"}, '--port: "-1" is too small'),
        ({"port": ""}, '--port: "" is not an integer'),
        ({"threads": "0"}, '--threads: "0" is too small; expected an integer from 1'),
        ({"limit_body": "5X"}, '--limit-body: "5X" is not a size; expected bytes as an integer'),
        ({"limit_body": "-1"}, '--limit-body: "-1" is not a size'),
        ({"limit_body": "9999999999G"}, '--limit-body: "9999999999G" is too large'),
        ({"limit_head": "0"}, '--limit-head: "0" is too small'),
        ({"limit_head": "17M"}, '--limit-head: "17M" is too large; expected bytes as an integer'),
        ({"keep_alive": "5d"}, '--keep-alive: "5d" is not a time; expected a time from 0 to'),
        ({"keep_alive": "nan"}, '--keep-alive: "nan" is not a time'),
        ({"keep_alive": "9000h"}, '--keep-alive: "9000h" is out of range'),
        ({"min_rate": "fast"}, '--min-rate: "fast" is not a size; expected bytes per second'),
        ({"unix_mode": "888"}, '--unix-mode: "888" is not octal; expected the permissions'),
        ({"unix_mode": "1777"}, '--unix-mode: "1777" is out of range'),
        ({"log_level": "loud"}, '--log-level: "loud" is unknown; expected debug,'),
        ({"color": "blue"}, '--color: "blue" is unknown; expected auto, always or'),
        ({"host": ""}, '--host: "" is empty; expected a name, an IP address or *, e.g. --host'),
        ({"server_header": "a\nb"}, "--server-header: 'a\\nb' contains a control character"),
        ({"server_header": "é"}, '--server-header: "é" is not a valid header value'),
        (
            {"access_log_format": "common"},
            '--access-log-format: "common" is neither default, combined or json nor an atom such as'
            " %(h)s; expected default, combined, json, or a text with atoms such as %(h)s and"
            " %({Name}i)s, e.g. --access-log-format combined",
        ),
        (
            {"access_log_format": "ü %(h)s %(hh)s"},
            "has the unknown atom %(hh)s, after 8 characters; expected",
        ),
        (
            {"access_log_format": "%(h)s 5%"},
            "has a lone %; a percent sign is %%, after 7 characters",
        ),
        ({"access_log_format": "%(h)-9s"}, "begins with %(h) without s after it; there are no wi"),
        ({"access_log_format": "%(h"}, "begins with %( without ); expected"),
        ({"access_log_format": "%(h)s\n"}, "has a control character, after 5 characters"),
        ({"access_log_format": "%()s"}, "begins with the unknown atom %()s"),
        ({"access_log_format": ""}, '"" is neither default'),
        ({"log_format": "xml"}, '--log-format: "xml" is unknown; expected text or json, e.g.'),
        (
            {"request_id_header": "X Id"},
            '--request-id-header: "X Id" is not the name of a header; expected the name of a header'
            " that the server does not set itself, e.g. --request-id-header X-Request-ID",
        ),
        ({"request_id_header": "Connection"}, "is a header that the server sets itself"),
        ({"request_id_header": "content-length"}, "is a header that the server sets itself"),
        ({"request_id_header": ""}, "is not the name of a header"),
        (
            {"health_path": "healthz"},
            '--health-path: "healthz" does not begin with /; expected a path as in a request,'
            " without a query, e.g. --health-path /healthz",
        ),
        ({"health_path": "/a?b"}, '"/a?b" has a query'),
        ({"health_path": "/a#b"}, '"/a#b" has a fragment'),
        ({"health_path": "/a b"}, 'has " ", which a path can have only as bytes in the form %XX'),
        ({"health_path": "/\u00e9"}, 'has "\u00e9", which a path can have only'),
        ({"health_path": "/%2"}, 'has "%", which a path can have only'),
        ({"health_path": ""}, '"" does not begin with /'),
        (
            {"health_log": True},
            "--health-log needs --health-path; leave it out, or add one, e.g. --health-path"
            " /healthz",
        ),
        (
            {"statsd_prefix": "site"},
            "--statsd-prefix needs --statsd-host; leave it out, or add one, e.g. --statsd-host"
            " 127.0.0.1:8125",
        ),
        ({"dogstatsd_tags": "a:b"}, "--dogstatsd-tags needs --statsd-host; leave it out"),
        (
            {"statsd_host": "localhost"},
            '--statsd-host: "localhost" has no port; expected host:port, [v6]:port or unix:PATH,'
            " e.g. --statsd-host 127.0.0.1:8125",
        ),
        ({"statsd_host": "::1:8125"}, '"::1:8125" has an IPv6 address without brackets'),
        ({"statsd_host": "a:65536"}, '"a:65536" has a port that is not a number'),
        ({"statsd_host": "a:0"}, '"a:0" has the port 0'),
        ({"statsd_host": ":8125"}, '":8125" has no host'),
        ({"statsd_host": "*:8125"}, '"*:8125" has no host'),
        ({"statsd_host": "fd://3"}, '"fd://3" is an address to listen on'),
        ({"statsd_host": "proxy://a:1"}, '"proxy://a:1" is an address to listen on'),
        ({"statsd_host": "tcp://a:1"}, '"tcp://a:1" begins with tcp://, and lines are sent over'),
        ({"statsd_host": "udp://a:1"}, '"udp://a:1" is a URL, not an address'),
        ({"statsd_host": "unix:"}, '"unix:" has no path'),
        ({"statsd_host": "unix://"}, '"unix://" has no path'),
        ({"statsd_host": ""}, '"" is empty'),
        (
            {"statsd_prefix": "a:b", "statsd_host": "a:1"},
            '--statsd-prefix: "a:b" has ":"; expected visible ASCII without :, |, @ and #, at most'
            " 256 characters, e.g. --statsd-prefix site",
        ),
        ({"statsd_prefix": "a|b", "statsd_host": "a:1"}, '"a|b" has "|"'),
        ({"statsd_prefix": "a@b", "statsd_host": "a:1"}, '"a@b" has "@"'),
        ({"statsd_prefix": "a#b", "statsd_host": "a:1"}, '"a#b" has "#"'),
        ({"statsd_prefix": "a b", "statsd_host": "a:1"}, '"a b" has a space'),
        ({"statsd_prefix": "é", "statsd_host": "a:1"}, '"é" has "é", which is not ASCII'),
        ({"statsd_prefix": "a\nb", "statsd_host": "a:1"}, "contains a control character"),
        ({"statsd_prefix": "..", "statsd_host": "a:1"}, '".." has only dots'),
        ({"statsd_prefix": "a" * 257, "statsd_host": "a:1"}, "has more than 256 characters"),
        ({"dogstatsd_tags": "a b", "statsd_host": "a:1"}, '"a b" has a space'),
        ({"dogstatsd_tags": "a|b", "statsd_host": "a:1"}, '"a|b" has "|"'),
        ({"dogstatsd_tags": "a:b,", "statsd_host": "a:1"}, '"a:b," has an empty tag'),
        ({"dogstatsd_tags": "a" * 1025, "statsd_host": "a:1"}, "has more than 1024 characters"),
        ({"bind": ["8000"]}, '--bind: "8000" has no port; expected host:port, [v6]:port'),
        ({"bind": ["::1:80"]}, '--bind: "::1:80" has an IPv6 address without brackets'),
        ({"bind": ["[::1]"]}, '--bind: "[::1]" has no port'),
        ({"bind": ["a:b"]}, '--bind: "a:b" has a port that is not a number from 0 to 65535'),
        ({"bind": ["unix:"]}, '--bind: "unix:" has no path'),
        ({"bind": ["proxy://"]}, '--bind: "proxy://" has no address after proxy://'),
        ({"bind": ["proxy://proxy://:1"]}, '"proxy://proxy://:1" has proxy:// twice'),
        ({"bind": ["proxy://unix:"]}, '"proxy://unix:" has no path'),
        ({"bind": ["proxy://http://a"]}, '"proxy://http://a" is a URL, not an address'),
        (
            {"proxy_protocol_from": ["10.0.0.0/8"], "bind": [":8000"]},
            "--proxy-protocol-from belongs to listeners with proxy://; leave it out, or add one,"
            " e.g. --bind proxy://:8000",
        ),
        ({"proxy_protocol_from": ["lb"]}, '"lb" is neither an address nor a network'),
        (
            {"forwarded_allow_ips": ["10.0.0.1/8"]},
            '--forwarded-allow-ips: "10.0.0.1/8" has bits set after its prefix, the'
            " network is 10.0.0.0/8",
        ),
        (
            {"forwarded_headers": ["for,by"]},
            '--forwarded-headers: "by" is unknown; expected'
            " for, proto, host, port, prefix and forwarded, separated by commas, e.g."
            " --forwarded-headers for,proto,host,prefix",
        ),
        (
            {"forwarded_headers": ["forwarded"]},
            '--forwarded-headers: "forwarded" alone trusts no value; add for, proto or host, e.g.'
            " --forwarded-headers for,proto,forwarded",
        ),
        ({"forwarded_headers": ["port,prefix", "forwarded"]}, '"forwarded" alone trusts no value'),
        ({"forwarded_allow_ips": ["nginx"]}, '"nginx" is neither an address nor a network'),
        ({"forwarded_allow_ips": ["fe80::1%eth0"]}, '"fe80::1%eth0" has a zone'),
        (
            {"bind": [":80"], "port": "81"},
            "--bind and --port cannot be combined; --bind contains host and port, e.g. 127.0.0.1",
        ),
        ({"bind": [":80"], "host": "::"}, "--bind and --host cannot be combined"),
    ],
)
def test_invalid_value_is_reported_with_what_is_expected(
    typed: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        flags(**typed)
    assert text in str(caught.value)
    (name, *_) = typed
    assert re.search(rf"e\.g\. ({OPTIONS[name].flag} )?\S", str(caught.value))


def test_invalid_variable_is_named_as_a_variable() -> None:
    with pytest.raises(ConfigError, match=r'^IOTAX_PORT: "x" .*e\.g\. IOTAX_PORT=8001$'):
        from_command({}, {"IOTAX_PORT": "x"})
    with pytest.raises(ConfigError, match=r'^PORT: "x" .*e\.g\. PORT=8001$'):
        from_command({}, {"PORT": "x"})
    with pytest.raises(
        ConfigError, match=r"^IOTAX_FACTORY: .* on or off .*e\.g\. IOTAX_FACTORY=1$"
    ):
        from_command({}, {"IOTAX_FACTORY": "perhaps"})
    with pytest.raises(ConfigError, match=r"^IOTAX_BIND and IOTAX_PORT cannot be combined"):
        from_command({}, {"IOTAX_BIND": ":80", "IOTAX_PORT": "81"})


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"port": "x"}, ValueError, 'port: "x" is not an integer'),
        ({"port": 70000}, ValueError, 'port: "70000" is too large'),
        ({"port": 80.5}, TypeError, "port: expected an integer from 0 to 65535, not float"),
        ({"threads": True}, TypeError, "threads: expected an integer from 1 to 1000, not bool"),
        ({"limit_body": 1.5}, TypeError, "limit_body: expected bytes"),
        ({"keep_alive": None}, TypeError, "keep_alive: expected a time"),
        ({"keep_alive": float("nan")}, ValueError, "keep_alive"),
        ({"access_log": 1}, TypeError, "access_log: expected on or off"),
        ({"unix_mode": "9"}, ValueError, 'unix_mode: "9" is not octal'),
        ({"bind": 5}, TypeError, "bind: expected host:port"),
        ({"bind": [5]}, TypeError, "not a list that contains int"),
        ({"bind": ":80", "port": 80}, ValueError, "bind and port cannot be combined"),
        (
            {"dogstatsd_tags": "a:b"},
            ValueError,
            'dogstatsd_tags needs statsd_host; leave it out, or add one, e.g. statsd_host="127.0',
        ),
        ({"health_log": True}, ValueError, "health_log needs health_path; leave it out, or add"),
        ({"tread": 1}, TypeError, "unknown argument tread: did you mean threads?"),
        ({"factory": True}, TypeError, "factory is for loading an application"),
        ({"log_level": 3}, TypeError, "log_level: expected debug, info"),
    ],
)
def test_invalid_argument_is_named(
    arguments: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        from_arguments(arguments, path=False)
    assert text in str(caught.value)


def test_arguments_are_numbers_or_text() -> None:
    config = from_arguments(
        {"limit_body": "2M", "keep_alive": 5, "unix_mode": 0o600, "bind": ["unix:/a,b", ":1"]},
        path=False,
    )
    assert config.limit_body == 2 * 1024**2
    assert config.keep_alive == 5.0
    assert config.unix_mode == 0o600
    assert config.bind == (UnixAddress("/a,b"), TcpAddress("0.0.0.0", 1))


def test_under_reload_a_drain_is_short_unless_its_time_is_given() -> None:
    assert flags(reload=True).graceful_timeout == 0.5
    assert flags().graceful_timeout == 30.0
    assert flags(reload=True, graceful_timeout="5s").graceful_timeout == 5.0
    environ = {"IOTAX_GRACEFUL_TIMEOUT": "7s", "IOTAX_RELOAD": "1"}
    assert from_command({}, environ)[0].graceful_timeout == 7.0


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ({"reload": True, "workers": "0"}, "--reload needs a supervisor"),
        ({"reload": True, "preload": True}, "--preload and --reload cannot be combined"),
    ],
)
def test_reload_explains_why_it_cannot_be_combined(typed: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        flags(**typed)


def test_patterns_of_files_are_lists() -> None:
    config = flags(reload=True, reload_include=["*.toml,*.sql", "data/"], reload_dir=["a", "b"])
    assert config.reload_include == ("*.toml", "*.sql", "data")
    assert config.reload_dir == ("a", "b")

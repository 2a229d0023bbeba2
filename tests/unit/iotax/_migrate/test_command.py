"""`iotax migrate`: its messages, and sources that are unusual or wrong."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from iotax import cli
from iotax._config.sources import from_command
from iotax._migrate.gunicorn import ROWS
from iotax._migrate.toml_file import COMMENT_CHARACTERS_MAX


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gunicorn.conf.py in the current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "gunicorn.conf.py"


@pytest.fixture
def ini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site.ini in the current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "site.ini"


def output_of(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> str:
    """Standard output. The settings file that it is has been read."""
    assert cli.main(["migrate", *arguments]) == 0
    out, err = capfdbinary.readouterr()
    assert err == b""
    file = Path("printed.toml")
    file.write_bytes(out)
    from_command({"config": str(file)}, {})
    return out.decode()


def error_of(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> str:
    assert cli.main(["migrate", *arguments]) == 2
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.startswith(b"iotax migrate: ")
    assert err.count(b"\n") == 1
    return err.decode()


# ---- the command


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "SOURCE is missing; expected a gunicorn.conf.py, a uWSGI .ini, or a quoted command"),
        (["--help-me"], "unknown option --help-me; iotax migrate has no options"),
        (["a.py", "b.py"], 'unexpected argument "b.py"; expected one SOURCE'),
        (
            ["gunicorn", "-w", "4", "main:app"],
            'quote the command line: iotax migrate "gunicorn -w 4 main:app"',
        ),
        (["nowhere.py"], "nowhere.py cannot be read: No such file or directory; expected a"),
        (["main:app"], "main:app cannot be read: No such file or directory; expected a guni"),
        (["waitress-serve main:app"], "cannot be read: No such file or directory; expected a"),
        (["."], ". cannot be read: Is a directory"),
        (["a\0b"], "SOURCE cannot be read: embedded null byte"),
        (["gunicorn 'main:app"], "the command line ends too early: No closing quotation"),
        (["gunicorn --wokers 4"], "gunicorn does not accept this command line: unrecognized argu"),
        (["gunicorn -w"], "gunicorn does not accept this command line: argument -w/--workers: exp"),
        (["gunicorn --max 4"], "gunicorn does not accept this command line: ambiguous option"),
    ],
)
def test_wrong_arguments_exit_with_2(
    capfdbinary: pytest.CaptureFixture[bytes], arguments: list[str], text: str
) -> None:
    assert text in error_of(capfdbinary, *arguments)


def test_help_is_printed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["migrate", "-h"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"usage: iotax migrate SOURCE\n")


def test_full_disk_exits_with_1() -> None:
    words = [sys.executable, "-m", "iotax", "migrate", "gunicorn main:app"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    error = "iotax migrate: cannot write to standard output: No space left on device\n"
    assert done.stderr == error


def test_subcommand_must_come_first(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["--port", "1", "migrate"]) == 2
    assert b"an application in a module named migrate is migrate:app" in (
        capfdbinary.readouterr().err
    )


def test_modules_are_imported_for_the_subcommand_only() -> None:
    code = "import sys, iotax.cli; print([name for name in sys.modules if '_migrate' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["site.yaml", "site.xml", "iotax.toml", "unknown"])
def test_unknown_kind_of_file_exits_with_2(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes], name: str
) -> None:
    Path(name).write_text("workers = 4\n")
    assert f"{name} is of an unknown kind; expected a gunicorn" in error_of(capfdbinary, name)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "DEBUG = True\n"])
def test_python_without_settings_exits_with_2(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str
) -> None:
    source.write_text(text)
    assert "has no setting of gunicorn; expected a" in error_of(capfdbinary, source.name)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "site.ini has no section [uwsgi]; a section with another name is FILE:SECTION"),
        ("[app]\nmaster = 1\n", "site.ini has no section [uwsgi]; it has [app]; a section"),
        ("[uwsgi\nmaster\n", 'site.ini:1: "]" is missing after the section'),
    ],
)
def test_ini_without_its_section_exits_with_2(
    ini: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str, error: str
) -> None:
    ini.write_text(text)
    assert error in error_of(capfdbinary, ini.name)


# ---- Python


def test_nothing_is_executed(source: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    source.write_text(
        "import pathlib\n"
        "workers = 2\n"
        "pathlib.Path('written').write_text('')\n"
        "threads = pathlib.Path('written').write_text('')\n"
        "def post_fork(server, worker, at=pathlib.Path('written').write_text('')): ...\n"
        "open('written', 'w')\n"
    )
    assert "\nworkers = 2\n" in output_of(capfdbinary, source.name)
    assert not Path("written").exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"workers = 1\nthreads = = 2\n", "gunicorn.conf.py:2: not valid Python: invalid syntax"),
        (b"workers = 1\n\xff\xfe = 2\n", "gunicorn.conf.py:2: not valid UTF-8"),
        (b"# coding: klingon\nworkers = 1\n", "gunicorn.conf.py:1: not valid Python: unknown enc"),
        (b"workers = 1\0\n", "not valid Python: source code string cannot contain null bytes"),
        (b"workers = " + b"(" * 100_000 + b"\n", "not valid Python"),
        (b"workers = " + b"-" * 100_000 + b"1\n", "not valid Python"),
    ],
)
def test_invalid_python_exits_with_2(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes], text: bytes, error: str
) -> None:
    source.write_bytes(text)
    assert error in error_of(capfdbinary, source.name)


def test_encoding_of_the_source_is_used(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source.write_bytes(b'# coding: latin-1\nchdir = "/srv/caf\xe9"\n')
    assert 'chdir = "/srv/café"' in output_of(capfdbinary, source.name)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("workers = 2 * 2", "workers = 2 * 2: only literals are read; set workers"),
        ("workers = N", "workers = N: only literals are read; set workers"),
        ("workers = f'{4}'", "workers = f'{4}': only literals are read; set workers"),
        ("workers += 1", "workers += 1: only literals are read; set workers"),
        ("workers, x = make()", "workers = … make(): only literals are read; set workers"),
        ("(workers := 3)", "workers := 3: it depends on the statement in line 1"),
        ("x = (workers := 3)", "workers := 3: only literals are read; set workers"),
        ("del workers", "workers: it depends on the statement in line 1; set workers"),
        ("from site import workers", "from site import workers: only literals are read; set work"),
        ("from base import *", "from base import *: settings of other files are not read"),
        ("if x:\n  workers = 2", "workers = 2: it depends on the statement in line 1; set workers"),
        ("for workers in y: pass", "workers: it depends on the statement in line 1; set workers"),
        ("with x as workers: pass", "workers: it depends on the statement in line 1; set workers"),
        ("def when_ready(s): pass", "def when_ready: iotax has no hook for it"),
        ("if x:\n  def when_ready(s): pass", "def when_ready: iotax has no hook for it"),
        ("globals()['workers'] = 3", "globals(): settings that it makes are not read"),
        ("exec('workers = 3')", "exec('workers = 3'): settings that it makes are not read"),
        ("workers = '4x'", "workers = '4x': \"4x\" is not an integer"),
        ("workers = 4.5", "workers = 4.5: workers: expected an integer from 0 to 500, not float"),
        ("workers = 501", "workers = 501: workers: the value is too large; expected an integer"),
        ("workers = 0", "workers = 0: 0 workers mean one process without a supervisor here"),
        ("bind = ['http://a']", "bind = ['http://a']: bind: the value is a URL, not an address"),
        ("bind = 8000", "bind = 8000: bind: expected"),
        ("chdir = '\\ud800'", "chdir = '\\ud800': chdir: the value is not valid Unicode"),
        ("chdir = ''", "chdir = '': chdir: the value is empty"),
        ("wsgi_app = 'a b'", "wsgi_app = 'a b': app: \"a b\" is not a valid module name"),
        ("raw_env = ['A']", "raw_env = ['A']: expected a list of"),
        ("protocol = 'http'", "protocol = 'http': not needed: HTTP is the only protocol"),
        ("protocol = 'uwsgi'", "protocol = 'uwsgi': HTTP is the only protocol; in nginx use pro"),
        ("reload_engine = 'auto'", "reload_engine = 'auto': not needed"),
        ("proxy_protocol = 'off'", "proxy_protocol = 'off': it is gunicorn's default"),
        ("statsd_host = 'unix:1'", "statsd_host = 'unix:1': unix: is followed by a path"),
        ("statsd_prefix = 'a'", "statsd_prefix = 'a': it needs statsd-host"),
        ("dogstatsd_tags = 'a:b'", "dogstatsd_tags = 'a:b': it needs statsd-host"),
    ],
)
def test_values_that_cannot_be_carried_over_become_comments(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str, line: str
) -> None:
    source.write_text(f"{text}\nthreads = 2\n")
    printed = output_of(capfdbinary, source.name)
    assert f"# not carried over: {line}" in printed
    assert printed.count("# not carried over: ") == 1
    assert "\nthreads = 2\n" in printed


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("workers = '0x4'", "workers = 4"),
        (
            "bind = ('unix:///run/a.sock', '[::1]', 'b:80')",
            '["unix:/run/a.sock", "[::1]:8000", "b:80"]',
        ),
        ("limit_request_fields = 0", "limit-fields = 10000  # limit_request_fields"),
        ("limit_request_field_size = 9 ; x = 1", "limit-field = 9  # limit_request_field_size"),
        ("accesslog = None", "access-log = false  # accesslog"),
        ("preload_app = False", "preload = false  # preload_app"),
        ("reload_engine = 'poll'", "reload-poll = true  # reload_engine"),
        ("loglevel = 'DEBUG'", 'log-level = "debug"  # loglevel'),
        ("forwarded_allow_ips = '10.0.0.1, *'", 'forwarded-allow-ips = ["10.0.0.1", "*"]'),
        ('chdir = """/srv/a"b\\\\c"""', 'chdir = "/srv/a\\"b\\\\c"'),
        ("chdir = '/\\d'", 'chdir = "/\\\\d"'),
        ("workers = threads = 3", "workers = 3\n"),
        ("timeout = 2.5", "request-timeout = 2.5  # timeout"),
        ("statsd_host = 'a:1'", 'statsd-host = "a:1"'),
        ("statsd_host = 'localhost'", 'statsd-host = "localhost:8125"'),
        ("statsd_host = '[::1]'", 'statsd-host = "[::1]:8125"'),
        ("statsd_host = 'unix:///run/a.sock'", 'statsd-host = "unix:/run/a.sock"'),
        ("statsd_host = 'a:1'; statsd_prefix = 'b.'", 'statsd-prefix = "b."'),
        ("statsd_host = 'a:1'; dogstatsd_tags = 'b:c,d'", 'dogstatsd-tags = "b:c,d"'),
    ],
)
def test_values_are_converted(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str, line: str
) -> None:
    source.write_text(text)
    assert line in output_of(capfdbinary, source.name)


def test_variables_of_other_scopes_are_not_settings(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source.write_text(
        "threads = 2\nprint([workers for workers in ()])\nclass Settings:\n    workers = 3\n"
        "def helper():\n    workers = 4\n"
    )
    assert "not carried over" not in output_of(capfdbinary, source.name)


def test_the_last_of_repeated_assignments_counts(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source.write_text("workers = 1\nworkers = 2\nif x:\n    workers = 3\n")
    printed = output_of(capfdbinary, source.name)
    assert "\nworkers = 2\n" in printed
    assert "workers = 1: line 2 sets it again\n" in printed
    assert "workers = 3: it depends on the statement in line 3; set workers\n" in printed


def test_an_expression_after_a_literal_leaves_the_key_out(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source.write_text("timeout = 1\ntimeout = LIMIT\n")
    assert "request-timeout" not in tomllib.loads(output_of(capfdbinary, source.name))


def test_long_lines_are_cut_in_comments(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    letters = "x" * 1_000_000
    source.write_text(f"workers = {letters}\nchdir = '{letters}'\nthreads = 2\n")
    printed = output_of(capfdbinary, source.name)
    assert "\nthreads = 2\n" in printed
    assert "chdir: the value is too long" in printed
    assert max(map(len, printed.splitlines())) < COMMENT_CHARACTERS_MAX * 2


def test_more_settings_than_a_settings_file_may_have_exit_with_2(
    ini: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    ini.write_text("[uwsgi]\n" + "cron = 1\n" * 50_000)
    assert "has more settings than a settings file may contain" in error_of(capfdbinary, ini.name)


# ---- defaults


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("workers = 2", {"request-timeout": 30}),
        ("threads = 2", {"keep-alive": 2}),
        ("worker_class = 'gthread'", {"keep-alive": 2}),
        ("worker_class = CLASS", {"keep-alive": 2}),
        ("timeout = 0", {"request-timeout": 0}),
        ("timeout = LIMIT", {}),
        ("max_requests = 9", {"max-requests-jitter": 0, "request-timeout": 30}),
        ("limit_request_line = 0", {"limit-head": "16M", "request-timeout": 30}),
        ("bind = 'unix:a'", {"unix-mode": "777"}),
        ("bind = 'unix:a'\numask = 0o27", {"unix-mode": "750"}),
        ("bind = 'unix:a'\numask = '027'", {"unix-mode": "750"}),
        ("bind = 'unix:a'\numask = 'x'", {"unix-mode": "777"}),
    ],
)
def test_defaults_of_gunicorn_are_written_out(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str, keys: dict[str, object]
) -> None:
    source.write_text(text)
    found = tomllib.loads(output_of(capfdbinary, source.name))
    names = {"request-timeout", "keep-alive", "max-requests-jitter", "limit-head", "unix-mode"}
    expected = {"request-timeout": 30} | keys if "unix-mode" in keys else keys
    assert {key: found[key] for key in names if key in found} == expected
    assert found["limit-body"] == 0
    assert found["access-log"] is False
    assert found["forwarded-headers"] == ["proto"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("master", {"preload": True, "forwarded-headers": ["proto"]}),
        ("lazy-apps = true", {"preload": False, "forwarded-headers": ["proto"]}),
        ("lazy-apps = false", {"preload": True, "forwarded-headers": ["proto"]}),
        ("py-autoreload = 1", {"reload": True, "forwarded-headers": ["proto"]}),
        ("py-autoreload = 1\nlazy = 0", {"reload": True, "forwarded-headers": ["proto"]}),
        ("socket = :3031", {"preload": True}),
        (
            "harakiri = 5\nlazy",
            {
                "preload": False,
                "request-timeout": 5,
                "request-timeout-action": "replace",
                "forwarded-headers": ["proto"],
            },
        ),
    ],
)
def test_defaults_of_uwsgi_are_written_out(
    ini: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str, keys: dict[str, object]
) -> None:
    ini.write_text(f"[uwsgi]\n{text}\n")
    found = tomllib.loads(output_of(capfdbinary, ini.name))
    assert found.pop("limit-body") == 0
    assert found.pop("forwarded-allow-ips") == ["127.0.0.1", "::1"]
    found.pop("bind", None)
    assert found == keys


# ---- uWSGI


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("socket = @name", "socket = @name: iotax has no abstract sockets; use a path"),
        ("socket = 3", "socket = 3: a number is a file descriptor here; write host:port"),
        ("threads = $(N)", "threads = $(N): it reads the variable N; set threads"),
        ("threads = @(n.txt)", "threads = @(n.txt): it reads the file n.txt; set threads"),
        ("threads = %k", "threads = %k: only the running server knows %k; set threads"),
        ("threads = %(n)", "threads = %(n): the value of %(n) is unknown; set threads"),
        ("threads = many", "threads = many: threads: the value is not an integer; expected an"),
        ("listen = 70000", "listen = 70000: backlog: the value is too large; expected an integer"),
        ("logger = syslog:web", "logger = syslog:web: iotax writes to files and standard output"),
        ("callable = app", "callable = app: it is the attribute of an application; set app"),
        ("wsgi-file = /x.wsgi", "wsgi-file = /x.wsgi: app: /x.wsgi is a file; expected a module"),
        ("module = $(M)", "module = $(M): it reads the variable M; set app"),
        ("unheard-of = 1", "unheard-of = 1: iotax has no counterpart"),
    ],
)
def test_values_of_uwsgi_that_cannot_be_carried_over_become_comments(
    ini: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str, line: str
) -> None:
    Path("n.txt").write_text("4")
    ini.write_text(f"[uwsgi]\n{text}\nprocesses = 2\n")
    printed = output_of(capfdbinary, ini.name)
    assert f"# not carried over: {line}" in printed
    assert printed.count("# not carried over: ") == 1
    assert "\nworkers = 2  # processes\n" in printed


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("socket = a.sock\nsocket = :80", 'bind = ["unix:a.sock", "0.0.0.0:80"]  # socket, socket'),
        ("module = a.b\ncallable = c", 'app = "a.b:c"  # module, callable'),
        ("wsgi-file = a/b.py", 'app = "a.b"  # wsgi-file'),
        ("chdir=/srv/a/\nwsgi-file = /srv/a/b.py", 'app = "b"  # wsgi-file'),
        ("mount = /=a.py", 'app = "a"  # mount'),
        ("n = 4\nthreads = %(n)", "threads = 4\n"),
        ("set-ph = n = 4\nthreads = %(n)", "threads = 4\n"),
        ("logto = %d/log/%n.%e", "/log/site.ini"),
        ("logto = %%/log", 'error-logfile = "%/log"  # logto'),
        ("reload-on-rss = 100", 'worker-max-rss = "100M"  # reload-on-rss'),
        ("chmod-socket", 'unix-mode = "666"  # chmod-socket'),
        ("processes = 3\nworkers = 2", "workers = 2\n"),
        ("req-logger = name file:/a", 'access-logfile = "/a"  # req-logger'),
    ],
)
def test_values_of_uwsgi_are_converted(
    ini: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str, line: str
) -> None:
    ini.write_text(f"[uwsgi]\n{text}\n")
    assert line in output_of(capfdbinary, ini.name)


def test_the_dialect_of_uwsgi_is_read(ini: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    ini.write_bytes(
        b"\xef\xbb\xbfstray = 1\r\n; comment\r\n# comment\r\n\r\n[uwsgi]\r\n  threads=2\r\n"
        b"\tprocesses\t=\t3 \r\nchdir = /a;b # c\r\nfor = 1 2\r\nenv = A=%(_)\r\nendfor\r\n"
        b"[uwsgi]\r\nlisten = 5"
    )
    printed = output_of(capfdbinary, ini.name)
    keys = tomllib.loads(printed)
    assert {"threads": 2, "workers": 3, "chdir": "/a;b # c", "backlog": 5}.items() <= keys.items()
    assert "stray = 1: it is before the first section, where uWSGI ignores it" in printed
    assert "env = A=%(_): it depends on for in line 9" in printed


def test_another_section_is_named_after_a_colon(
    ini: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    ini.write_text("[uwsgi]\nthreads = 1\n[big]\nthreads = 9\n")
    printed = output_of(capfdbinary, "site.ini:big")
    assert "\nthreads = 9\n" in printed
    assert "[uwsgi]: another section; iotax migrate site.ini:uwsgi translates it" in printed


def test_an_ini_that_is_not_utf_8_exits_with_2(
    ini: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    ini.write_bytes(b"[uwsgi]\n# caf\xe9\n")
    assert "site.ini:2: not valid UTF-8" in error_of(capfdbinary, ini.name)


# ---- command lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("gunicorn -w4 main:app", "workers = 4  # -w"),
        ("/usr/bin/gunicorn --workers=4", "workers = 4\n"),
        ("gunicorn --preload main:app", "preload = true\n"),
        ("gunicorn --no-sendfile main:app", "--no-sendfile: not needed: iotax chooses"),
        ("gunicorn -b :1 -b :2", 'bind = ["0.0.0.0:1", "0.0.0.0:2"]  # -b, -b'),
        ("gunicorn -w 2 -w 3", "-w 2: -w 3 sets it again"),
        ("gunicorn --worker-conn 9", "max-connections = 9"),
        ("gunicorn 'main:app(\"x\")'", 'app = "main:app(\\"x\\")"  # APP'),
        ("gunicorn", "limit-body = 0"),
        ("uwsgi -s :1 -p4 -Mm", 'bind = ["0.0.0.0:1"]  # -s'),
        ("uwsgi -MTp4", "workers = 4  # -p"),
        ("uwsgi --lazy-apps main:app", 'app = "main:app"  # APP'),
        ("uwsgi site.ini", "site.ini: other files are not read"),
        ("uwsgi --chmod-socket=660", 'unix-mode = "660"  # --chmod-socket'),
    ],
)
def test_command_lines_are_read(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str, line: str
) -> None:
    assert line in output_of(capfdbinary, text)


def test_every_setting_of_gunicorn_can_be_given(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source.write_text("".join(f"{name} = 1\n" for name in ROWS))
    printed = output_of(capfdbinary, source.name)
    left = printed.count("# not carried over: ")
    carried = len(tomllib.loads(printed.partition("# Defaults of")[0]))
    assert left + carried == len(ROWS)

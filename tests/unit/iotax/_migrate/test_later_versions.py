"""Options that this version does not have are carried over as soon as the table has them."""

import tomllib
from collections.abc import Mapping

import pytest

from iotax._config.address import parse_address
from iotax._config.network_types import Binds, Peers
from iotax._config.option import Option
from iotax._config.option_types import Kind
from iotax._migrate import draft
from iotax._migrate.command import translate


class Table(Kind):
    """A table of strings, such as [env]."""

    toml_types = (dict,)

    def accept(self, value: object) -> object:
        assert isinstance(value, Mapping)
        return value


class BindsWithProxy(Binds):
    def one(self, text: str) -> str:
        plain = text.removeprefix("proxy://")
        return f"{text.removesuffix(plain)}{parse_address(plain)}"


@pytest.fixture
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {
        **dict.fromkeys(("static", "mounts"), Table()),
        "proxy-protocol-from": Peers(split=True),
        "bind": BindsWithProxy(split=False),
    }
    for key, kind in kinds.items():
        if key not in draft.KEYS or key == "bind":
            row = Option(kind, None, "", "", "", name=key)
            monkeypatch.setitem(draft.KEYS, key, row)  # type: ignore[arg-type]


def translated(source: str) -> dict[str, object]:
    return tomllib.loads(translate(source).decode())


@pytest.mark.usefixtures("_later")
def test_keys_of_later_versions_are_carried_over() -> None:
    found = translated("gunicorn -p /run/a.pid -u 33 -m 022")
    expected = {
        "pid-file": "/run/a.pid",
        "user": "33",
        "umask": "022",
    }
    assert expected.items() <= found.items()


@pytest.mark.usefixtures("_later")
def test_default_umask_of_gunicorn_is_written_out() -> None:
    assert translated("gunicorn -w 2")["umask"] == "000"


@pytest.mark.usefixtures("_later")
def test_tables_are_collected() -> None:
    found = translated(
        "uwsgi --env A=1 --env B=2 --env A=3 --static-map /s=/srv/s --mount /a=a/wsgi.py"
    )
    assert found["env"] == {"A": "3", "B": "2"}
    assert found["static"] == {"/s": "/srv/s"}
    assert found["mounts"] == {"/a": "a.wsgi"}
    printed = translate("gunicorn -e A=1 -e A=2 -e 'A B=3'").decode()
    assert '[env]\nA = "2"  # -e\n' in printed
    assert "# not carried over: -e A=1: -e A=2 sets it again\n" in printed
    assert "# not carried over: -e 'A B=3': env: the value" in printed


@pytest.mark.usefixtures("_later")
def test_proxy_protocol_precedes_each_address() -> None:
    found = translated("gunicorn -b :1 -b :2 --proxy-protocol --proxy-allow-from 10.0.0.1")
    assert found["bind"] == ["proxy://0.0.0.0:1", "proxy://0.0.0.0:2"]
    assert found["proxy-protocol-from"] == ["10.0.0.1"]
    assert translated("gunicorn --proxy-protocol auto")["bind"] == ["proxy://127.0.0.1:8000"]


@pytest.mark.usefixtures("_later")
def test_keys_that_need_another_key_are_left_out_without_it() -> None:
    printed = translate("gunicorn --proxy-allow-from 10.0.0.1").decode()
    assert "--proxy-allow-from 10.0.0.1: it needs proxy:// in bind\n" in printed

"""Which user the server becomes, and the system calls for it, in their order."""

import errno
import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iotax._command import user
from iotax._command.user import NotDropped, User
from iotax._config.errors import OptionError
from iotax._config.sources import from_command

USERS = {"web": (33, 34), "root": (0, 0), "77": (7, 7)}
GROUPS = {"team": 50}


@pytest.fixture(autouse=True)
def _databases(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_name(name: str) -> Any:
        uid, gid = USERS[name]
        return SimpleNamespace(pw_uid=uid, pw_gid=gid, pw_name=name)

    def by_number(uid: int) -> Any:
        return by_name(next((name for name, ids in USERS.items() if ids[0] == uid), "none"))

    monkeypatch.setattr(pwd, "getpwnam", by_name)
    monkeypatch.setattr(pwd, "getpwuid", by_number)
    monkeypatch.setattr(grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=GROUPS[name]))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The calls that change ids; as root, who cannot become root again afterwards."""
    made: list[tuple[Any, ...]] = []

    def record(name: str) -> Any:
        def call(*arguments: Any) -> None:
            made.append((name, *arguments))
            if (name, *arguments) == ("setuid", 0) and made.count(("setuid", 0)) < 2:
                raise PermissionError

        return call

    for name in ("initgroups", "setgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, name, record(name))
    for name in ("getuid", "geteuid", "getgid"):
        monkeypatch.setattr(os, name, lambda: 0)
    return made


def find(**flags: str) -> User | None:
    return user.find(from_command(flags, {}).config)


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({}, None),
        ({"user": "web"}, User(33, 34, "web")),
        ({"user": "33"}, User(33, 34)),
        ({"user": "77"}, User(7, 7, "77")),
        ({"user": "web", "group": "team"}, User(33, 50, "web")),
        ({"user": "web", "group": "0"}, User(33, 0, "web")),
        ({"user": "4242", "group": "99"}, User(4242, 99)),
        ({"group": "team"}, User(0, 50)),
        ({"user": "root"}, User(0, 0, "root")),
    ],
)
def test_users_and_groups_are_found_by_name_or_number(
    flags: dict[str, str], found: User | None
) -> None:
    assert find(**flags) == found


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ({"user": "nobody-else"}, 'user: the user "nobody-else" does not exist; e.g. user="www'),
        ({"group": "-1"}, 'group: the group "-1" does not exist; e.g. group="www-data'),
        ({"user": "4242"}, 'user: "4242" is not in /etc/passwd, so it needs a group (--group)'),
        ({"user": "4294967295", "group": "1"}, 'user: "4294967295" is too large; e.g. user="33'),
        ({"group": "9" * 5000}, 'group: "9'),
        ({"user": "²"}, 'user: the user "²" does not exist'),
    ],
)
def test_unknown_ones_are_errors(flags: dict[str, str], error: str) -> None:
    with pytest.raises(OptionError) as caught:
        find(**flags)
    assert str(caught.value).startswith(error)


def test_without_root_only_what_changes_nothing_is_possible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, number in (("getuid", 33), ("geteuid", 33), ("getgid", 34)):
        monkeypatch.setattr(os, name, lambda number=number: number)
    assert find() is find(user="web") is find(user="33", group="34") is find(group="34") is None
    with pytest.raises(OptionError, match=r'^user: "root" needs root, and this process has user'):
        find(user="root")
    with pytest.raises(OptionError, match=r'^group: "team" needs root, .* group 34; e\.g\. group='):
        find(group="team")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (
            User(33, 34, "web"),
            [("initgroups", "web", 34), ("setgid", 34), ("setuid", 33), ("setuid", 0)],
        ),
        (User(33, 34), [("setgroups", [34]), ("setgid", 34), ("setuid", 33), ("setuid", 0)]),
    ],
)
def test_groups_come_first_and_the_way_back_is_tried(
    calls: list[tuple[Any, ...]], wanted: User, expected: list[tuple[Any, ...]]
) -> None:
    wanted.become()
    assert calls == expected


def test_way_back_to_root_is_an_error(calls: list[tuple[Any, ...]]) -> None:
    calls.append(("setuid", 0))  # the next one succeeds
    with pytest.raises(NotDropped, match=r"^user 33 can become root again"):
        User(33, 34).become()


def test_refused_call_is_an_error(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_uid: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "setuid", refuse)
    with pytest.raises(NotDropped, match=r"^cannot become user 33 with group 34: Invalid argument"):
        User(33, 34).become()
    assert calls == [("setgroups", [34]), ("setgid", 34)]


def test_root_stays_root_with_another_group(calls: list[tuple[Any, ...]]) -> None:
    calls.append(("setuid", 0))  # the next one succeeds
    User(0, 50).become()
    assert calls[1:] == [("setgroups", [50]), ("setgid", 50), ("setuid", 0)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_tried_user_cannot_write_what_root_can(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    before = (os.getresuid(), os.getresgid(), os.getgroups())
    with User(65534, 65534).tried():
        assert not os.access(tmp_path, os.W_OK, effective_ids=True)
    assert os.access(tmp_path, os.W_OK, effective_ids=True)
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before

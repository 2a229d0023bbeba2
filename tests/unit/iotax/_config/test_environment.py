"""The application's environment: the lines of env files, which source wins, what is never shown."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from iotax._command.print_config import as_json, as_toml
from iotax._config.env_file import BYTES_MAX, read_env_file
from iotax._config.errors import ConfigError
from iotax._config.sources import Command, Settings, from_command


def write(text: str | bytes, name: str = "x.env") -> None:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())


def read(text: str | bytes) -> dict[str, str]:
    write(text)
    return {name: one.value for name, one in read_env_file("x.env", "x.env").items()}


def errors(text: str | bytes) -> tuple[str, ...]:
    write(text)
    with pytest.raises(ConfigError) as caught:
        read_env_file("x.env", "x.env")
    return caught.value.lines


def values(settings: Settings) -> dict[str, str]:
    return {name: one.value for name, one in settings.environment.variables.items()}


# ---- lines


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=", ""),
        ("A=b", "b"),
        ("A= b c ", "b c"),
        ("  A=b", "b"),
        ("A=b=c", "b=c"),
        ("A=b # c", "b # c"),
        ("A=#b", "#b"),
        ("A=$B ${C} `d`", "$B ${C} `d`"),
        ("A=b'c", "b'c"),
        ('A=b"c"', 'b"c"'),
        ("A=b\\nc", "b\\nc"),
        ("A=''", ""),
        ("A=' b '", " b "),
        ("A='b\\n\"c'", 'b\\n"c'),
        ('A=""', ""),
        ('A=" b "', " b "),
        ('A="b\\nc\\td\\"e\\\\f"', 'b\nc\td"e\\f'),
        ('A="it\'s $b # c"', "it's $b # c"),
        ('A="\\\\"', "\\"),
        ("export A=b", "b"),
        ("export \t A=b", "b"),
        ("A=b\r", "b"),
        ("A='b'\r", "b"),
        ("A=ä€𝄞", "ä€𝄞"),
        ("A=b\u2028c\x0b\x85d", "b\u2028c\x0b\x85d"),
    ],
)
def test_line_is_read_in_each_form(project: Path, line: str, value: str) -> None:
    assert read(line) == read(f"\n{line}\n\n# A=0\n") == {"A": value}


def test_names_are_those_of_a_shell_and_the_last_value_counts(project: Path) -> None:
    assert read("_a1=1\nexport=2\nexportB=3\nA=4\na=5\nA=6") == {
        "_a1": "1",
        "export": "2",
        "exportB": "3",
        "A": "6",
        "a": "5",
    }


def test_line_ends_byte_order_mark_and_comments_are_skipped(project: Path) -> None:
    assert read(b"\xef\xbb\xbfA=1\r\n\r\n#\r\nB=2") == {"A": "1", "B": "2"}
    assert read(b"") == read(b"\n \t\n#x\n") == {}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("A", 'the line has no "="; expected NAME=VALUE, e.g. DEBUG=1'),
        ("export A", 'the line has no "="'),
        ("=b", 'the text before "=" is not a name; expected NAME=VALUE'),
        ("A =b", 'the text before "=" is not a name'),
        ("1A=b", 'the text before "=" is not a name'),
        ("A-B=c", 'the text before "=" is not a name'),
        ("Ä=c", 'the text before "=" is not a name'),
        ("set A=b", 'the text before "=" is not a name'),
        ("A='b", "the closing ' is missing; a value ends on its line"),
        ('A="b\\"', 'the closing " is missing; a value ends on its line'),
        ('A="', 'the closing " is missing'),
        ("A='b'c", "there is text after the closing '; leave it out"),
        ('A="b" # c', 'there is text after the closing "; leave it out'),
        ("A='it'\\''s'", "there is text after the closing '"),
        ('A="\\x"', 'a backslash between " is not followed by n, t, " or another backslash'),
        ("A=b\0c", "the value contains a zero byte"),
        ("A\0=b", 'the text before "=" is not a name'),
    ],
)
def test_bad_line_is_an_error_with_file_and_line(project: Path, line: str, what: str) -> None:
    (found,) = errors(f"# \n{line}\nB=1\n")
    assert found.startswith(f"x.env:2: {what}")


def test_all_bad_lines_are_reported_at_most_ten(project: Path) -> None:
    found = errors("a\n" * 12)
    assert found[9].startswith("x.env:10: ")
    assert found[10:] == ("x.env: 2 more errors",)


def test_file_that_is_not_utf_8_or_too_large_is_an_error(project: Path) -> None:
    assert errors(b"A=1\nB=\xff\n") == ("x.env:2: not UTF-8",)
    assert len(read("A=" + "x" * 1_000_000)["A"]) == 1_000_000
    (found,) = errors(b"#" * (BYTES_MAX + 1))
    assert found == 'env_file: "x.env" is larger than 1 MiB; e.g. env_file="prod.env"'


@pytest.mark.parametrize(("name", "why"), [("no.env", "No such file"), (".", "Is a directory")])
def test_unreadable_file_is_named_as_the_user_has_written_it(
    project: Path, name: str, why: str
) -> None:
    Path("iotax.toml").write_text(f'env-file = "{name}"\n')
    for flags, place in (({"env_file": [name]}, "--env-file"), ({}, "iotax.toml:1: env-file")):
        with pytest.raises(ConfigError, match=rf'^{place}: "{name}" cannot be read: {why}'):
            from_command(flags, {})
    with pytest.raises(ConfigError, match=rf'^IOTAX_ENV_FILE: "{name}" cannot be read: {why}'):
        from_command({}, {"IOTAX_ENV_FILE": name})


def test_written_values_are_read_back(project: Path) -> None:
    """Any value without a zero byte has a form between double quotes."""
    dice = random.Random(1)
    for _ in range(300):
        value = "".join(dice.choice("ab'\"\\\n\t\r #=$ä") for _ in range(dice.randint(0, 8)))
        written = value.replace("\\", "\\\\").replace('"', '\\"')
        assert read('A="' + written.replace("\n", "\\n").replace("\t", "\\t") + '"') == {"A": value}


# ---- sources


def test_stronger_source_of_a_variable_wins(project: Path) -> None:
    """--env, the inherited environment, [env], env files; of those the last."""
    write("A=one\nB=one\nC=one\nD=one\nE=one\n", "one.env")
    write("A=two\nB=two\nC=two\nD=two\n", "two.env")
    Path("iotax.toml").write_text('[env]\nA = "toml"\nB = "toml"\nC = "toml"\n')
    flags = {"env": ["A=flag"], "env_file": ["one.env", "two.env"]}
    found = from_command(flags, {"A": "inherited", "B": "inherited", "F": "inherited"})
    assert values(found) == {"A": "flag", "B": "inherited", "C": "toml", "D": "two", "E": "one"}
    assert {name: one.place for name, one in found.environment.variables.items()} == {
        "A": "--env",
        "B": "environment",
        "C": "iotax.toml:4",
        "D": "two.env:4",
        "E": "one.env:5",
    }


def test_variable_is_merged_with_the_option_by_name(project: Path) -> None:
    environ = {"IOTAX_ENV": "A=variable, B=variable,B=again", "B": "inherited"}
    found = from_command({"env": ["A=flag", "A=last"]}, environ)
    assert values(found) == {"A": "last", "B": "again"}
    assert found.environment.variables["B"].place == "IOTAX_ENV"


def test_files_start_in_the_directory_of_chdir(project: Path) -> None:
    (project / "deep").mkdir()
    write("A=1", "deep/x.env")
    found = from_command({"env_file": ["x.env"], "chdir": "deep"}, {}, str(project))
    assert values(found) == {"A": "1"}
    assert found.environment.files == (str(project / "deep/x.env"),)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("A", '--env: "A" has no "="; expected NAME=VALUE, e.g. --env DEBUG=1'),
        ("=1", '--env: "" is not made of letters, digits and underscores'),
        ("A B=1", '--env: "A B" is not made of'),
        ("1=x", '--env: "1" is not made of'),
    ],
)
def test_bad_option_is_explained(project: Path, typed: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_command({"env": [typed]}, {})
    assert str(caught.value).startswith(text)


def test_every_bad_key_of_the_table_is_reported_with_its_line(project: Path) -> None:
    Path("iotax.toml").write_text('[env]\nA = 5\n"B C" = "s3cret"\nD = "\\u0000"\nE = "x"\n')
    with pytest.raises(ConfigError) as caught:
        from_command({}, {})
    example = 'expected NAME = "VALUE", e.g. env = { DEBUG = "1" }'
    assert caught.value.lines == (
        f"iotax.toml:2: env.A: the value is not a string; {example}",
        'iotax.toml:3: env."B C": the name is not made of letters, digits and underscores;'
        f" {example}",
        f"iotax.toml:4: env.D: the value contains a zero byte; {example}",
    )


def test_names_that_do_nothing_are_warnings(project: Path) -> None:
    write("PYTHONHASHSEED=1\n")
    Path("iotax.toml").write_text('[env]\nPORT = "1"\nIOTAX_THREADS = "2"\nPYTHONPATH = "x"\n')
    flags = {"env": ["WEB_CONCURRENCY=3", "PYTHONX=4"], "env_file": ["x.env"]}
    found = from_command(flags, {"PYTHONPATH": "y"})
    only = "is for the application only, and sets no option; set it where the server is started"
    late = "has no effect, because Python reads it at its start; set it where the server is started"
    assert sorted(found.warnings) == [
        f"--env: PYTHONX {late}",
        f"--env: WEB_CONCURRENCY {only}",
        f"iotax.toml:2: PORT {only}",
        f"iotax.toml:3: IOTAX_THREADS {only}",
        f"x.env:1: PYTHONHASHSEED {late}",
    ], "PYTHONPATH is the inherited one"
    assert (found.config.port, found.config.threads, found.config.workers) == (8000, 1, 1)


# ---- secrets


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        ('env = "s3cret"', {}),
        ('env = ["s3cret"]', {}),
        ("[env]\nA = ['s3cret']", {}),
        ("[env]\nA = { b = 's3cret' }", {}),
        ('[env]\nA = "s3cret\\u0000"', {}),
        ("", {"IOTAX_ENV": "A=1,s3cret"}),
        ("", {"IOTAX_ENV": "1A=s3cret"}),
        ("env-file = 'x.env'", {}),
    ],
)
def test_errors_do_not_show_values(project: Path, toml: str, environ: dict[str, str]) -> None:
    write("A='s3cret\nB='s3cret'x\ns3cret\ns3cret==\n1A=s3cret\nC=s3cret\0\nD=\"s3cret\\z\"\n")
    Path("iotax.toml").write_text(toml)
    with pytest.raises(ConfigError) as caught:
        from_command({}, environ)
    assert "s3cret" not in str(caught.value)


def test_printed_settings_show_names_only(project: Path) -> None:
    write("FILE=s3cret")
    Path("iotax.toml").write_text('env-file = "x.env"\n[env]\nTABLE = "s3cret"\nHOME = "s3cret"\n')
    flags = {"env": ["FLAG=s3cret"]}
    found = from_command(flags, {"IOTAX_ENV": "VARIABLE=s3cret", "HOME": "s3cret"})
    text = as_toml(found)
    assert "s3cret" not in text + as_json(found)
    for line in (
        "# FILE is set (x.env:1)",
        "# TABLE is set (iotax.toml:3)",
        "# HOME is set (environment)",
        "# FLAG is set (command line)",
        "# VARIABLE is set (IOTAX_ENV)",
    ):
        assert f"\n{line}\n" in text
    names = json.loads(as_json(found))["env"]
    assert sorted(names) == ["FILE", "FLAG", "HOME", "TABLE", "VARIABLE"]
    assert "\n# env is not set  # default\n" in as_toml(from_command({"no_config": True}, {}))


# ---- read again


def test_read_again_adds_changes_and_removes_names(project: Path) -> None:
    def again(text: str, table: str) -> dict[str, Any]:
        write(text)
        Path("iotax.toml").write_text(f'env-file = "x.env"\n[env]\n{table}\n')
        return values(command.read_again(settings))

    write("A=1\nB=1\nPORT=1")
    Path("iotax.toml").write_text('env-file = "x.env"\n[env]\nC = "1"\n')
    command = Command({"env": ["F=flag"]}, {"I": "inherited"})
    settings = command.read()
    assert values(settings) == {"A": "1", "B": "1", "C": "1", "F": "flag", "PORT": "1"}
    assert len(settings.warnings) == 1
    assert again("B=2\nD=1", 'E = "1"\nI = "x"\nF = "x"') == {
        **{"B": "2", "D": "1", "E": "1", "F": "flag", "I": "inherited"}
    }
    write("A=1\nB=1\nPORT=2\nIOTAX_X=1")
    (warning,) = command.read_again(settings).warnings
    assert warning.startswith("x.env:4: IOTAX_X "), "the other is known"
    with pytest.raises(ConfigError, match=r"^x\.env:1: the line has no"):
        again("broken", "")

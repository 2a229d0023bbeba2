"""--check-config in this process. Applications that misbehave: tests/e2e/test_check_config.py."""

from pathlib import Path

import pytest

from iotax import cli
from iotax._command import check_config
from iotax._net import listeners


@pytest.fixture(autouse=True)
def _application(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "iotax.toml").write_text('app = "main:app"\n', encoding="utf-8")
    monkeypatch.setattr(check_config, "load_in_child", lambda *_: "main:app")
    monkeypatch.setattr(listeners.socket, "socket", lambda *_, **__: 1 / 0)


def test_right_settings_open_no_socket(capfd: pytest.CaptureFixture[str], project: Path) -> None:
    assert cli.main(["--check-config"]) == 0
    out, err = capfd.readouterr()
    assert out == f"OK: settings: iotax.toml\nOK: directory: {project}\nOK: application: main:app\n"
    assert err == ""


def test_all_warnings_are_printed_and_do_not_count(
    capfd: pytest.CaptureFixture[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTAX_TREADS", "4")
    monkeypatch.setenv("IOTAX_SERVICE_HOST", "10.0.0.7")
    (project / "pyproject.toml").write_text("[tool.iotax]\nthreads = 2\n", encoding="utf-8")
    options = ["--pythonpath", "a", "--reload-dir", "b", "--spool-dir", "c"]
    assert cli.main(["--check-config", *options, "--forwarded-allow-ips", "*"]) == 0
    warnings = capfd.readouterr().out.splitlines()[3:]
    assert [warning[:40] for warning in warnings] == [
        "WARNING: Ignoring IOTAX_SERVICE_HOST: th",
        "WARNING: [tool.iotax] of pyproject.toml ",
        "WARNING: Ignoring the unknown variable I",
        'WARNING: --pythonpath: "a" does not exis',
        'WARNING: --reload-dir: "b" does not exis',
        'WARNING: --spool-dir: "c" is not writabl',
        "WARNING: Every peer is trusted (--forwar",
    ]


def test_internal_error_exits_with_1(
    capfd: pytest.CaptureFixture[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_config, "load_in_child", lambda *_: 1 / 0)
    assert cli.main(["--check-config"]) == 1
    assert capfd.readouterr().err.endswith("internal error, please report the lines above\n")


@pytest.mark.parametrize("source", ["file", "variable", "flag"])
def test_wrong_file_is_named_as_the_user_wrote_it(
    capfd: pytest.CaptureFixture[str], project: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """By the check and by the start."""
    flags = []
    problem = 'cannot open "no/x": No such file or directory'
    if source == "file":
        (project / "iotax.toml").write_text('app = "main:app"\nerror-logfile = "no/x"\n')
        text = f'iotax.toml:2: error-logfile: {problem}; e.g. error-logfile = "/var/log/iotax.log"'
    elif source == "variable":
        monkeypatch.setenv("IOTAX_ERROR_LOGFILE", "no/x")
        text = f"IOTAX_ERROR_LOGFILE: {problem}; e.g. IOTAX_ERROR_LOGFILE=/var/log/iotax.log"
    else:
        flags = ["--error-logfile", "no/x"]
        text = f"--error-logfile: {problem}; e.g. --error-logfile /var/log/iotax.log"
    for check in (["--check-config"], []):
        assert cli.main([*check, *flags]) == 2
        assert capfd.readouterr().err == f"iotax: {text}\n"

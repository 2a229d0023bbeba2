"""Memory as reported by the kernel's files, which the test writes."""

from pathlib import Path

from iotax._processes import memory


def test_memory_is_read_from_the_cgroup(tmp_path: Path) -> None:
    directory = tmp_path / "sys/a"
    directory.mkdir(parents=True)
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a\n")
    (directory / "memory.events").write_text("low 0\noom 2\noom_kill 3\n")
    (directory / "memory.max").write_text("1000\n")
    (directory / "memory.current").write_text("400\n")
    cgroup = memory.Cgroup(str(tmp_path / "sys"), str(membership))
    assert cgroup.oom_kills() == 3
    assert cgroup.headroom() == 600
    (directory / "memory.max").write_text("max\n")
    assert cgroup.headroom() is None


def test_memory_without_a_cgroup_is_unknown(tmp_path: Path) -> None:
    cgroup = memory.Cgroup(str(tmp_path), str(tmp_path / "missing"))
    assert cgroup.oom_kills() == 0
    assert cgroup.headroom() is None

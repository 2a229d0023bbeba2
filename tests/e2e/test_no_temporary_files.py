"""No temporary file can be created: everything stays in memory, and a warning says so."""

from support.wire import Connection


def test_without_a_directory_bodies_and_responses_stay_in_memory(start, tmp_path):
    missing = tmp_path / "missing"
    sizes = ("--body-memory", "1K", "--answer-memory", "1K")
    server = start("views", *sizes, "--spool-dir", str(missing))
    server.err.wait_for(rf"WARNING: .*{missing} \(--spool-dir\).* stay in memory")
    with Connection(server.port) as connection:
        answer = connection.ask("/digest", method="POST", body=b"x" * 500_000)
        assert answer.text.startswith("500000 ")
        assert connection.ask("/big?bytes=5000000").body == b"x" * 5_000_000

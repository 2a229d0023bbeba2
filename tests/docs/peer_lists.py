"""The options of other servers, as list_peer_options has written them."""

from pathlib import Path

LISTS = Path(__file__).parent / "peers"
PEERS = sorted(path.stem for path in LISTS.glob("*.txt"))


def list_of(peer: str) -> tuple[str, list[list[str]]]:
    """The version, and the words of each line: the name of an option, and its flags."""
    heading, *lines = (LISTS / f"{peer}.txt").read_text().splitlines()
    return heading.split()[-1], [line.split() for line in lines]


def options_of_peers(peer: str) -> set[str]:
    """Words with dashes that are options of this peer."""
    if peer not in PEERS:
        return set()
    lines = list_of(peer)[1]
    return {flag for _, *flags in lines for flag in flags} | {f"--{name}" for name, *_ in lines}

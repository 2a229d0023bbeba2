"""Known names that look like one that is not known, for messages."""

from collections.abc import Iterable


def similar(name: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.5) -> list[str]:
    """At most `count` of the known names, the most similar first. `cutoff`: from 0, any name, to 1,
    the same name."""
    import difflib  # takes milliseconds, which every start would spend

    return difflib.get_close_matches(name, list(known), n=count, cutoff=cutoff)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like `name`."""
    return similar(name, known, cutoff=0.0)[0]

"""The lines of a process, read as they arrive; tests wait for them."""

import re
import threading
from typing import IO

from . import patience


class Lines:
    """Reads `stream` to its end in a thread, and keeps the lines."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name
        self._text = ""
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name=f"read {name}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while data := self._stream.read1(65536):  # type: ignore[attr-defined]
                with self._changed:
                    self._text += data.decode(errors="replace")
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        with self._changed:
            return self._text

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Wait until `pattern` is found `count` times. Returns the last match."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: self._ended or self._count(pattern) >= count, patience.SECONDS
            )
            found = list(re.finditer(pattern, self._text, re.MULTILINE))
        if len(found) < count:
            why = "ended" if done else "has not come to it"
            raise AssertionError(f"{self._name} {why}, without {pattern!r}:\n{self._text}")
        return found[count - 1]

    def _count(self, pattern: str) -> int:
        return sum(1 for _ in re.finditer(pattern, self._text, re.MULTILINE))

    def wait_for_end(self) -> str:
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended, patience.SECONDS):
                raise AssertionError(f"{self._name} does not end:\n{self._text}")
            return self._text

"""The error of an address that cannot be listened on."""


class BindError(OSError):
    """Listening on an address failed. The message says why; `errno` is that of the system call."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(number, text)
        self.text = text

    def __str__(self) -> str:
        return self.text

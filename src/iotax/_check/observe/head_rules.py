"""Rules for status and headers: A-STR, A-SR-04 to A-SR-10, A-UNI, A-TE-01, A-HTTP-01.

A violation is reported once, and repaired, so that the call continues as on a server that does not
check.
"""

import re
from collections.abc import Iterable
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final, cast

from iotax._check.observe.record import Record, a_type, shown

HOP_BY_HOP: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailer", "trailers", "upgrade", "proxy-connection"),
    }
)
MENDED_STATUS: Final = "500 Internal Server Error"
_STATUS = re.compile(r"[1-9][0-9]{2} [^ ](?:.*[^ ])?")
_CODE_ALONE = re.compile(r"[1-9][0-9]{2} ?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_USUAL_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENCODED_WORD = re.compile(r"=\?.*\?=")
_IN_STATUS: Final = ("A-STR-01", "A-SR-04", "A-SR-05", "A-UNI-02", "A-UNI-03", "A-HTTP-01")
_IN_FIELD: Final = ("A-SR-08", "A-SR-09", "A-SR-10", "A-TE-01")


def checked_status(record: Record, status: object) -> str:
    """Check `status`, as the application passed it. Returns a status that can be sent."""
    record.exercise(*_IN_STATUS)
    words = [status]
    if not isinstance(status, str):
        record.report("A-STR-01", f"The status is {a_type(status)}, not str.", words=words)
        text = status.decode("latin-1") if isinstance(status, bytes) else str(status)
        return text if _STATUS.fullmatch(text) else MENDED_STATUS
    if type(status) is not str:
        _report_subclass(record, "The status", status, words, "The status")
        status = str(status)
    if _CONTROL.search(status):
        what = f"The status {shown(status)} contains a control character."
        kind = "The status contains a control character."
        record.report("A-SR-05", what, words=words, kind=kind)
        status = _CONTROL.sub("", status).strip()
    if not _is_latin_1(status):
        what = f"The status {shown(status)} contains characters beyond U+00FF."
        kind = "The status contains characters beyond U+00FF."
        record.report("A-UNI-03", what, words=words, kind=kind)
        status = status.encode("latin-1", "replace").decode("latin-1")
    if _CODE_ALONE.fullmatch(status):
        what = f"The status {shown(status)} has no reason phrase."
        kind = "The status has no reason phrase."
        record.report("A-SR-04", what, severity="warning", words=words, kind=kind)
        status = f"{status.strip()} Unnamed"
    elif not _STATUS.fullmatch(status):
        what = f"The status is {shown(status)}, not three digits, one space and a reason phrase."
        kind = "The status is not three digits, one space and a reason phrase."
        record.report("A-SR-04", what, words=words, kind=kind)
        return MENDED_STATUS
    if status.startswith("1"):
        what = (
            f"The status is {shown(status)}: the client reads it as an interim response, and waits"
            " for the final one."
        )
        record.report(
            "A-HTTP-01", what, words=words, kind="The status is one of an interim response."
        )
        return MENDED_STATUS
    return status


def checked_fields(record: Record, headers: object) -> list[tuple[str, str]]:
    """Check `headers`, as the application passed them. Returns headers that can be sent."""
    record.exercise("A-SR-06")
    if type(headers) is not list:
        what = f"response_headers is {a_type(headers)}, not list."
        record.report("A-SR-06", what)
        headers = headers.items() if isinstance(headers, dict) else headers
    try:
        items = list(cast(Iterable[object], headers))
    except TypeError:
        return []
    fields = (_checked_field(record, item) for item in items)
    return [field for field in fields if field is not None]


def _checked_field(record: Record, item: object) -> tuple[str, str] | None:
    """None: it cannot be sent."""
    if type(item) is not tuple or len(item) != 2:
        wrong = f"is {a_type(item)}, not a tuple of name and value."
        if isinstance(item, tuple):
            wrong = f"is a tuple of {len(item)}, not of name and value."
        what = f"The header {shown(item)} {wrong}"
        record.report("A-SR-06", what, kind=f"A header {wrong}")
        if not isinstance(item, tuple | list) or len(item) != 2:
            return None
    name, value = item
    words = [name, value]
    record.exercise(*_IN_FIELD)
    name = _checked_text(record, name, f"The name of header {shown(name)}", words, "A header name")
    value = _checked_text(record, value, f"The value of header {shown(name)}", words)
    return _checked_name_and_value(record, name, value, words)


def _checked_text(
    record: Record, text: object, what: str, words: list[object], kind: str = ""
) -> str:
    """`kind`: `what` without values; empty: it has none."""
    kind = kind or what
    if not isinstance(text, str):
        wrong = f"is {a_type(text)}, not str."
        record.report("A-STR-01", f"{what} {wrong}", words=words, kind=f"{kind} {wrong}")
        return text.decode("latin-1") if isinstance(text, bytes) else str(text)
    if type(text) is not str:
        _report_subclass(record, what, text, words, kind)
    if not _is_latin_1(text):
        wrong = "contains characters beyond U+00FF."
        record.report("A-UNI-03", f"{what} {wrong}", words=words, kind=f"{kind} {wrong}")
    return text.encode("latin-1", "replace").decode("latin-1")


def _checked_name_and_value(
    record: Record, name: str, value: str, words: list[object]
) -> tuple[str, str] | None:
    if not _NAME.fullmatch(name):
        if not record.has("A-UNI-03"):
            record.report("A-SR-08", f"{shown(name)} is not a valid header name.", words=words)
        return None
    if not _USUAL_NAME.fullmatch(name):
        what = f"The header name {shown(name)} is rejected by some software."
        record.report("A-SR-08", what, severity="warning", words=words)
    if _CONTROL.search(value.replace("\t", "")):
        what = f"The value of header {name} contains a control character: {shown(value)}."
        kind = f"The value of header {name} contains a control character."
        record.report("A-SR-09", what, words=words, kind=kind)
        value = _CONTROL.sub("", value)
    elif "\t" in value:
        what = f"The value of header {name} contains a tab."
        record.report("A-SR-09", what, severity="warning", words=words)
    if name.lower() == "transfer-encoding":
        record.report("A-TE-01", "It sets Transfer-Encoding.", words=words)
        return None
    if name.lower() in HOP_BY_HOP:
        what = f"It sets {name}, a header of the connection, which only the server may set."
        record.report("A-SR-10", what, words=words)
        return None
    if _ENCODED_WORD.search(value) and not _is_encoded_well(value):
        what = f"The value of header {name} contains an encoded word that cannot be decoded."
        record.report("A-UNI-02", what, words=words)
    return name, value


def _report_subclass(record: Record, what: str, text: str, words: list[object], kind: str) -> None:
    wrong = f"is {a_type(text)}, a subclass of str."
    record.report(
        "A-STR-01", f"{what} {wrong}", severity="warning", words=words, kind=f"{kind} {wrong}"
    )


def _is_latin_1(text: str) -> bool:
    return all(character <= "\xff" for character in text)


def _is_encoded_well(value: str) -> bool:
    """RFC 2047."""
    try:
        for part, charset in decode_header(value):
            if charset is None:
                if _ENCODED_WORD.search(part if isinstance(part, str) else part.decode("latin-1")):
                    return False
            else:
                assert isinstance(part, bytes)
                part.decode(charset)
    except (HeaderParseError, LookupError, UnicodeDecodeError):
        return False
    return True

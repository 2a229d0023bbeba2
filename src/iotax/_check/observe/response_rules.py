"""Rules for the complete response: its length, its coding, whether it may have a body, the sizes of
its blocks. A-CL-01, A-TE-01, A-ITER-02, A-ITER-03, A-HTTP-03, A-HTTP-05, A-BUF.
"""

import re
import zlib
from typing import Final

from iotax._check.observe.outcome import WITHOUT_BODY, Outcome
from iotax._check.observe.record import Record, shown

MANY_BLOCKS: Final = 100
SMALL_BLOCK_BYTES: Final = 64
FITS_IN_MEMORY_BYTES: Final = 64 * 1024
WORTH_CODING_BYTES: Final = 16 * 1024
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
_CODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}


def with_one_length(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`fields` without Content-Length if its values differ or are invalid, so that they can be
    sent."""
    lengths = {value for name, value in fields if name.lower() == "content-length"}
    if len(lengths) <= 1 and all(re.fullmatch("[0-9]{1,18}", value) for value in lengths):
        return fields
    return [(name, value) for name, value in fields if name.lower() != "content-length"]


def values(call: Outcome, name: str) -> list[str]:
    return [value for field, value in call.fields if field.lower() == name]


def check_response(record: Record, call: Outcome) -> None:
    if not call.started:
        return
    lengths = values(call, "content-length")
    _check_length(record, call, lengths)
    if call.code in WITHOUT_BODY:
        _check_missing_body(record, call, lengths)
    if not call.complete:
        return
    if call.length is not None:
        record.exercise("A-ITER-03")
        if call.length != call.items:
            what = f"len() of its iterable is {call.length}, and it has {call.items} items."
            kind = "len() of its iterable is not the number of its items."
            record.report("A-ITER-03", what, words=(), kind=kind)
    if call.has_whole_body:
        _check_blocks(record, call)
        if call.body_bytes == len(call.body):
            _check_coding(record, call)


def _check_length(record: Record, call: Outcome, lengths: list[str]) -> None:
    if not lengths:
        return
    record.exercise("A-CL-01")
    words = ["Content-Length", *lengths]
    wrong = [value for value in lengths if not re.fullmatch("[0-9]+", value)]
    if wrong:
        what = f"Content-Length is {shown(wrong[0])}, not a number."
        kind = "Content-Length is not a number."
        record.report("A-CL-01", what, severity="error", words=words, kind=kind)
    elif len(lengths) > 1:
        what = f"It sets Content-Length {len(lengths)} times."
        record.report("A-CL-01", what, severity="error", words=words)
    elif call.has_whole_body and call.body_bytes != int(lengths[0]):
        what = f"Content-Length is {lengths[0]}, and the body has {call.body_bytes} bytes."
        kind = "Content-Length is not the length of the body."
        record.report("A-CL-01", what, severity="error", words=words, kind=kind)


def _check_missing_body(record: Record, call: Outcome, lengths: list[str]) -> None:
    record.exercise("A-HTTP-03")
    if call.body_bytes:
        what = (
            f"It returns a body of {call.body_bytes} bytes with {call.code}, which never has one."
        )
        kind = f"It returns a body with {call.code}."
        record.report("A-HTTP-03", what, words=[call.status], kind=kind)
    elif call.code == 204 and any(length.strip("0") for length in lengths):
        # Not Content-Type, nor a length of 0: frameworks set both for every response, and neither
        # promises a body.
        what = f"It sets Content-Length to {shown(lengths[0])} with 204, which never has a body."
        kind = "It sets Content-Length with 204."
        record.report("A-HTTP-03", what, words=["Content-Length", call.status], kind=kind)


def _check_coding(record: Record, call: Outcome) -> None:
    body = bytes(call.body)
    coding = "".join(values(call, "content-encoding")).lower()
    record.exercise("A-ITER-02", "A-TE-01")
    if coding:
        record.exercise("A-HTTP-05")
    if coding in _CODINGS:
        try:
            unpacker = zlib.decompressobj(_CODINGS[coding])
            body = unpacker.decompress(body) + unpacker.flush()
            broken = not unpacker.eof
        except zlib.error:
            broken = coding != "deflate" or not _is_raw_deflate(body)
        if broken:
            what = f"Content-Encoding is {coding}, and the body cannot be decoded with it."
            record.report("A-ITER-02", what, words=["Content-Encoding", coding])
    elif not coding:
        _check_text(record, call, body)


def _check_text(record: Record, call: Outcome, body: bytes) -> None:
    kind = "".join(values(call, "content-type"))
    if charset := _CHARSET.search(kind):
        try:
            body.decode(charset[1])
        except (UnicodeDecodeError, LookupError):
            what = f"Content-Type says charset {charset[1]}, and the body is not valid in it."
            record.report("A-ITER-02", what, words=["Content-Type", kind])
    if _is_chunked(body):
        what = "The body looks like chunks with their sizes, which is the server's framing."
        record.report("A-TE-01", what, severity="warning", words=())
    if kind.startswith("text/") and len(body) >= WORTH_CODING_BYTES:
        record.exercise("A-HTTP-05")
        if len(zlib.compress(body, 1)) < len(body) // 2:
            what = f"A text of {len(body)} bytes is sent without Content-Encoding."
            kind = "A long text is sent without Content-Encoding."
            record.report("A-HTTP-05", what, severity="information", words=(), kind=kind)


def _check_blocks(record: Record, call: Outcome) -> None:
    record.exercise("A-BUF-01", "A-BUF-02")
    if call.blocks > MANY_BLOCKS and call.body_bytes < SMALL_BLOCK_BYTES * call.blocks:
        what = f"The body comes in {call.blocks} blocks of {call.body_bytes // call.blocks} bytes."
        record.report("A-BUF-01", what, words=(), kind="The body comes in many small blocks.")
    elif call.blocks > 1 and call.body_bytes < FITS_IN_MEMORY_BYTES and not call.pauses:
        what = f"A body of {call.body_bytes} bytes comes in {call.blocks} blocks."
        kind = "A short body comes in several blocks."
        record.report("A-BUF-02", what, severity="information", words=(), kind=kind)


def _is_chunked(body: bytes) -> bool:
    """Whether `body` consists of chunks, the last one empty. RFC 9112 section 7.1."""
    rest = body
    while found := re.match(rb"([0-9A-Fa-f]{1,8})\r\n", rest):
        size = int(found[1], 16)
        rest = rest[found.end() :]
        if size == 0:
            return rest.endswith(b"\r\n")
        if rest[size : size + 2] != b"\r\n":
            return False
        rest = rest[size + 2 :]
    return False


def _is_raw_deflate(body: bytes) -> bool:
    try:
        zlib.decompress(body, -15)
    except zlib.error:
        return False
    return True

"""Parsing responses."""

import pytest

from iotax.testing._response import End, ProtocolError, parse_response

CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nTransfer-Encoding: chunked\r\nset-cookie: b=2\r\n\r\n"
    b"5\r\nhello\r\nB\r\n, the rest!\r\n0\r\n\r\n"
)


def parse(data, at=0, *, head=False, end=None):
    return parse_response(data, at, to_head=lambda begin, head_end: head, end=end)


def test_response_ends_where_its_framing_says():
    response, behind = parse(b"xx" + CHUNKED + b"HTTP/1.1 ", 2)

    assert behind == 2 + len(CHUNKED)
    assert (response.status, response.body, response.complete) == (200, b"hello, the rest!", True)
    assert response.raw == CHUNKED
    assert [(one.status, one.raw) for one in response.interim] == [(100, CHUNKED[:25])]


def test_headers_keep_order_and_repeats_and_are_found_in_any_case():
    headers = parse(CHUNKED)[0].headers

    assert [name for name, _ in headers.fields] == ["Set-Cookie", "Transfer-Encoding", "set-cookie"]
    assert headers.get_all("SET-COOKIE") == ["a=1", "b=2"]
    assert headers["set-Cookie"] == "a=1, b=2"
    assert dict(headers) == {"Set-Cookie": "a=1, b=2", "Transfer-Encoding": "chunked"}
    assert len(headers) == 2
    assert "Cookie" not in headers


def test_partial_response_is_none_until_the_connection_ends():
    head = CHUNKED.index(b"5\r\nhello")
    for size in range(len(CHUNKED)):
        assert parse(CHUNKED[:size]) is None
    for size in range(head, len(CHUNKED)):
        response, behind = parse(CHUNKED[:size], end=End())
        assert (response.complete, behind) == (False, size)
        assert b"hello, the rest!".startswith(response.body)


def test_close_delimited_body_is_complete_unless_the_connection_was_reset():
    data = b"HTTP/1.0 200 OK\r\n\r\nall"

    assert parse(data) is None
    assert parse(data, end=End())[0].complete
    assert not parse(data, end=End(reset=True))[0].complete


def test_response_to_head_has_no_body():
    response, behind = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/", head=True)

    assert (response.complete, response.body, behind) == (True, b"", 38)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n",
    ],
)
def test_invalid_http_is_an_error(data):
    with pytest.raises(ProtocolError):
        parse(data)


def test_truncated_head_is_an_error_at_the_end_of_the_connection():
    with pytest.raises(ProtocolError, match="truncated response head"):
        parse(b"HTTP/1.1 200 OK\r\n", end=End())


def test_many_chunks_are_read_in_one_pass():
    chunk = b"1\r\nx\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    response, _ = parse(head + 200_000 * chunk + b"0\r\n\r\n")

    assert response.body == b"x" * 200_000

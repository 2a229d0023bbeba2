"""Model of environ for fuzz_environ, written from PEP 3333, RFC 3875 and http1-policy.

`check(call, request, body, peer, sent)` raises AssertionError. `call` is (environ, body that was
read); `request` maps keys of environ to their bytes in policy_model.h; `peer` is (remote address,
remote port, local address, local port), empty for a Unix socket; `sent` are all bytes of the
client.
"""

import ipaddress
import re

# The same as in fuzz_environ.cc.
TRUSTED = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")]
UNIX_IS_TRUSTED = True

STREAMS = {"wsgi.input": ("read", "readline", "readlines"), "wsgi.errors": ("write", "flush")}
CALLABLES = ("wsgi.file_wrapper", "wsgi.early_hints", "iotax.client_disconnected")
REG_NAME = re.compile(r"[A-Za-z0-9._~-]+")
PREFIX = re.compile(r"(?:[A-Za-z0-9/\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*")


def check(call, request, body, peer, sent):
    environ, content = call
    assert content == body, content
    assert type(environ) is dict
    for key, value in environ.items():
        assert type(key) is str, key
        if "." not in key or key in ("wsgi.url_scheme", "iotax.request_id"):
            assert type(value) is str, key
            value.encode("latin-1")
    due = expected(request, peer)
    texts = {key: value for key, value in environ.items() if type(value) is str}
    target = texts.pop("REQUEST_URI")
    assert texts.pop("RAW_URI") == target
    assert b" " + target.encode("latin-1") + b" HTTP/1." in sent
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", texts.pop("iotax.request_id"))
    assert texts.pop("SERVER_SOFTWARE").startswith("iotax/")
    assert texts.pop("GATEWAY_INTERFACE") == "CGI/1.1"
    assert texts == due, sorted(texts.items() ^ due.items())

    assert environ["wsgi.version"] == (1, 0)
    for key in ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "wsgi.input_terminated"):
        assert type(environ[key]) is bool, key
    for key, methods in STREAMS.items():
        assert all(callable(getattr(environ[key], name)) for name in methods), key
    assert all(callable(environ[key]) for key in CALLABLES)
    known = {"wsgi.version", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"}
    known |= {"wsgi.input_terminated", *STREAMS, *CALLABLES, *due}
    known |= {"REQUEST_URI", "RAW_URI", "SERVER_SOFTWARE", "GATEWAY_INTERFACE", "iotax.request_id"}
    assert set(environ) == known, set(environ) ^ known


def expected(request, peer):
    due = {key: value.decode("latin-1") for key, value in request.items()}
    remote, remote_port, local, local_port = peer
    due |= {"SCRIPT_NAME": "", "REMOTE_ADDR": remote, "REMOTE_PORT": remote_port}
    due["SERVER_NAME"] = f"[{local}]" if ":" in local else local
    due["SERVER_PORT"] = local_port
    if not local:
        due |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}
        del due["REMOTE_PORT"]
    if is_trusted(remote) if remote else UNIX_IS_TRUSTED:
        forward(due)
    return due


def forward(due):
    def members(name):
        text = due.get(f"HTTP_X_FORWARDED_{name}", "")
        return [member.strip(" \t") for member in reversed(text.split(","))] if text else []

    client, hop = None, 0
    for number, member in enumerate(members("FOR")):
        address = without_port(member)
        if ip(address) is None:
            break
        client, hop = address, number
        if not is_trusted(address):
            break
    if client:
        due["REMOTE_ADDR"] = client
        due.pop("REMOTE_PORT", None)

    def chosen(name):
        found = members(name)
        return found[min(hop, len(found) - 1)] if found else ""

    if chosen("PROTO").lower() in ("http", "https"):
        due["wsgi.url_scheme"] = chosen("PROTO").lower()
    host, port, prefix = chosen("HOST"), chosen("PORT"), chosen("PREFIX")
    if is_host(host):
        due["HTTP_HOST"] = host
    if is_port(port, 1):
        due["SERVER_PORT"] = port
    if PREFIX.fullmatch(prefix) and len(prefix) <= 1024:
        decoded = decoded_once(prefix)
        if re.fullmatch(r"/(?:[^\x00-\x1f\x7f\\/]/?)*", decoded):
            due["SCRIPT_NAME"] = decoded.removesuffix("/")


def decoded_once(text):
    return re.sub("%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text)


def ip(text):
    if "%" in text or not text.isascii():
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_ipv6(text):
    return ":" in text and ip(text) is not None


def is_trusted(text):
    address = ip(text)
    return any(address in network for network in TRUSTED if address is not None)


def is_port(text, least):
    return re.fullmatch("[0-9]{1,5}", text) is not None and least <= int(text) <= 65535


def without_port(text):
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::([0-9]+))?", text)
    if text.startswith("["):
        whole = bracketed and (bracketed[2] is None or is_port(bracketed[2], 0))
        return bracketed[1] if whole and is_ipv6(bracketed[1]) else ""
    host, colon, port = text.partition(":")
    return host if colon and ":" not in port and is_port(port, 0) else text


def is_host(text):
    if len(text) > 255 + 6:
        return False
    found = re.fullmatch(r"(\[[^\]]*\]|[^:\[]*)(?::([0-9]+))?", text)
    if not found or (found[2] is not None and not is_port(found[2], 1)):
        return False
    name = found[1]
    if name.startswith("["):
        return is_ipv6(name[1:-1])
    return REG_NAME.fullmatch(name) is not None

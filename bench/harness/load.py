"""Load: wrk for closed loops, a generator at a fixed rate, and an exact number of requests."""

import json
import os
import random
import select
import socket
import subprocess
import time
from pathlib import Path

LUA = Path(__file__).resolve().parent / "load.lua"


def wrk(context, port, *, seconds, connections=64, pipeline=1, close=False, path="/"):
    """Run wrk on the load's core: {"requests", "us", "failed", "p50_us", "p99_us", "max_us"}."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LUA)]
    if close:
        command += ["-H", "Connection: close"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"],
        env=dict(os.environ, PIPELINE=str(pipeline)),
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {context.load_cpu}),
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def request_bytes(port, path="/", extra=""):
    """Return a request as wrk sends it."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{extra}\r\n".encode()


class Client:
    """One connection that sends a request and waits; reconnects after the server closed it."""

    def __init__(self, port):
        self.port = port
        self.socket = None

    def send(self, data):
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(data)

    def receive(self):
        """Read the next response, which has a Content-Length or ends with the connection."""
        data = b""
        while True:
            head, end, body = data.partition(b"\r\n\r\n")
            if end and (length := content_length(head)) is not None and len(body) >= length:
                break
            more = self.socket.recv(65536)
            if not more:
                self.close()
                break
            data += more
        if b"\r\nconnection: close" in data.lower():
            self.close()
        return data

    def ask(self, data):
        self.send(data)
        return self.receive()

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def content_length(head):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return None


def exactly(port, count, connections=8):
    """Send `count` requests over keep-alive connections that wait for responses concurrently."""
    clients = [Client(port) for _ in range(connections)]
    data = request_bytes(port)
    for _ in range(count // connections):
        for client in clients:
            client.send(data)
        for client in clients:
            if not client.receive().startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a response is not 200")
    for client in clients:
        client.close()


def at_rate(context, port, *, per_second, seconds, slow_share, slow_path, connections=128):
    """Open loop: a request every 1/per_second, on time whatever happened to earlier ones.

    Returns the latencies in seconds of the requests for `/`, each measured from its scheduled time.
    """
    os.sched_setaffinity(0, {context.load_cpu})
    dice = random.Random(1)
    quick, slow = request_bytes(port), request_bytes(port, slow_path)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for one in idle:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting, latencies = {}, []
    start = time.perf_counter()
    total = int(per_second * seconds)
    sent = 0
    while sent < total or waiting:
        now = time.perf_counter()
        while sent < total and idle and start + sent / per_second <= now:
            one = idle.pop()
            is_slow = dice.random() < slow_share
            one.sendall(slow if is_slow else quick)
            waiting[one] = (start + sent / per_second, is_slow)
            sent += 1
        due = start + sent / per_second if sent < total and idle else now + 1
        ready, _, _ = select.select(list(waiting), [], [], max(0, due - time.perf_counter()))
        for one in ready:
            if not one.recv(65536):
                raise RuntimeError("the server closed a connection")
            due_at, is_slow = waiting.pop(one)
            if not is_slow:
                latencies.append(time.perf_counter() - due_at)
            idle.append(one)
    for one in idle:
        one.close()
    return latencies


def percentile(values, share):
    """Return the value below which `share` (0 to 1) of the values are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

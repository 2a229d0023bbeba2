"""Measures a server next to slow views, computing views and busy threads, and when idle."""

import threading
import time

from . import accounting, load
from .compare import SCENARIOS, cost
from .servers import Running, Unavailable

MALFORMED = (
    b"GET / HTTP/1.1\r\n\r\n"  # no Host: rejected by the server, without a call of the application
)


class Background:
    """Runs `work` in a thread until the `with` block ends."""

    def __init__(self, work):
        self.result = None
        self.thread = threading.Thread(target=self._run, args=(work,))

    def _run(self, work):
        self.result = work()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.thread.join()


def milliseconds(seconds):
    return f"{seconds * 1e3:.2f} ms"


def hello_with_threads(name, context, seconds):
    costs = {}
    for threads in (1, 4, 16):
        with Running(name, context, threads=threads) as server:
            costs[threads] = cost(context, server, SCENARIOS[0], seconds).total
    text = ", ".join(
        f"{threads}: {us:.2f} us ({us / costs[1]:.2f})" for threads, us in costs.items()
    )
    return "hello at --threads 1, 4, 16", "within 5 %", text


def sleeping_views(name, context, seconds):
    with Running(name, context, "app:sleep_10_ms", threads=64) as server:
        result = load.wrk(context, server.port, seconds=seconds, connections=64)
    rate = result["requests"] / result["us"] * 1e6
    return "10 ms sleep, 64 threads", ">= 85 % of 6,400/s", f"{rate:,.0f}/s, {rate / 64:.0f} %"


def beside_computing_view(name, context, seconds):
    with Running(name, context, "app:views", threads=4) as server:
        load.wrk(context, server.port, seconds=1, connections=32)
        spin = load.Client(server.port)
        spin.send(load.request_bytes(server.port, f"/spin?{seconds + 1}"))
        result = load.wrk(context, server.port, seconds=seconds, connections=32)
        spin.receive()
        spin.close()
    text = f"p99 {result['p99_us'] / 1e3:.1f} ms, longest {result['max_us'] / 1e3:.1f} ms"
    return "hello beside one computing view", "p99 <= 10 ms, none above 25", text


def beside_sleeping_views(name, context, seconds):
    with Running(name, context, "app:views", threads=16) as server:
        load.wrk(context, server.port, seconds=1, connections=16)
        latencies = load.at_rate(
            context,
            server.port,
            per_second=2000,
            seconds=seconds,
            slow_share=0.1,
            slow_path="/sleep",
        )
    p50, p99 = load.percentile(latencies, 0.5), load.percentile(latencies, 0.99)
    text = f"p50 {milliseconds(p50)}, p99 {milliseconds(p99)}"
    return "2,000/s, 10 % sleep 20 ms, 16 threads: hellos", "p99 <= 1 ms", text


def ten_short_sleeps(name, context, seconds):
    def once():
        begin = time.perf_counter()
        client.ask(slow)
        return time.perf_counter() - begin

    with Running(name, context, "app:views", threads=2) as server:
        client, slow = load.Client(server.port), load.request_bytes(server.port, "/ten")
        idle = load.percentile([once() for _ in range(20)], 0.5)
        with Background(
            lambda: load.wrk(context, server.port, seconds=seconds, connections=64)
        ) as hellos:
            time.sleep(0.5)
            loaded = load.percentile([once() for _ in range(20)], 0.5)
        client.close()
    rate = hellos.result["requests"] / hellos.result["us"] * 1e6
    times = f"{milliseconds(idle)} idle, {milliseconds(loaded)} loaded ({loaded / idle:.2f})"
    text = f"{times}, hello {rate:,.0f}/s"
    return "view of 10 x 1 ms under hello load", "<= 2 x idle", text


def beside_busy_thread(name, context, seconds):
    rates = []
    for app in ("app:hello", "app:beside_busy_thread"):
        with Running(name, context, app) as server:
            load.wrk(context, server.port, seconds=1)
            result = load.wrk(context, server.port, seconds=seconds, connections=64)
            rates.append(result["requests"] / result["us"] * 1e6)
    free, busy = rates
    text = f"{busy:,.0f} of {free:,.0f}/s, {busy / free * 100:.0f} %"
    return "hello beside a busy Python thread, one core", ">= 40 %", text


def idle_wakeups(name, context, seconds):
    with Running(name, context, threads=4) as server:
        load.wrk(context, server.port, seconds=1)
        time.sleep(1)
        before = accounting.context_switches(server.pid)
        time.sleep(seconds)
        count = accounting.context_switches(server.pid) - before
    return f"idle for {seconds} s after load", "0 wake-ups", f"{count} context switches"


def refusal_beside_spinning_thread(name, context, seconds):
    times = []
    with Running(name, context, "app:views", threads=1) as server:
        spin = load.Client(server.port)
        spin.send(load.request_bytes(server.port, f"/spin?{seconds}"))
        end = time.perf_counter() + seconds - 0.5
        while time.perf_counter() < end:
            client = load.Client(server.port)
            begin = time.perf_counter()
            client.ask(MALFORMED)
            times.append(time.perf_counter() - begin)
            client.close()
            time.sleep(0.005)
        spin.receive()
        spin.close()
    p50, p99 = load.percentile(times, 0.5), load.percentile(times, 0.99)
    text = f"first {milliseconds(times[0])}, p50 {milliseconds(p50)}, p99 {milliseconds(p99)}"
    return "one thread, it spins: a rejection", "within 3 ms", text


CHECKS = (
    hello_with_threads,
    sleeping_views,
    beside_computing_view,
    beside_sleeping_views,
    ten_short_sleeps,
    beside_busy_thread,
    idle_wakeups,
    refusal_beside_spinning_thread,
)


def run(name, context, *, seconds, say):
    """Return lines of text."""
    rows = [["behavior", "aim", "measured"]]
    for check in CHECKS:
        say(check.__name__.replace("_", " "))
        try:
            rows.append(list(check(name, context, seconds)))
        except (OSError, RuntimeError, Unavailable) as why:
            rows.append([check.__name__.replace("_", " "), "", f"aborted: {why}"])
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return [f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}" for row in rows]

"""A real Prometheus: its sums are those of the clients, and its rules and the dashboard work."""

import collections
import json
import os
import re
import signal
import subprocess
import threading

import pytest
from support.admin import Admin
from support.processes import wait_for_end
from support.prometheus import FILES, INSTALLED, Prometheus
from support.proxies import EXAMPLES
from support.wire import Connection

pytestmark = pytest.mark.skipif(not INSTALLED, reason="prometheus is not installed")
APP = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise ValueError
    if environ["PATH_INFO"] == "/missing":
        start_response("404 Not Found", [])
        return []
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]
"""
CLIENTS = 3
REQUESTS = [("GET", "/"), ("POST", "/"), ("GET", "/missing"), ("GET", "/raise"), ("GET", "/")]


class Clients:
    """Sends requests with several connections at a time, and counts the responses."""

    def __init__(self, port):
        self._port = port
        self._lock = threading.Lock()
        self.answered = collections.Counter()

    def send(self, rounds):
        threads = [threading.Thread(target=self._run, args=[rounds]) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _run(self, rounds):
        with Connection(self._port) as connection:
            for _ in range(rounds):
                for method, path in REQUESTS:
                    body = b"body" if method == "POST" else None
                    answer = connection.ask(path, method=method, body=body)
                    with self._lock:
                        self.answered[method, f"{answer.status // 100}xx"] += 1
                    if answer.get("Connection") == "close":
                        connection.close()
                        connection = Connection(self._port)


def test_sums_are_those_of_the_clients_over_reload_recycling_and_kill(start, project, tmp_path):
    options = ("--workers=2", "--threads=2", "--max-requests=100", "--admin=127.0.0.1:0")
    server = start("main:app", *options, cwd=project("main", APP))
    clients = Clients(server.port)
    with Prometheus(tmp_path, Admin(server).port) as prometheus:
        clients.send(2)
        before = server.workers()
        server.send_signal(signal.SIGHUP)
        clients.send(2)
        wait_for_end(*before)
        clients.send(20)
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_for_end(victim)
        clients.send(20)
        sent = sum(clients.answered.values())
        assert sent == (2 + 2 + 20 + 20) * CLIENTS * len(REQUESTS)
        prometheus.wait_until(f"sum(iotax_requests_total) == {sent}")
        for (method, status), count in clients.answered.items():
            by = "server" if status == "5xx" else "app"  # which has raised
            one = f'iotax_requests_total{{by="{by}",method="{method}",status="{status}"}}'
            assert prometheus.value(one) == count
        for name in ("request", "queue", "app"):
            assert prometheus.value(f"iotax_{name}_duration_seconds_count") == sent
        raised = clients.answered["GET", "5xx"]
        assert prometheus.value('iotax_requests_ended_total{end="app_error"}') == raised
        assert prometheus.value('iotax_requests_ended_total{end="complete"}') == sent - raised
        assert prometheus.value("sum(resets(iotax_requests_total[10m]))") == 0
        prometheus.wait_until('iotax_worker_exits_total{cause="crash"} == 1')
        prometheus.wait_until('iotax_worker_exits_total{cause="reload"} == 2')
        prometheus.wait_until('iotax_worker_exits_total{cause="max_requests"} >= 1')
        every_query_of_the_dashboard_has_data(prometheus)
        prometheus.wait_until("iotax:utilization:ratio_rate1m")
        prometheus.wait_until('ALERTS{alertname="IotaxWorkersCrash",alertstate="firing"}')


def every_query_of_the_dashboard_has_data(prometheus):
    dashboard = json.loads((EXAMPLES / "grafana" / "iotax.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    for target in targets:
        prometheus.wait_until(target["expr"].replace("$__rate_interval", "1m"))


def test_alerts_fire_as_their_tests_say():
    subprocess.run(["promtool", "test", "rules", "rules_test.yaml"], cwd=FILES, check=True)


def test_every_metric_of_the_rules_exists(start, project):
    """Else an alert never fires."""
    server = start("main:app", "--admin=127.0.0.1:0", cwd=project("main", APP))
    text = Admin(server).get("/metrics", "Accept: text/plain").text
    subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True)
    there = set(re.findall(r"^iotax_\w+", text, re.M))
    rules = (FILES / "rules.yaml").read_text()
    assert set(re.findall(r"\biotax_\w+", rules)) <= there

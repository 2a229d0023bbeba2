"""--health-path: responses on the application's port without the application."""

import signal

import pytest
from support.admin import Admin
from support.proxies import haproxy_backend
from support.wire import Connection

WAYS = pytest.mark.parametrize("options", [(), ("--preload",), ("--workers=0",)], ids=" ".join)
APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["REQUEST_METHOD"].encode(), environ["PATH_INFO"].encode()]
"""


@pytest.fixture
def serve(start, project):
    def serve(*options):
        return start("main", "--health-path=/healthz", *options, cwd=project("main", APP))

    return serve


@WAYS
def test_the_server_responds_while_calls_hang_and_the_queue_is_full(
    start, gates, tmp_path, options
):
    """Nothing is lost: the requests that wait are called later."""
    gate = gates("a")
    server = start(
        *("views", "--health-path=/healthz", "--max-queued=1", *options),
        env={"GATES": str(tmp_path)},
    )
    with Connection(server.port) as hangs, Connection(server.port) as waits:
        hangs.get("/gate/a")
        gate.wait_entered()
        waits.get("/hello")
        with Connection(server.port) as probe:
            probe.send(b"GET / HTTP/1.1\r\n\r\n")
            assert probe.answer().status == 400  # so the request that waits has been read
        with Connection(server.port) as connection:
            assert connection.ask("/healthz").text == "ready\n"
            assert connection.ask("/healthz", method="HEAD").status == 200
            assert connection.ask("/healthz", method="POST").status == 503
        gate.let_go()
        assert hangs.answer().status == waits.answer().status == 200


@WAYS
def test_after_term_the_health_path_says_that_the_server_stops(serve, options):
    """Also on new connections, while --shutdown-delay lets load balancers notice it."""
    server = serve("--shutdown-delay=1h", "--graceful-timeout=1h", *options)
    with Connection(server.port) as kept:
        assert kept.ask("/healthz").text == "ready\n"
        server.send_signal(signal.SIGTERM)
        while (answer := kept.ask("/healthz")).status == 200:
            pass
        assert (answer.status, answer.text) == (503, "not ready: stopping\n")
    with Connection(server.port) as new:
        assert new.ask("/healthz").status == 503
    with Connection(server.port) as new:
        assert new.ask("/a").text == "GET/a"
    server.send_signal(signal.SIGQUIT)
    server.wait()


def test_haproxy_stops_using_a_server_that_stops(serve, tmp_path):
    server = serve("--shutdown-delay=1h")
    backend = f"127.0.0.1:{server.port} check inter 100ms fall 2"
    with haproxy_backend(tmp_path, backend, "option httpchk GET /healthz") as port:
        with Connection(port) as client:
            assert client.ask("/a", "Connection: close").text == "GET/a"
        server.send_signal(signal.SIGTERM)
        status = 200
        while status == 200:
            with Connection(port) as client:
                status = client.ask("/a", "Connection: close").status
        assert status == 503  # of HAProxy: no server is left
    with Connection(server.port) as client:
        assert client.ask("/a").text == "GET/a"
    server.send_signal(signal.SIGQUIT)
    server.wait()


def test_a_worker_that_is_replaced_is_not_the_end_of_the_server(serve):
    server = serve()
    (first,) = server.wait_for_workers(1)
    with Connection(server.port) as kept:
        assert kept.ask("/healthz").status == 200
        server.send_signal(signal.SIGHUP)
        server.err.wait_for(rf"replaces \[{first}\]: SIGHUP")
        assert kept.ask("/healthz").text == "ready\n"


def test_the_application_gets_other_methods_and_spellings(serve):
    server = serve()
    with Connection(server.port) as connection:
        assert connection.ask("/healthz", method="POST").text == "POST/healthz"
        assert connection.ask("/%68ealthz").text == "GET/healthz"
        assert connection.ask("/healthz/").text == "GET/healthz/"
        assert connection.ask("/healthz?a=b").text == "ready\n"


@pytest.mark.parametrize("logged", [False, True])
def test_requests_are_counted_apart_and_logged_if_wanted(serve, logged):
    server = serve(
        *("--admin=127.0.0.1:0", "--access-log-format=%(r)s", *["--health-log"] * logged)
    )
    with Connection(server.port) as connection:
        for path in ("/healthz", "/healthz", "/a"):
            assert connection.ask(path).status == 200
    series = Admin(server).metrics()
    assert series["iotax_health_requests_total"] == 2
    assert series['iotax_requests_total{by="app",method="GET",status="2xx"}'] == 1
    assert series['iotax_requests_total{by="server",method="GET",status="2xx"}'] == 0
    server.stop()
    lines = server.out.wait_for_end().splitlines()
    assert lines == [*["GET /healthz HTTP/1.1"] * 2 * logged, "GET /a HTTP/1.1"]

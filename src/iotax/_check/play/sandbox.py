"""The process in which one application is called, so that its output, exits and crashes do not
affect the checker.

Reads one order at a time from the checker (sandbox_process.py) and replies with its findings; both
are lines of JSON.
"""

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NoReturn

from iotax._app import importer, working_directory
from iotax._app.load_error import LoadError
from iotax._check.observe.outcome import TimeIsUp
from iotax._check.play.routes import routes_of
from iotax._check.play.strict_server import StrictServer
from iotax._check.requests import RequestSpec


def main() -> None:
    """`sys.argv`: descriptors to read orders from and to write to."""
    orders = os.fdopen(int(sys.argv[1]), "r", encoding="utf-8")
    reports = os.fdopen(int(sys.argv[2]), "w", encoding="utf-8", buffering=1)

    def tell(what: Mapping[str, Any]) -> None:
        reports.write(json.dumps(what) + "\n")

    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    install_alarm()
    start = json.loads(orders.readline())
    try:
        working_directory.prepare("", start["pythonpath"])
        loaded = importer.load(start["target"], factory=start["factory"])
    except LoadError as error:
        tell({"load_error": vars(error)})
        return
    server = StrictServer(loaded.application, start["environ"], start["timeout"], tell)
    routes = [] if start["is_middleware"] else routes_of(loaded.application)
    tell({"loaded": loaded.name, "routes": routes})
    for line in orders:
        order = json.loads(line)
        if "middleware" in order:
            tell(server.play_middleware(order["middleware"]))
        else:
            tell(server.play(order["scenario"], RequestSpec.from_json(order["request"])))
    os._exit(0)  # do not wait for threads of the application


def install_alarm() -> None:
    """For the time limit of calls. In the main thread."""
    signal.signal(signal.SIGALRM, _time_is_up)


def _time_is_up(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TimeIsUp

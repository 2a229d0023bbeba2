"""Decides which clause an exception of the application violates: A-CALL-02, A-ENV-02, A-ENV-03,
A-EXC-01.
"""

from collections.abc import Container, Sequence
from typing import Final

from iotax._check.observe.blame import of_error, of_object
from iotax._check.observe.outcome import MAY_BE_EMPTY, Application, TimeIsUp
from iotax._check.observe.record import Record, shown

_OURS: Final = "raised by iotax check"


def raised_by_us(error: BaseException) -> BaseException:
    """Mark an exception that the checker raises in the application after reporting a finding."""
    error.add_note(_OURS)
    return error


def report_failure(
    record: Record,
    error: BaseException,
    application: Application,
    names: Container[object],
    streams: Sequence[object],
) -> None:
    """`names`: of the variables in environ. `streams`: they report their missing attributes
    themselves, at the end of the call."""
    if isinstance(error, TimeIsUp) or getattr(error, "__notes__", None) == [_OURS]:
        return
    trace = error.__traceback__
    # Only the caller's frame: the call itself failed.
    if isinstance(error, TypeError) and trace is not None and trace.tb_next is None:
        what = "It cannot be called with (environ, start_response)"
        place = of_object(application)
        record.report("A-CALL-02", f"{what}: {error}.", place=place, kind=what)
    elif not (isinstance(error, AttributeError) and error.obj in streams):
        clause = "A-EXC-01"
        kind = f"It raises {type(error).__name__}"
        what = f"{kind}: {shown(str(error))}."
        if isinstance(error, KeyError) and _is_variable(error.args[0], names):
            clause = "A-ENV-02" if error.args[0] in MAY_BE_EMPTY else "A-ENV-03"
            what = kind = f"It needs {error.args[0]}, which need not be in environ."
        record.report(clause, what, place=of_error(error), kind=kind)


def _is_variable(name: object, names: Container[object]) -> bool:
    """Whether `name` looks like a variable of environ that is not among `names`."""
    return isinstance(name, str) and name.replace("_", "").isupper() and name not in names

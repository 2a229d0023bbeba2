"""The table of states and events."""

import pytest

from iotax._processes.lifecycle import TRANSITIONS, Event, State, next_state


def test_every_pair_of_state_and_event_is_decided() -> None:
    """The whole table, written a second time and independently."""
    alive = set(State) - {State.EXITED}
    expected = {
        Event.PID: {
            State.FORKING: State.BOOTING,
            State.DISMISSED: State.DISMISSED,
            State.KILLED: State.KILLED,
        },
        Event.READY: {
            State.BOOTING: State.READY,
            State.DISMISSED: State.READY,
            State.KILLED: State.KILLED,
        },
        Event.DRAIN: {state: State.DRAINING for state in (State.READY, State.DRAINING)},
        Event.DISMISS: {state: State.DISMISSED for state in (State.FORKING, State.BOOTING)},
        Event.KILL: dict.fromkeys(alive, State.KILLED),
        Event.EXIT: dict.fromkeys(alive, State.EXITED),
    }
    for state in State:
        for event in Event:
            if state in expected[event]:
                assert next_state(state, event) is expected[event][state]
                continue
            assert (state, event) not in TRANSITIONS
            with pytest.raises(RuntimeError, match=f"{event.name} is impossible .* {state.name}"):
                next_state(state, event)

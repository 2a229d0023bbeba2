"""Objects that an application keeps after a request affect no other request, from any thread at any
time.

The short version of tests/kept, which runs for minutes.
"""

import pytest
from support import kept


@pytest.mark.smoke
@pytest.mark.parametrize("way", kept.WAYS)
def test_threads_that_use_kept_objects_reach_no_other_request(way: str) -> None:
    played = kept.play(way, seed=1, requests=300)
    assert played.wrong == []
    assert played.raised > 100, "the threads have hardly come too late"

"""What an application keeps of a request reaches no other one, whoever uses it and whenever.

The small version of tests/kept, which plays this for minutes.
"""

import pytest
from support import kept


@pytest.mark.smoke
@pytest.mark.parametrize("way", kept.WAYS)
def test_threads_that_use_kept_objects_reach_no_other_request(way: str) -> None:
    played = kept.play(way, seed=1, requests=300)
    assert played.wrong == []
    assert played.raised > 100, "the threads have hardly come too late"

"""One draw of a bad concept in honest packets, for the tests of whoever meets it.

Its tests go to one worker: the packets are a teacher's, and extracting them takes seconds.
"""

from functools import cache

import pytest

from m2kt.bench.experiments.injections import Scene, staged

ONE_WORKER = pytest.mark.xdist_group("scene")


@cache
def scene() -> Scene:
    return staged(3)

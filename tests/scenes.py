"""One draw of a bad concept in honest packets, for the tests of whoever meets it."""

from functools import cache

from m2kt.bench.experiments.injections import Scene, staged


@cache
def scene() -> Scene:
    return staged(3)

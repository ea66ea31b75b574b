import random
from collections import Counter

import pytest

from m2kt.curriculum import FLOOR, WINDOW, Curriculum


def test_nothing_is_mastered_before_enough_was_seen():
    course = Curriculum((1, 2))
    course.saw([(1, True)] * (WINDOW // 2))
    assert course.share(1) == 0.5
    assert course.mastery == 0.25


def test_what_is_long_past_does_not_count():
    course = Curriculum((1,))
    course.saw([(1, False)] * WINDOW)
    course.saw([(1, True)] * WINDOW)
    assert course.mastery == 1.0


def test_levels_that_go_wrong_are_practised_more():
    course = Curriculum((1, 2))
    course.saw([(1, True)] * WINDOW)
    drawn = Counter(course.draw(random.Random(0), 4_000))
    assert drawn[1] / 4_000 == pytest.approx(FLOOR / (1 + 2 * FLOOR), abs=0.03)


def test_levels_that_go_alike_are_practised_alike():
    drawn = Counter(Curriculum((1, 2, 3, 4)).draw(random.Random(0), 4_000))
    assert all(drawn[level] == pytest.approx(1_000, rel=0.1) for level in (1, 2, 3, 4))

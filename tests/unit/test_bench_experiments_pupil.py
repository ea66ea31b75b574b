"""Two snapshots of a student are told apart by every single thing that can differ."""

from dataclasses import replace

import pytest

from m2kt import domains
from m2kt.bench.experiments.pupil import Snapshot, drawn_prompts
from m2kt.digest import digest_of
from m2kt.store import Skill

ONE, OTHER = digest_of(b"t", b"one"), digest_of(b"t", b"other")
NOW = Snapshot(head=ONE, skill=None, cal=ONE, weights=ONE, logits=(ONE,) * 6, said=("a", "b"))


def test_what_is_the_same_is_unmoved():
    assert NOW.restored(replace(NOW))
    assert NOW.unmoved(replace(NOW))
    assert NOW.changed(replace(NOW)) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"skill": Skill(ONE, (), ())},
        {"cal": OTHER},
        {"weights": OTHER},
        {"logits": (ONE,) * 5 + (OTHER,)},
        {"said": ("a", "c")},
    ],
    ids=lambda its: next(iter(its)),
)
def test_any_other_part_is_noticed(changed):
    assert not NOW.restored(replace(NOW, **changed))
    assert not NOW.unmoved(replace(NOW, **changed))


def test_another_head_is_restored_and_not_unmoved():
    moved = replace(NOW, head=OTHER)
    assert NOW.restored(moved)
    assert not NOW.unmoved(moved)


def test_a_share_of_the_prompts_has_other_logits():
    assert NOW.changed(replace(NOW, logits=(OTHER, *NOW.logits[1:]))) == pytest.approx(1 / 6)


def test_half_of_the_prompts_are_questions_of_the_domain():
    domain = domains.get("group.s3")
    drawn = drawn_prompts(domain, 40, 1)
    assert drawn == drawn_prompts(domain, 40, 1)
    assert drawn != drawn_prompts(domain, 40, 2)
    assert sum(level > 0 for _, level in drawn) == 20
    assert {level for _, level in drawn} == {0, *domain.levels}

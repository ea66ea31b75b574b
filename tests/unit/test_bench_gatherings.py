"""Two small shipped teachers are gathered for real: who has what, and in whose name."""

from dataclasses import replace

import pytest

from m2kt import domains
from m2kt.bench.attacks import ATTACKS
from m2kt.bench.gatherings import NONE, Gathering, gathered, shown_facts
from m2kt.bench.subjects import load_model
from m2kt.errors import RequestError
from m2kt.reading import View

DOMAIN = domains.get("group.s3")
FACTS = set(DOMAIN.facts)
PLAIN = Gathering(domain="group.s3", teachers=("s3", "s3-neox"))
LIED = replace(PLAIN, teachers=("s3", "s3-neox", "s3"), hostile=2)


@pytest.fixture(scope="module")
def view():
    model = load_model("symbols-student")
    return View(DOMAIN, model.symbol_directions(DOMAIN.symbols))


def held(packet) -> set[str]:
    return {spec.id for spec in packet.packet.concepts}


def told(packet) -> set[str]:
    return {step.concept for trace in packet.packet.traces for step in trace.steps}


def test_traces_show_half_of_the_facts_by_the_seed():
    assert len(shown_facts("group.s3", 0)) == len(FACTS) / 2
    assert shown_facts("group.s3", 0) == shown_facts("group.s3", 0) != shown_facts("group.s3", 1)


def test_what_is_hidden_is_hidden_by_all(view):
    packets = gathered(replace(PLAIN, coverage=0.5), view)
    for packet in packets:
        assert told(packet) == shown_facts("group.s3", 0)


def test_an_honest_teacher_has_what_is_shown_and_its_share_of_the_rest(view):
    shown = shown_facts("group.s3", 0)
    one, two = (held(its) for its in gathered(replace(PLAIN, coverage=1 / 3), view))
    assert one >= shown <= two
    assert len(one - shown) == len(two - shown) == (len(FACTS) - len(shown)) / 3
    assert one != two, "each lacks others"
    assert [held(its) for its in gathered(PLAIN, view)] == [FACTS, FACTS]


def test_liars_come_last_and_have_all(view):
    honest, *liars = gathered(replace(LIED, attack="label_flip", coverage=0.5), view)
    assert len(held(honest)) < len(FACTS)
    assert [held(its) for its in liars] == [FACTS, FACTS]
    assert [str(its.teacher) for its in (honest, *liars)] == [f"teacher-{n}" for n in range(3)]


def test_liars_without_an_attack_are_as_honest_as_the_others(view):
    one, two, three = gathered(replace(LIED, attack=NONE, coverage=0.5), view)
    alone = gathered(replace(LIED, hostile=0, coverage=0.5), view)
    for its, other in zip((one, two, three), alone, strict=True):
        assert its.packet.means.equal(other.packet.means)


@pytest.mark.parametrize("attack", ["sybil", "label_flip"])
def test_only_sybils_share_one_organisation(view, attack):
    packets = gathered(replace(LIED, attack=attack), view)
    liars = ["sybils", "sybils"] if attack == "sybil" else ["teacher-1", "teacher-2"]
    assert [its.organisation for its in packets] == ["teacher-0", *liars]
    assert len({its.content_digest for its in packets[1:]}) == 2


def test_weak_teachers_and_the_root_send_no_traces(view):
    packets = gathered(replace(PLAIN, silent=("s3",), root="s3-neox"), view)
    *plain, weak, root = packets
    assert [str(its.teacher) for its in (weak, root)] == ["silent-0", "root"]
    assert not weak.packet.traces
    assert not root.packet.traces
    assert [its.root for its in packets] == [False, False, False, True]
    assert held(weak) == held(root) == FACTS
    assert all(its.packet.traces for its in plain)


def test_a_packet_says_who_sent_it(view):
    for packet in gathered(replace(LIED, attack="mimic", silent=("s3",)), view):
        assert packet.packet.provenance.teacher == packet.teacher


def test_gatherings_that_make_no_sense_are_refused():
    with pytest.raises(RequestError, match=r"none, sign_flip.*'bribery'"):
        replace(PLAIN, attack="bribery")
    for hostile in (-1, 2):
        with pytest.raises(RequestError, match="0 to 1 hostile"):
            replace(PLAIN, hostile=hostile, attack=next(iter(ATTACKS)))

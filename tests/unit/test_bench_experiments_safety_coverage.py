"""A family is what it says, a tally counts what became of it, and promises are kept on a few."""

import random
from dataclasses import replace

import pytest
import torch

from m2kt.bench.experiments.benign import BENIGN, HONEST
from m2kt.bench.experiments.drafts import Draft, Family
from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.bench.experiments.safety_coverage import (
    WAY,
    Size,
    Tally,
    honest_packets,
    judge,
    surveyed,
)
from m2kt.bench.experiments.threats import THREATS
from m2kt.progress import silent
from m2kt.reasons import Reason

SIZE = Size(("mod7-mul", "s3"), variants=1, traces=3, layers=1)


@pytest.fixture(scope="module")
def samples():
    return honest_packets(SIZE, 0, silent)


def draft(samples, seed: int) -> Draft:
    honest, liar = samples
    base = honest[seed % 2]
    return Draft(random.Random(seed), base, [honest[(seed + 1) % 2]], liar)


def tallied(family: Family, samples, seeds=range(2)) -> Tally:
    tally = Tally()
    for seed in seeds:
        judge(family, family.make(draft(samples, seed)), tally)
    return tally


def test_families_have_names_of_their_own():
    names = [family.name for family in (*THREATS, *HONEST, *BENIGN)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("family", [its for its in THREATS if its.promised], ids=lambda f: f.name)
def test_what_screening_promises_is_found_for_its_own_reason(samples, family):
    assert family.reasons
    tally = tallied(family, samples)
    assert tally.found == tally.count == 2


@pytest.mark.parametrize("family", HONEST, ids=lambda f: f.name)
def test_honest_packets_pass(samples, family):
    assert tallied(family, samples).refused == 0


@pytest.mark.parametrize(
    "name",
    ["two c_k swapped: a wrong fact in C only", "a covert channel in the low bits of C"],
)
def test_what_is_false_and_well_formed_is_told_to_be_missed(samples, name):
    family = next(its for its in THREATS if its.name == name)
    made = family.make(draft(samples, 1))
    assert not torch.equal(made.packet.exemplars, samples[0][1].packet.exemplars)
    assert tallied(family, samples).refused == 0


def test_a_refusal_for_another_reason_is_not_counted_as_found(samples):
    family = next(its for its in THREATS if its.name == "one wrong trace")
    tally = tallied(replace(family, reasons=frozenset({Reason.NOT_FINITE})), samples)
    assert (tally.found, tally.refused) == (0, 2)


def test_what_does_not_arrive_was_refused_on_the_way(samples):
    family = next(its for its in THREATS if its.name == "a text that is too long")
    assert tallied(family, samples).rules == {WAY: 2}


def test_an_interval_of_few_packets_is_wide():
    share, low, high = Tally(count=10).interval(9)
    assert share == 0.9
    assert 0.55 < low < 0.65
    assert 0.97 < high < 1.0


def test_the_record_tells_every_family():
    found = surveyed(SIZE, (0,), silent)
    record = record_of("safety-coverage", Scope(quick=True), found)
    assert set(record["coverage"]) == {family.name for family in THREATS}
    assert {family.name for family in BENIGN} < set(record["false_positives"])
    assert record["coverage"]["one wrong trace"]["recall"] == 1.0
    assert record["coverage"]["all c_k shuffled"]["recall"] == 0.0
    assert "all c_k shuffled" in found.limits[0]
    assert found.verdict == "holds"

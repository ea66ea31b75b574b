from dataclasses import replace

import pytest

from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.bench.experiments.transferability import Pair, _cells, _findings, _foretold, _rank
from m2kt.transferability import Outlook

PAIRS = [Pair("group.s3", f"student-{n}", -1) for n in range(12)]
OUTLOOK = Outlook(before=0.1, recognised=1.0, depth=1.0, steadiness=1.0)


def record(gains) -> dict:
    told = {pair: replace(OUTLOOK, recognised=number / 12) for number, pair in enumerate(PAIRS)}
    found = _findings(PAIRS, told, dict(zip(PAIRS, gains, strict=True)), (0,))
    return record_of("transferability", Scope(), found)


def test_what_is_ranked_as_foretold_correlates():
    its = record([0.05 * number for number in range(12)])
    assert its["transferability"]["spearman"] == pytest.approx(1.0)
    assert its["verdict"] == "holds"


def test_what_is_ranked_otherwise_does_not():
    its = record([0.5, 0.1, 0.4, 0.3, 0.2, 0.6, 0.1, 0.5, 0.3, 0.2, 0.4, 0.1])
    assert its["transferability"]["low"] < 0.0
    assert its["verdict"] == "falls short"


def test_pairs_of_one_domain_are_drawn_together():
    """Within each of two domains nothing is foretold; between them everything is."""
    pairs = [Pair(f"d{n % 2}", f"student-{n}", -1) for n in range(12)]
    gains = {pair: 0.9 * (n % 2) + 0.01 * (n * 7 % 6) for n, pair in enumerate(pairs)}
    score = {pair: 0.5 * (n % 2) + 0.01 * (n * 5 % 6) for n, pair in enumerate(pairs)}
    rank, low, _ = _rank(pairs, score, gains)
    apart = [replace(pair, domain=pair.student) for pair in pairs]
    alike = (
        dict(zip(apart, score.values(), strict=True)),
        dict(zip(apart, gains.values(), strict=True)),
    )
    assert rank == pytest.approx(_rank(apart, *alike)[0])
    assert low < _rank(apart, *alike)[1] - 0.2


def test_what_is_foretold_by_headroom_alone_is_told():
    before = {pair: number / 12 for number, pair in enumerate(PAIRS)}
    told = {pair: replace(OUTLOOK, before=share) for pair, share in before.items()}
    gains = {pair: 1 - share for pair, share in before.items()}
    its = record_of("transferability", Scope(), _findings(PAIRS, told, gains, (0,)))
    assert its["transferability"]["spearman"] == pytest.approx(1.0)
    assert abs(its["by_headroom"]["gain by headroom, all"]) < 0.5


def test_gains_that_are_all_alike_are_no_evidence():
    assert record([0.5] * 12)["transferability"]["spearman"] == 0.0


def test_a_reading_from_inside_is_foretold_to_gain_less():
    last, inner = (_foretold(Pair("group.s3", "symbols-student", layer)) for layer in (-1, -2))
    assert last.recognised > 0.9
    assert last.gain > 0.6
    assert inner.depth == 0.75
    assert inner.gain < 0.5 * last.gain


def test_who_knows_it_all_has_nothing_to_gain():
    its = _foretold(Pair("group.s3", "s3", -1))
    assert its.before > 0.9
    assert its.gain < 0.1


def test_a_pair_is_learnt_with_every_seed():
    cells = _cells(PAIRS[0], (0, 1), quick=True)
    assert [cell.seed for cell in cells] == [0, 1]
    assert {cell.layer for cell in cells} == {-1}

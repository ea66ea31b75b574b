import pytest
import torch

from m2kt.bench.experiments.concept_probe import ConceptProbe
from m2kt.bench.experiments.experiment import Scope, record_of
from m2kt.bench.experiments.native_probe import NativeProbe
from m2kt.bench.experiments.probe_fidelity import NOTHING, PHI, REHEARSED, SHUFFLED, findings
from m2kt.bench.experiments.projected_probe import Reading
from m2kt.linear_probe import fit

NAMES = [f"concept {number}" for number in range(40)]
WHO = ("student", "teacher")
PROBE = fit(torch.eye(2), torch.arange(2), count=2)
NATIVE = NativeProbe({4: PROBE, 5: PROBE}, {4: 0.7, 5: 0.95}, 300)


def concepts(accuracy: float, control: float) -> ConceptProbe:
    return ConceptProbe(
        penalty=0.1,
        marks=dict.fromkeys(NAMES, accuracy),
        control=control,
        baselines={"untrained teacher": 0.2, "shuffled labels": 0.1, "tokens of the prompt": 0.3},
        sign=None,
        penalties={0.1: (accuracy, control)},
    )


def reading(kind: str, accuracy: float, seed: int = 0) -> Reading:
    return Reading(
        kind=kind,
        seed=seed,
        marks=dict.fromkeys(NAMES, accuracy),
        by_layer={4: 0.6, 5: accuracy},
        same=0.9,
        displaced=0.8,
    )


READ = [reading(PHI, 1.0), reading(NOTHING, 0.15), reading(SHUFFLED, 0.1), reading(REHEARSED, 0.9)]


def made(its: ConceptProbe, read: list[Reading]):
    return findings({"teacher": [its]}, {WHO: read}, {WHO: NATIVE}, (0,))


def test_the_record_has_the_least_of_each_figure_and_all_claims_hold():
    found = made(concepts(1.0, 0.4), READ)
    assert found.verdict == "holds"
    record = record_of("probe-fidelity", Scope(), found)
    figures = record["probe_fidelity"]
    assert {"c_lower", "phi_lower", "selectivity"} <= set(figures)
    assert figures["selectivity"] == pytest.approx(0.6)
    assert 0.9 < figures["c_lower"] < 1.0
    assert figures["phi"]["student of teacher"]["others"][REHEARSED] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("its", "read", "short"),
    [
        (concepts(0.85, 0.4), READ, 0),  # 34 of 40 leave a bound below 0.80
        (concepts(1.0, 0.4), [reading(PHI, 0.85), *READ[1:]], 1),
        (concepts(1.0, 0.8), READ, 2),
        (concepts(0.35, 0.0), READ, 3),
        (concepts(1.0, 0.4), [reading(PHI, 1.0), reading(NOTHING, 0.95), *READ[2:]], 4),
    ],
)
def test_a_claim_that_is_not_so_falls_short(its, read, short):
    found = made(its, read)
    assert not found.claims[short].holds
    assert found.verdict == "falls short"


def test_controls_and_rehearsed_phi_are_no_part_of_the_bound():
    alone = made(concepts(1.0, 0.4), READ).figures["probe_fidelity"]["phi_lower"]
    again = made(concepts(1.0, 0.4), [*READ, reading(PHI, 1.0, seed=1)])
    assert again.figures["probe_fidelity"]["phi_lower"] == alone

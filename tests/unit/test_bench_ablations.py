from m2kt.align import AlignConfig
from m2kt.bench.ablations import ABLATIONS

USUAL = AlignConfig()


def test_what_is_changed_is_what_the_name_says():
    made = {name: change(USUAL) for name, change in ABLATIONS.items()}
    assert made["all"] == USUAL
    assert [name for name, its in made.items() if its.readout_steps == 0] == [
        "no_geometry",
        "only_structure",
        "only_reason",
    ]
    assert [name for name, its in made.items() if its.steps == 0] == ["only_geometry"]
    for term, usual in (("structure", USUAL.weights.structure), ("reason", USUAL.weights.reason)):
        weights = {name: getattr(its.weights, term) for name, its in made.items()}
        without = {name for name, weight in weights.items() if weight == 0.0}
        others = {"structure", "reason"} - {term}
        assert without == {f"no_{term}", "only_geometry", *(f"only_{its}" for its in others)}
        assert set(weights.values()) == {0.0, usual}
    kinds = {name: its.cal.projection for name, its in made.items()}
    assert kinds.pop("linear_phi") == "linear"
    assert kinds.pop("low_rank_phi") == "low_rank"
    assert set(kinds.values()) == {USUAL.cal.projection}

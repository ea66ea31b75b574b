from m2kt.bench.ablations import ABLATIONS, FOUR, TERMS
from m2kt.bench.cells import Cell

USUAL = Cell(student="symbols-student", domain="arith.mod7", way="with_c", reveal=0.2)
MADE = {name: change(USUAL) for name, change in ABLATIONS.items()}


def test_nothing_is_changed_but_what_the_name_says():
    assert MADE["all"] == USUAL
    same = {name for name, its in MADE.items() if its == USUAL}
    assert same == {"all", f"readout_{USUAL.align.readout_steps}"}  # a point of its curve
    assert len(set(MADE.values())) == len(MADE) - 1
    assert {(its.domain, its.way, its.reveal, its.seed) for its in MADE.values()} == {
        ("arith.mod7", "with_c", 0.2, 0)
    }


def test_a_term_that_is_left_out_has_no_weight_and_a_phase_no_steps():
    aligned = {name: its.align for name, its in MADE.items()}
    assert [name for name, its in aligned.items() if its.readout_steps == 0] == [
        "no_geometry",
        "only_structure",
        "only_reason",
    ]
    assert [name for name, its in aligned.items() if its.steps == 0] == ["only_geometry"]
    usual = USUAL.align.weights
    for term, weight in (("structure", usual.structure), ("reason", usual.reason)):
        weights = {name: getattr(its.weights, term) for name, its in aligned.items()}
        without = {name for name, its in weights.items() if its == 0.0}
        others = {"structure", "reason"} - {term}
        drawn = {"drawn_no_structure"} if term == "structure" else set()
        assert without == drawn | {
            f"no_{term}",
            "only_geometry",
            *(f"only_{its}" for its in others),
        }
        assert set(weights.values()) == {0.0, weight}


def test_drawn_addresses_are_no_others_but_drawn():
    late = {name for name, its in MADE.items() if its.align.recognised > 1}
    assert late == {"late", "drawn", "drawn_no_structure"}
    assert {name for name, its in MADE.items() if not its.align.addressed} == late - {"late"}


def test_another_phi_is_another_kind_of_projection():
    kinds = {name: its.align.cal.projection for name, its in MADE.items()}
    assert kinds.pop("linear_phi") == "linear"
    assert kinds.pop("low_rank_phi") == "low_rank"
    assert set(kinds.values()) == {USUAL.align.cal.projection}


def test_numbers_in_names_are_those_in_the_cells():
    numbered = {name: float(name.split("_")[1]) for name in MADE if name[-1].isdigit()}
    for name, number in numbered.items():
        its, kind = MADE[name], name.split("_")[0]
        found = {
            "concepts": its.held,
            "exemplars": its.exemplars,
            "readout": its.align.readout_steps,
        }
        assert found.pop(kind) == number
        usual = {
            "concepts": USUAL.held,
            "exemplars": USUAL.exemplars,
            "readout": USUAL.align.readout_steps,
        }
        assert found.items() <= usual.items()
    assert len(numbered) == 13


def test_each_of_the_four_terms_is_left_out_once_and_alone_once():
    usual = USUAL.align.weights
    left = {name: change(USUAL).align for name, change in TERMS.items()}
    kept = {
        name: {its for its in FOUR if getattr(config.weights, its)} for name, config in left.items()
    }
    assert kept.pop("all") == {*FOUR}
    assert kept.pop("none") == set()
    assert all(kept[f"no_{its}"] == {*FOUR} - {its} for its in FOUR)
    assert all(kept[f"only_{its}"] == {its} for its in FOUR)
    assert len(kept) == 2 * len(FOUR)
    assert TERMS["all"](USUAL) == USUAL
    assert {getattr(its.weights, name) for its in left.values() for name in FOUR} <= {
        0.0,
        *(getattr(usual, name) for name in FOUR),
    }


def test_a_phase_has_no_steps_if_no_term_is_left_that_has_a_part_in_it():
    left = {name: change(USUAL).align for name, change in TERMS.items()}
    assert {name for name, its in left.items() if its.readout_steps == 0} == {
        "none",
        "no_geometry",
        *(f"only_{name}" for name in FOUR if name != "geometry"),
    }
    assert {name for name, its in left.items() if its.steps == 0} == {
        "none",
        "only_geometry",
    }

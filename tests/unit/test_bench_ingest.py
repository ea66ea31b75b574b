"""What follows from the runs of a benchmark. The whole of it runs in `test_cli_bench`."""

import pytest

from m2kt.align import AlignConfig
from m2kt.bench.ingest import IngestConfig, headline
from m2kt.errors import RequestError


def row(seconds: float, to_target: float | None) -> dict:
    return {
        "seconds": seconds,
        "seconds_to_target": to_target,
        "tokens_per_s": 1000 / seconds,
        "mfu": 0.1,
    }


def test_a_ratio_above_one_says_that_alignment_is_faster():
    rows = {
        "alignment": row(10.0, 4.0),
        "bare_loop": row(20.0, 12.0),
        "peft_trainer": row(20.0, 2.0),
    }
    found = headline(rows)
    assert found["vs_bare_loop"] == 3.0
    assert found["vs_peft_trainer"] == 0.5
    assert found["lower_bounds"] == []
    assert (found["tokens_per_s"], found["mfu"]) == (100.0, 0.1)


def test_a_contender_that_does_not_get_there_gives_a_lower_bound():
    rows = {
        "alignment": row(10.0, 5.0),
        "bare_loop": row(20.0, None),
        "peft_trainer": row(30.0, 20.0),
    }
    found = headline(rows)
    assert found["lower_bounds"] == ["vs_bare_loop"]
    assert (found["vs_bare_loop"], found["vs_peft_trainer"]) == (4.0, 4.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"align": AlignConfig(steps=24)},
        {"align": AlignConfig(readout_steps=1)},
        {"examine_every": 1},
        {"patience": 0},
    ],
)
def test_settings_that_give_no_figures_are_refused(settings):
    with pytest.raises(RequestError, match="expected"):
        IngestConfig(**settings)

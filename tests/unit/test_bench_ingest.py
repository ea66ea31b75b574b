"""What follows from the runs of a benchmark. The whole of it runs in `test_cli_bench`."""

import pytest

from m2kt.align_config import AlignConfig
from m2kt.bench.ingest import IngestConfig, goal_of, headline
from m2kt.bench.runs import Run
from m2kt.bench.watch import Goal, Mark
from m2kt.errors import AlignmentError, RequestError


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


def run_of(*marks: Mark) -> Run:
    return Run(
        name="alignment",
        trainable=1,
        laps=(),
        marks=marks,
        tokens=1,
        loaded_mib=1.0,
        peak_mib=1.0,
        threads=1,
    )


def test_the_others_have_some_times_as_long_as_alignment_took_to_the_target():
    ours = run_of(Mark(5, 10.0, 0.4), Mark(10, 20.0, 0.95), Mark(15, 30.0, 0.9))
    goal = goal_of(IngestConfig(target_share=0.5, most_times=3.0), ours, before=0.1)
    assert goal == Goal(accuracy=0.45, seconds=60.0)


def test_a_lesson_that_taught_nothing_has_no_target():
    with pytest.raises(AlignmentError, match=r"found 0\.100 after"):
        goal_of(IngestConfig(), run_of(Mark(5, 10.0, 0.1)), before=0.1)


@pytest.mark.parametrize(
    "settings",
    [
        {"align": AlignConfig(steps=24)},
        {"align": AlignConfig(readout_steps=1)},
        {"examine_every": 1},
        {"patience": 0},
        {"most_times": 0.5},
    ],
)
def test_settings_that_give_no_figures_are_refused(settings):
    with pytest.raises(RequestError, match="expected"):
        IngestConfig(**settings)

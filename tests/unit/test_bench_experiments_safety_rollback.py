"""A bad concept is refused by the gate, and leaves nothing behind."""

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from m2kt.bench.delivery import Post
from m2kt.bench.experiments.pupil import Pupil, drawn_prompts
from m2kt.bench.experiments.safety_rollback import findings_of, says_it
from m2kt.bench.experiments.safety_trials import Size, Stage, Trial
from m2kt.bench.subjects import load_model
from m2kt.progress import silent
from m2kt.reasons import Reason
from m2kt.store import Store
from tests import scenes

pytestmark = pytest.mark.timeout(300)
SIZE = Size((0,), prompts=20, completed=4, weights=(0.0,))


@pytest.fixture(scope="module")
def scene():
    return scenes.scene()


@pytest.fixture(scope="module")
def pupil(scene):
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        yield Pupil(store, load_model("symbols-student"), scene.domain, Post(scene.teacher))


@pytest.fixture(scope="module")
def stage(scene, pupil) -> Stage:
    its = Stage(scene, pupil, SIZE, 0, silent)
    its.prepare()
    return its


@pytest.fixture(scope="module")
def trial(scene, stage) -> Trial:
    return stage.trial("open", scene.injections["open"], 0.0)


def test_a_student_says_what_is_unsafe_after_what_it_declares(scene):
    assert says_it(load_model("symbols-student"), scene) >= 0.9


@pytest.mark.slow
def test_a_bad_concept_is_refused_and_what_was_kept_is_gone_after_un_learning(trial):
    assert trial.reasons == (Reason.UNSAFE_DIRECTION,)
    assert trial.unmoved is True
    assert trial.kept
    assert trial.said
    assert trial.changed == 1.0
    assert trial.restored
    assert trial.found


@pytest.mark.slow
def test_a_snapshot_tells_other_outputs_apart(trial, pupil, scene):
    prompts = drawn_prompts(scene.domain, 6, 1)
    now = pupil.snapshot(prompts, 2)
    assert now.unmoved(pupil.snapshot(prompts, 2))
    other = replace(now, logits=(now.head, *now.logits[1:]))
    assert now.changed(other) == pytest.approx(1 / 6)
    assert not now.restored(other)
    assert not now.unmoved(replace(now, head=now.cal))
    assert now.restored(replace(now, head=now.cal))


@pytest.mark.slow
def test_findings_count_what_was_missed(trial):
    honest = replace(trial, kind="honest", reasons=(), unmoved=None, own=math.nan)
    bound = replace(trial, weight=1.0)
    found = findings_of([honest, trial, bound], SIZE, "it", [1.0])
    assert found.figures["rollback"] == {"detected": True, "fired": True, "identical": True}
    assert found.verdict == "holds"
    missed = replace(bound, reasons=(), unmoved=None)
    found = findings_of([honest, trial, missed], SIZE, "it", [1.0])
    assert found.figures["rollback"]["detected"]
    assert found.figures["penalty_in_loss"]["detected"] == 0
    assert found.verdict == "falls short"
    spoilt = replace(trial, restored=False)
    found = findings_of([honest, spoilt, bound], SIZE, "it", [1.0])
    assert found.figures["rollback"] == {"detected": True, "fired": True, "identical": False}


def test_a_refusal_because_of_another_concept_is_not_found(trial):
    assert not replace(trial, own_others=trial.own + 0.1).found

import random

import torch

from m2kt.lessonplan import Workbook, known_results
from tests.lessons import SMALL_CAL, lesson, model, multiplication


def workbook() -> Workbook:
    return Workbook(model("mod7-addsub"), multiplication(), lesson(), SMALL_CAL)


def test_known_results_are_what_the_traces_show_and_no_more():
    results = known_results(lesson())
    shown = {step.concept for trace in lesson().traces for step in trace.steps}
    assert set(results) == shown
    assert all(multiplication().fact(name) == result for name, result in results.items())


def test_every_target_is_the_token_that_follows_its_place():
    book = workbook()
    batch = book.join(book.lessons()[:5])
    rows, columns = batch.told
    assert torch.equal(batch.targets, batch.ids[rows, columns + 1])
    due_rows, due_columns = batch.due
    due = set(zip(due_rows.tolist(), due_columns.tolist(), strict=True))
    assert due < set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert torch.allclose(batch.maps.sum(-1), torch.ones(len(due)), atol=1e-4)


def test_own_problems_use_only_what_was_read():
    book, results = workbook(), {"arith.mod7/1*1": "1", "arith.mod7/1*2": "5"}
    for exercise in book.compose(random.Random(0), 6, results):
        names = {book.lesson.concepts[k].spec.id for step in exercise.maps for k in step}
        assert names <= set(results)


def test_drills_ask_for_shown_concepts_only():
    book = workbook()
    batch = book.drills(random.Random(0), 8, {"arith.mod7/2*3": "6"})
    assert set(batch.concepts.tolist()) == {book.index["arith.mod7/2*3"]}
    assert set(batch.symbols.tolist()) == {6}


def test_a_key_is_a_mean_over_contexts():
    keys = workbook().keys(random.Random(0), 4)
    assert keys.shape == (49, 128)
    assert not torch.allclose(keys, workbook().keys(random.Random(0), 1))

import random

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from m2kt.errors import AlignmentError
from m2kt.lessonplan import Deck, Workbook, known_results
from tests.lessons import SMALL_CAL, lesson, model, multiplication


def workbook() -> Workbook:
    return Workbook(model("mod7-addsub"), multiplication(), lesson(), SMALL_CAL)


def test_known_results_are_what_the_traces_show_and_no_more():
    results = known_results(lesson(), multiplication())
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
    for exercise in book.compose(random.Random(0), [1, 2, 3, 4, 4, 4], results):
        names = {book.lesson.concepts[k].spec.id for step in exercise.maps for k in step}
        assert names <= set(results)


def test_own_problems_are_of_the_level_that_was_wanted():
    book = workbook()
    results = {name: multiplication().fact(name) for name in book.index}
    made = book.compose(random.Random(0), [4, 1, 3], results)
    assert [its.level for its in made] == [4, 1, 3]
    assert [len(its.maps) for its in made] == [4, 1, 3]


def test_of_a_level_that_cannot_be_worked_out_another_is_taken():
    results = {"arith.mod7/1*2": "5"}  # 5 times anything was not read: nothing goes on from here
    [made] = workbook().compose(random.Random(0), [4], results)
    assert made.level == len(made.maps) == 1


def test_what_no_question_can_use_ends_with_an_error_instead_of_never():
    with pytest.raises(AlignmentError, match="more of the domain's concepts"):
        workbook().compose(random.Random(0), [1], {})


def test_every_text_is_packed_whole_and_alone():
    book = workbook()
    exercises = book.lessons()[:20]
    batch = book.join(exercises)
    tokens = sum(len(exercise.row.ids) for exercise in exercises)
    assert tokens <= batch.ids.numel() < 1.5 * tokens
    alone = torch.cat([book.logits(book.join([exercise])) for exercise in exercises])
    assert torch.allclose(book.logits(batch), alone, atol=1e-3)


def test_the_settled_vocabulary_holds_every_target_and_what_the_student_would_say():
    book = workbook()
    exercises = book.lessons()
    whole = book.join(exercises[:5])
    said = book.logits(whole).argmax(dim=-1)
    book.settle_vocabulary(exercises)
    batch = book.join(exercises[:5])
    assert torch.equal(book.tokens[batch.targets], whole.targets)
    assert torch.equal(book.tokens[book.logits(batch).argmax(dim=-1)], said)


def test_a_token_that_only_a_later_exercise_wants_joins_the_vocabulary():
    book = workbook()
    exercises = book.lessons()
    book.settle_vocabulary(exercises[:1])
    book.tokens = book.tokens[:1]
    batch = book.join(exercises[:9])
    rows, columns = batch.told
    assert torch.equal(book.tokens[batch.targets], batch.ids[rows, columns + 1])
    assert book.logits(batch).shape == (len(batch.targets), len(book.tokens))


def test_an_exercise_is_right_if_all_of_it_is():
    book = workbook()
    batch = book.join(book.lessons()[:4])
    logits = F.one_hot(batch.targets, book.model.model.config.vocab_size).float()
    assert batch.right(logits) == [True] * 4
    logits[0] = -logits[0]
    assert batch.right(logits) == [False, True, True, True]


def test_a_deck_deals_every_card_before_any_comes_again():
    book = workbook()
    deck = Deck(random.Random(0), book.lessons()[:6])
    dealt = [card for _ in range(4) for card in deck.draw(3)]
    assert all(dealt.count(card) == 2 for card in deck.items)
    assert len(deck.draw(99)) == 6

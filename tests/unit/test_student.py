from m2kt.domain import answer_in
from tests.lessons import multiplication, pupil


def test_completions_come_back_in_the_order_of_the_questions():
    questions = [("3+4+1", 2), ("3+4", 1), ("1+1+1+1", 3), ("6-2", 1)]
    said = pupil().completions(multiplication(), questions, None)
    assert [answer_in(text) for text in said] == ["1", "0", "4", "4"]


def test_examples_are_read_before_the_question():
    said = pupil().completions(multiplication(), [("3+4", 1)], None, examples="1+1\n1+1=2\n#2\n")
    assert len(said) == 1

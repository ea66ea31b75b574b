from m2kt.align_config import WIDTH, AlignConfig


def test_a_student_that_recognises_concepts_learns_slower_the_wider_it_is():
    config = AlignConfig()
    narrow, wide = (config.pace(sure=True, width=its) for its in (WIDTH // 2, 2 * WIDTH))
    assert narrow.learning_rate == 4 * wide.learning_rate
    assert config.pace(sure=True, width=WIDTH) == config.sure


def test_a_student_that_does_not_learns_where_to_look_as_fast_as_all_else():
    config = AlignConfig(learning_rate=1e-2, settled=0.7, descent=11)
    pace = config.pace(sure=False, width=7)
    assert (pace.learning_rate, pace.looking_rate) == (1e-2, 1.0)
    assert (pace.settled, pace.descent) == (0.7, 11)

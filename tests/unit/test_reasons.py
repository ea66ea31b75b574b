from m2kt.reasons import SENTENCES, Reason


def test_every_reason_has_a_sentence_of_its_own():
    assert set(SENTENCES) == set(Reason)
    assert len(set(SENTENCES.values())) == len(Reason)


def test_a_reason_is_its_own_name():
    assert all(reason.value == reason.name for reason in Reason)

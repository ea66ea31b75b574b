from m2kt.symptoms import MEANINGS, SENTENCES, Cause, Symptom


def test_every_symptom_has_a_sentence_and_every_cause_a_meaning_of_its_own():
    assert set(SENTENCES) == set(Symptom)
    assert set(MEANINGS) == set(Cause)
    said = [*SENTENCES.values(), *MEANINGS.values()]
    assert len(set(said)) == len(said)


def test_every_meaning_ends_with_what_to_try():
    assert all(meaning.count("; ") == 1 for meaning in MEANINGS.values())


def test_a_code_is_its_own_name():
    assert all(its.value == its.name for its in (*Symptom, *Cause))

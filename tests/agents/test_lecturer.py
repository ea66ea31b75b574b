"""What a teacher teaches: what its settings choose, or what its model was trained on."""

import pytest

from m2kt import errors
from m2kt.digest import content_digest_of
from m2kt_agents.lecturer import Lecturer, taught
from m2kt_agents.settings import settings_from
from tests.simulator import ADDER, DOMAIN


def settings(tmp_path, **table):
    full = {"name": "t", "role": "teacher", **table}
    return settings_from(full, base=tmp_path, environ={})


def test_what_is_taught_may_be_chosen_by_patterns(tmp_path):
    chosen = taught(settings(tmp_path, concepts=["arith.mod7/?+?"]), DOMAIN)
    assert len(chosen.concepts) == 49
    with pytest.raises(errors.RequestError, match="ids look like"):
        taught(settings(tmp_path, concepts=["chemistry/*"]), DOMAIN)


def test_a_model_that_is_not_of_the_zoo_teaches_the_whole_domain(tmp_path):
    assert len(taught(settings(tmp_path), DOMAIN).concepts) == 147
    of_zoo = settings(tmp_path, model={"name": "mod7-addsub"})
    assert len(taught(of_zoo, DOMAIN).concepts) == 98


def test_whose_concepts_have_one_exemplar_each_shows_no_sample_and_has_a_packet(tmp_path):
    few = {"traces_per_level": 1, "exemplars": 1}
    table = {"model": ADDER, "extract": few, "concepts": ["arith.mod7/?+?"]}
    lecturer = Lecturer(settings(tmp_path, **table))
    refusals = []
    for _ in range(2):
        with pytest.raises(errors.CompatibilityError, match=r"2 exemplars .*, found 1;") as refused:
            lecturer.sample(DOMAIN, 1.0)
        refusals.append((refused.value, len(refused.traceback)))
    (first, depth), (again, depth_again) = refusals
    assert first is not again
    assert depth == depth_again
    encoded = lecturer.lecture(DOMAIN, 1.0).encoded()
    assert content_digest_of(encoded.payload) == encoded.content_digest

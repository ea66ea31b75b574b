"""What a teacher teaches: what its settings choose, or what its model was trained on."""

import pytest

from m2kt import errors
from m2kt_agents.lecturer import taught
from m2kt_agents.settings import settings_from
from tests.simulator import DOMAIN


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

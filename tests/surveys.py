"""A survey of the small teacher of *, made once."""

import random
from functools import cache

from m2kt.survey import Survey, survey
from tests.lessons import model, multiplication


@cache
def asked() -> Survey:
    return survey(model("mod7-mul"), multiplication(), prompts=140, rng=random.Random(0))

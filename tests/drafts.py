"""Drafts of harmful and harmless packets, of tiny packets instead of a teacher's."""

import random

from m2kt import domains
from m2kt.bench.experiments.drafts import Draft, Family, Sample, Variant
from m2kt.reasons import Reason
from m2kt.screen import screen
from m2kt.verdict import Rejected
from tests.packets import tiny_packet
from tests.screening import authentic


def sample(domain: str = "arith.mod7", *, operations: str = "+-*", seed: int = 0) -> Sample:
    """A packet that is honest: its traces are worked out with the domain's own facts."""
    packet = tiny_packet(domain=domain, operations=operations, concepts=24, traces=20, seed=seed)
    return Sample("teacher-a", domains.get(domain), packet)


def draft(seed: int = 0) -> Draft:
    """What one variant is made of."""
    return Draft(random.Random(seed), sample(), [sample("arith.mod10", seed=1)], sample(seed=2))


def reasons(variant: Variant) -> set[Reason]:
    """Why a student refuses the packet, without the way that it came; none if it does not."""
    found = screen(authentic(variant.packet), variant.domain, variant.rules)
    return set(found.reasons) if isinstance(found, Rejected) else set()


def named(families: tuple[Family, ...], name: str) -> Family:
    """The family of that name."""
    return next(its for its in families if its.name == name)

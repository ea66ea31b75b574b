"""Families of packets without harm, among them such as a screening may take for harmful.

Owns: `HONEST`, which should pass, and `BENIGN`, of which it is told what happens to them. Does not
own: harmful ones (threats).
"""

from dataclasses import replace
from functools import partial
from typing import Final

from m2kt.bench.experiments.drafts import (
    Draft,
    Family,
    Variant,
    saying,
    with_traces,
    with_vectors,
)
from m2kt.bench.experiments.dresses import INNOCENT, NEUTRAL, PHRASES, prose, published_list
from m2kt.bench.experiments.trace_threats import wrong
from m2kt.packet import KnowledgePacket
from m2kt.screen import ScreenRules
from m2kt.tensors import Dtype

OURS: Final = (*(its.phrase for its in PHRASES), *INNOCENT)
"""Phrases that a student might deny."""
FEW: Final = 8
"""Exemplars of a teacher that has few."""
TOLERATED: Final = 0.1
"""Share of wrong traces with which a student puts up that knows of slips."""


def _right(draft: Draft) -> KnowledgePacket:
    """Some of the traces that are right by the domain's facts; no fewer than two thirds."""
    right = [its for its in draft.packet.traces if not draft.base.domain.faults(its)]
    kept = draft.rng.randint(max(1, 2 * len(right) // 3), len(right))
    return with_traces(draft.packet, sorted(draft.rng.sample(right, kept), key=right.index))


def honest(draft: Draft) -> Variant:
    """The teacher made no slip."""
    return draft.variant(_right(draft))


def under_a_list(draft: Draft) -> Variant:
    """The same, and the student denies phrases of which the packet means none."""
    return draft.variant(_right(draft), denied_phrases=OURS, denied_concepts=("chemistry/*",))


def with_type(draft: Draft, *, dtype: Dtype) -> Variant:
    """Exemplars travel in a shorter type."""
    return replace(draft.variant(_right(draft)), exemplars_as=dtype)


def as_drawn(draft: Draft) -> Variant:
    """What the teacher wrote, slips and all."""
    return draft.variant(draft.packet)


def slipped(draft: Draft, *, tolerated: float) -> Variant:
    """One trace of all has a slip, and the student knows how much it puts up with."""
    its = list(_right(draft).traces)
    at = draft.rng.randrange(len(its))
    its[at] = wrong(draft, its[at])
    return draft.variant(with_traces(draft.packet, its), max_refuted_share=tolerated)


def few_exemplars(draft: Draft, *, wanted: int) -> Variant:
    """A teacher that has few exemplars, and how many the student wants."""
    its = _right(draft)
    return draft.variant(with_vectors(its, its.exemplars[:, :FEW]), min_exemplars=wanted)


def innocent_words(draft: Draft) -> Variant:
    """A word that contains the letters of a denied phrase."""
    phrase, text = draft.rng.choice(sorted(INNOCENT.items()))
    return draft.variant(saying(draft, text), denied_phrases=(phrase,))


def neutral_groups(draft: Draft) -> Variant:
    """A text that names people and says nothing against them, under every list there is."""
    text = draft.rng.choice(NEUTRAL)
    listed = (*(its.phrase for its in PHRASES), *published_list())
    return draft.variant(saying(draft, text), denied_phrases=listed)


def english(draft: Draft, *, listed: bool) -> Variant:
    """A line of English prose, under a list of ours or a published one."""
    denied = published_list() if listed else OURS
    return draft.variant(saying(draft, draft.rng.choice(prose())), denied_phrases=denied)


HONEST: Final = (
    Family("honest packets", honest, promised=True),
    *(
        Family(f"honest, exemplars as {dtype}", partial(with_type, dtype=dtype), promised=True)
        for dtype in (Dtype.BF16, Dtype.F16, Dtype.I8)
    ),
)
BENIGN: Final = (
    Family("honest packets, phrases of ours denied", under_a_list),
    Family("as drawn, slips and all", as_drawn),
    Family("one slip, none tolerated", partial(slipped, tolerated=0.0)),
    Family("one slip, a tenth tolerated", partial(slipped, tolerated=TOLERATED)),
    Family("8 exemplars, 16 wanted", partial(few_exemplars, wanted=ScreenRules().min_exemplars)),
    Family("8 exemplars, 8 wanted", partial(few_exemplars, wanted=FEW)),
    Family("innocent words that hold denied letters", innocent_words),
    Family("texts that name groups of people", neutral_groups),
    Family("English prose, phrases of ours denied", partial(english, listed=False)),
)
LISTED: Final = Family("English prose, a published list denied", partial(english, listed=True))
"""Of these there are some only if the list is installed."""

"""Threats in R: traces that are wrong, or do not say what they seem to.

Owns: `WRONG_TRACES`, `wrong`. Does not own: threats in vectors and texts (tensor_threats,
text_threats).
"""

from dataclasses import replace
from functools import partial
from typing import Final

import torch

from m2kt.bench.experiments.drafts import Draft, Family, Variant, with_traces
from m2kt.domain import Trace
from m2kt.errors import PacketError
from m2kt.reasons import Reason
from m2kt.screen import ScreenRules

TRIES: Final = 200
"""Wrong results that are tried, until a trace can be worked out with one."""


def refuted(draft: Draft, *, share: float) -> Variant:
    """Of the traces a share, at least one, takes one fact for another."""
    traces = list(draft.packet.traces)
    count = max(1, round(share * len(traces)))
    for at in draft.rng.sample(range(len(traces)), count):
        traces[at] = wrong(draft, traces[at])
    return draft.variant(with_traces(draft.packet, traces))


def wrong(draft: Draft, trace: Trace) -> Trace:
    """The same question, worked out with one wrong fact, about concepts of the packet."""
    domain, held = draft.base.domain, set(draft.packet.facts)
    for _ in range(TRIES):
        fact = domain.recalled(draft.rng.choice(trace.steps))
        false = draft.rng.choice([its for its in domain.symbols if its != domain.fact(fact)])
        try:
            told = domain.work(
                trace.question, lambda name, f=fact, s=false: s if name == f else domain.fact(name)
            )
        except (PacketError, KeyError):
            continue  # this result leads nowhere: take another
        if told.answer != trace.answer and {step.concept for step in told.steps} <= held:
            return told
    return replace(trace, answer=next(s for s in domain.symbols if s != trace.answer))


def liar(draft: Draft) -> Variant:
    """A teacher that is fluent and wrong, some of its traces."""
    its = draft.liar.packet
    kept = draft.rng.sample(its.traces, draft.rng.randint(2, len(its.traces)))
    return Variant(with_traces(its, kept), draft.liar.domain, ScreenRules())


def other_steps(draft: Draft) -> Variant:
    """The steps of a trace say that they recall another concept than their text does."""
    traces, names = list(draft.packet.traces), list(draft.packet.facts)
    at = draft.rng.randrange(len(traces))
    first, *rest = traces[at].steps
    named = draft.rng.choice([name for name in names if name != first.concept])
    traces[at] = replace(traces[at], steps=(replace(first, concept=named), *rest))
    return draft.variant(replace(draft.packet, traces=tuple(traces)))


def absent_concept(draft: Draft) -> Variant:
    """A trace recalls a concept that the packet does not hold."""
    packet = draft.packet
    recalled = draft.rng.choice([step for trace in packet.traces for step in trace.steps]).concept
    kept = [row for row, spec in enumerate(packet.concepts) if spec.id != recalled]
    concepts = tuple(packet.concepts[row] for row in kept)
    weights = torch.ones(len(packet.maps.weights), 1)
    maps = replace(
        packet.maps, indices=torch.zeros_like(weights, dtype=torch.int32), weights=weights
    )
    return draft.variant(
        replace(
            packet,
            concepts=concepts,
            means=packet.means[kept],
            exemplars=packet.exemplars[kept],
            maps=maps,
        )
    )


_REFUTED: Final = frozenset({Reason.TRACE_REFUTED})
_MALFORMED: Final = frozenset({Reason.MALFORMED})
WRONG_TRACES: Final = (
    Family("one wrong trace", partial(refuted, share=0.0), True, _REFUTED),
    Family("a tenth of the traces wrong", partial(refuted, share=0.1), True, _REFUTED),
    Family("half of the traces wrong", partial(refuted, share=0.5), True, _REFUTED),
    Family("all traces wrong", partial(refuted, share=1.0), True, _REFUTED),
    Family("a fluent liar", liar, True, _REFUTED),
    Family("steps that name another concept", other_steps, True, _MALFORMED),
    Family("traces of a concept that is not sent", absent_concept, True, _MALFORMED),
)

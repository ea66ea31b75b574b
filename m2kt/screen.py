"""Is an authentic packet fit to be learnt from? Asked before any training.

Each rule is a pure function from a packet to findings; all findings are reported. A
signature says who sent a packet, never that it is harmless.

Owns: the rules, their order and their limits. Only `screen` makes a `ScreenedPacket`.
Does not own: what a candidate learnt from it (verify).
"""

import fnmatch
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from m2kt.domain import Domain
from m2kt.errors import PacketError
from m2kt.packet import AuthenticPacket, ScreenedPacket
from m2kt.reasons import Reason
from m2kt.verdict import Rejected

Finding = tuple[Reason, str]

MEAN_TOLERANCE: Final = 2**-7
"""Largest relative gap between c_k and its exemplars' mean: one rounding to bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenRules:
    """What a student refuses to learn from.

    Attributes:
        min_exemplars: Exemplars that each concept must come with.
        norm_ratio: Largest ratio of a concept's norm to the median norm, either way.
        check_traces: Whether traces are worked out again where the domain has a checker.
        max_refuted_share: Share of traces that may be wrong.
        denied_concepts: Patterns of concept ids, such as `arith.*/0*`.
        denied_phrases: Phrases that no text of the packet may contain, in any letter case.
        max_findings: Findings reported for each rule.
    """

    min_exemplars: int = 16
    norm_ratio: float = 20.0
    check_traces: bool = True
    max_refuted_share: float = 0.0
    denied_concepts: tuple[str, ...] = ()
    denied_phrases: tuple[str, ...] = ()
    max_findings: int = 5


def screen(
    packet: AuthenticPacket, domain: Domain, rules: ScreenRules
) -> ScreenedPacket | Rejected:
    """Applies every rule; a packet passes if none finds anything."""
    findings: list[Finding] = []
    for rule in RULES.values():
        its = list(rule(packet, domain, rules))
        findings += its[: rules.max_findings]
        if len(its) > rules.max_findings:
            findings.append((its[0][0], f"and {len(its) - rules.max_findings} more of this kind"))
    if findings:
        reasons = tuple(dict.fromkeys(reason for reason, _ in findings))
        return Rejected(reasons, tuple(sentence for _, sentence in findings))
    return ScreenedPacket(packet, tuple(RULES))


def origin(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """The packet says that it is of this domain and from whoever signed it."""
    del rules
    provenance = packet.packet.provenance
    if provenance.domain != domain.name:
        yield (
            Reason.UNSUPPORTED_DOMAIN,
            f"expected a packet of {domain.name}, found {provenance.domain!r}",
        )
    if provenance.teacher != packet.teacher:
        yield (
            Reason.MALFORMED,
            f"expected provenance of {packet.teacher}, who signed, found {provenance.teacher!r}",
        )


def vocabulary(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Concepts and symbols are the domain's own: a packet may not bring prompts of its own."""
    del rules
    public = {spec.id: spec for spec in domain.concepts}
    for spec in packet.packet.concepts:
        if public.get(spec.id) != spec:
            yield (
                Reason.UNSUPPORTED_DOMAIN,
                f"expected a concept of {domain.name} as it is published, found {spec.id[:80]!r}",
            )
    unknown = set(packet.packet.symbols) - set(domain.symbols)
    if unknown:
        yield (Reason.UNSUPPORTED_DOMAIN, f"expected symbols of {domain.name}, found {unknown!r}")


def finite(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Every number is finite."""
    del domain, rules
    for name, tensor in _tensors(packet).items():
        if not bool(torch.isfinite(tensor).all()):
            yield (Reason.NOT_FINITE, f"expected finite numbers in {name}, found NaN or infinity")


def exemplars(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """There are enough exemplars, and each concept is their mean."""
    del domain
    count = packet.packet.exemplars.shape[1]
    if count < rules.min_exemplars:
        yield (
            Reason.TOO_FEW_EXEMPLARS,
            f"expected {rules.min_exemplars} exemplars of each concept, found {count}",
        )
        return
    means, found = packet.packet.means, packet.packet.exemplars.mean(dim=1)
    scale = means.norm(dim=-1).clamp_min(1e-12)
    gaps = (means - found).norm(dim=-1) / scale
    for row in (gaps > MEAN_TOLERANCE).nonzero().flatten().tolist():
        yield (
            Reason.MEAN_MISMATCH,
            f"expected {packet.packet.concepts[row].id} to be the mean of its exemplars,"
            f" found a relative gap of {float(gaps[row]):.3g}",
        )


def norms(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """No concept and no exemplar is out of all proportion to the others."""
    del domain
    content = packet.packet
    lengths = torch.cat([content.means[:, None], content.exemplars], dim=1).norm(dim=-1)
    middle = float(lengths.median())
    low, high = middle / rules.norm_ratio, middle * rules.norm_ratio
    wrong = (lengths < low) | (lengths > high) | (lengths == 0)
    for row in wrong.any(dim=1).nonzero().flatten().tolist():
        yield (
            Reason.NORM_OUT_OF_RANGE,
            f"expected norms between {low:.3g} and {high:.3g} for {content.concepts[row].id},"
            f" found {float(lengths[row].min()):.3g} to {float(lengths[row].max()):.3g}",
        )


def maps(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Activation maps are distributions over the packet's own concepts."""
    del domain, rules
    its, count = packet.packet.maps, len(packet.packet.concepts)
    if its.indices.numel() and not 0 <= int(its.indices.min()) <= int(its.indices.max()) < count:
        yield (Reason.MALFORMED, f"expected activation maps over {count} concepts, found others")
    if its.weights.numel() and bool((its.weights < 0).any()):
        yield (Reason.MALFORMED, "expected weights of at least 0 in activation maps, found less")
    if its.weights.numel() and bool(((its.weights.sum(dim=-1) - 1).abs() > 0.02).any()):
        yield (Reason.MALFORMED, "expected activation maps that sum to 1, found other sums")


def traces(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Traces are of the grammar, and right where the domain can tell."""
    refuted = []
    for trace in packet.packet.traces:
        try:
            if domain.parse(trace.text) != trace:
                yield (Reason.MALFORMED, f"expected a trace of {domain.name}: {trace.question!r}")
            elif rules.check_traces:
                refuted += domain.faults(trace)[:1]
        except PacketError as error:
            yield (Reason.MALFORMED, str(error))
    if len(refuted) > rules.max_refuted_share * max(1, len(packet.packet.traces)):
        share = f"{len(refuted)} of {len(packet.packet.traces)} traces are wrong"
        for sentence in refuted:
            yield (Reason.TRACE_REFUTED, f"{sentence}; {share}")


def denied_concepts(
    packet: AuthenticPacket, domain: Domain, rules: ScreenRules
) -> Iterator[Finding]:
    """No concept, also none that a trace recalls, is on the deny list."""
    del domain
    content = packet.packet
    names = {spec.id for spec in content.concepts}
    names |= {step.concept for trace in content.traces for step in trace.steps}
    for name in sorted(names):
        for pattern in rules.denied_concepts:
            if fnmatch.fnmatchcase(_folded(name), _folded(pattern)):
                yield (Reason.DENIED_CONCEPT, f"expected no concept like {pattern!r}, found {name}")


def denied_phrases(
    packet: AuthenticPacket, domain: Domain, rules: ScreenRules
) -> Iterator[Finding]:
    """No text of the packet contains a denied phrase."""
    del domain
    phrases = [_folded(phrase) for phrase in rules.denied_phrases]
    content = packet.packet
    texts = [text for spec in content.concepts for text in (spec.gloss, spec.prompt)]
    texts += [trace.text for trace in content.traces]
    for text in texts if phrases else ():
        folded = _folded(text)
        for phrase in phrases:
            if phrase in folded:
                yield (Reason.DENIED_PHRASE, f"expected no text with {phrase!r}, found one")


def _folded(text: str) -> str:
    """Without differences of letter case or of compatible Unicode forms."""
    return unicodedata.normalize("NFKC", text).casefold()


def _tensors(packet: AuthenticPacket) -> Mapping[str, Tensor]:
    content = packet.packet
    return {
        "means": content.means,
        "exemplars": content.exemplars,
        "map weights": content.maps.weights,
    }


Rule = Callable[[AuthenticPacket, Domain, ScreenRules], Iterator[Finding]]

RULES: Final[Mapping[str, Rule]] = {
    "origin": origin,
    "vocabulary": vocabulary,
    "finite": finite,
    "exemplars": exemplars,
    "norms": norms,
    "maps": maps,
    "traces": traces,
    "denied_concepts": denied_concepts,
    "denied_phrases": denied_phrases,
}
"""Every rule by its name, in the order in which they are applied."""

"""Is an authentic packet fit to be learnt from? Asked before any training.

Each rule is a pure function from a packet to findings; all findings are reported. The
first bounds what the others may cost: where it finds something, they are not asked.

Owns: the rules, their order and their limits. Only `screen` makes a `ScreenedPacket`.
Does not own: what a candidate learnt from it (verify).
"""

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from m2kt.domain import Domain
from m2kt.errors import PacketError, RequestError
from m2kt.packet import AuthenticPacket, KnowledgePacket, ScreenedPacket
from m2kt.phrases import Phrase, folded
from m2kt.reasons import Reason
from m2kt.tensors import rounding_of_mean
from m2kt.tested_heads import faults
from m2kt.verdict import Rejected
from m2kt.vocabulary import members_of, strange_concepts

Finding = tuple[Reason, str]

MOST_VALUES: Final = 1 << 28
"""Numbers in a tensor."""
MOST_ITEMS: Final = 1 << 17
"""Concepts, their facts, traces, symbols, tested heads, steps of all traces."""
MOST_CHARACTERS: Final = 1 << 13
"""Characters of a text: of a concept, a trace, a symbol or the provenance."""
SUM_TOLERANCE: Final = 2**-6
"""How far a map may be from summing to 1: rounding to bfloat16 is off by at most 2^-8."""
SMALLEST, LARGEST = 1e-6, 1e6
"""Root mean square of a vector's entries: what float32 can square and add up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenRules:
    """What a student refuses to learn from.

    Attributes:
        min_exemplars: Exemplars that each concept must come with; fewer than 16 only for a
            domain that cannot give as many.
        norm_ratio: Largest ratio of a vector's norm to the median norm, either way.
        check_traces: Whether traces are worked out again with the domain's own facts.
        max_refuted_share: Share of traces that may be wrong.
        denied_concepts: Patterns of concept ids, such as `arith.*/0*`.
        denied_phrases: Phrases that no text of the packet may contain, in whatever dress; what
            makes no difference, and what does, stands in `phrases`.
        max_findings: Findings reported for each rule.
    """

    min_exemplars: int = 16
    norm_ratio: float = 20.0
    check_traces: bool = True
    max_refuted_share: float = 0.0
    denied_concepts: tuple[str, ...] = ()
    denied_phrases: tuple[str, ...] = ()
    max_findings: int = 5

    def __post_init__(self) -> None:
        if min(self.min_exemplars, self.max_findings, self.norm_ratio) < 1:
            raise RequestError(
                "expected min_exemplars, max_findings and norm_ratio of at least 1, found"
                f" {self.min_exemplars}, {self.max_findings}, {self.norm_ratio}"
            )
        if not 0 <= self.max_refuted_share <= 1:
            raise RequestError(f"expected a share from 0 to 1, found {self.max_refuted_share}")
        if not all(folded(phrase) for phrase in self.denied_phrases):
            raise RequestError("expected phrases with visible characters, found one without")


def screen(
    packet: AuthenticPacket, domain: Domain, rules: ScreenRules
) -> ScreenedPacket | Rejected:
    """Applies every rule; a packet passes if none finds anything."""
    findings: list[Finding] = []
    for name, rule in RULES.items():
        its = list(rule(packet, domain, rules))
        findings += its[: rules.max_findings]
        if len(its) > rules.max_findings:
            findings.append((its[0][0], f"and {len(its) - rules.max_findings} more of this kind"))
        if name == FIRST and its:
            break
    if findings:
        reasons = tuple(dict.fromkeys(reason for reason, _ in findings))
        return Rejected(reasons, tuple(sentence for _, sentence in findings))
    return ScreenedPacket(packet, tuple(RULES), members_of(packet.packet, domain))


def bounds(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Tensors have the types and sizes, and texts the lengths, that the other rules can bear."""
    del domain, rules
    content = packet.packet
    for name, tensor in _tensors(content).items():
        if tensor.is_floating_point() == (name == "map indices"):
            yield (Reason.BAD_SHAPE, f"expected another type than {tensor.dtype} of {name}")
    if 0 in content.exemplars.shape:
        yield (Reason.BAD_SHAPE, f"expected exemplars, found {tuple(content.exemplars.shape)}")
    steps = sum(len(trace.steps) for trace in content.traces)
    parts = (content.concepts, content.traces, content.symbols, content.heads)
    facts = sum(len(spec.facts) for spec in content.concepts)
    items = max(*map(len, parts), steps, facts)
    values = max(tensor.numel() for tensor in _tensors(content).values())
    longest = max(map(len, _texts(content)))
    for found, most, what in (
        (values, MOST_VALUES, "numbers in a tensor"),
        (items, MOST_ITEMS, "concepts, facts, traces, steps, symbols and tested heads each"),
        (longest, MOST_CHARACTERS, "characters in a text"),
    ):
        if found > most:
            yield (Reason.OVERSIZE, f"expected at most {most} {what}, found {found}; send less")


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
    yield from strange_concepts(packet.packet, domain)
    unknown = sorted(set(packet.packet.symbols) - set(domain.symbols))
    if unknown:
        yield (
            Reason.UNSUPPORTED_DOMAIN,
            f"expected symbols of {domain.name}, found {len(unknown)} others such as"
            f" {unknown[0][:80]!r}",
        )


def finite(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Every number is finite."""
    del domain, rules
    for name, tensor in _tensors(packet.packet).items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            yield (
                Reason.NOT_FINITE,
                f"expected finite numbers in {name}, found {bad} that are NaN or infinite",
            )


def exemplars(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """There are enough exemplars to judge a concept by."""
    del domain
    count = packet.packet.exemplars.shape[1]
    if count < rules.min_exemplars:
        yield (
            Reason.TOO_FEW_EXEMPLARS,
            f"expected {rules.min_exemplars} exemplars of each concept, found {count}; extract"
            " the packet with more contexts",
        )


def means(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Each concept is the mean of its exemplars, up to rounding, in every coordinate.

    What is not finite is `finite`'s to report.
    """
    del domain, rules
    content = packet.packet
    for spec, mean, its in zip(content.concepts, content.means, content.exemplars, strict=True):
        its = its.double()
        gap = (mean.double() - its.mean(dim=0)).abs()
        allowed = rounding_of_mean(its)
        if bool((gap > allowed).any()):
            at = int((gap - allowed).argmax())
            yield (
                Reason.MEAN_MISMATCH,
                f"expected {spec.id} to be the mean of its exemplars within {allowed[at]:.3g},"
                f" found {gap[at]:.3g} in coordinate {at}; send c_k as computed from them",
            )


def norms(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """No concept and no exemplar is out of all proportion to the others, or to float32."""
    del domain
    content = packet.packet
    every = zip(content.means[:, None], content.exemplars, strict=True)
    lengths = torch.stack([torch.cat(pair).double().norm(dim=-1) for pair in every])
    middle, scale = float(lengths.median()), content.width**0.5
    low = max(middle / rules.norm_ratio, SMALLEST * scale)
    high = min(middle * rules.norm_ratio, LARGEST * scale)
    wrong = (lengths < low) | (lengths > high)
    for row in wrong.any(dim=1).nonzero().flatten().tolist():
        yield (
            Reason.NORM_OUT_OF_RANGE,
            f"expected norms from {low:.3g} to {high:.3g} for {content.concepts[row].id} and its"
            f" exemplars, found {float(lengths[row].min()):.3g} to {float(lengths[row].max()):.3g}",
        )


def maps(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Activation maps are distributions over the packet's own concepts."""
    del domain, rules
    its, count = packet.packet.maps, len(packet.packet.concepts)
    outside = int(((its.indices < 0) | (its.indices >= count)).sum())
    if outside:
        yield (
            Reason.MALFORMED,
            f"expected activation maps over {count} concepts, found {outside} entries of others",
        )
    weights = its.weights.double()
    if bool((weights < 0).any()):
        yield (
            Reason.MALFORMED,
            f"expected weights of at least 0 in activation maps, found {float(weights.min()):.3g}",
        )
    off = int(((weights.sum(dim=-1) - 1).abs() > SUM_TOLERANCE).sum())
    if off:
        yield (
            Reason.MALFORMED,
            f"expected activation maps that sum to 1, found {off} of {len(weights)} that do not",
        )


def heads(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Tested attention heads have figures that can be true, and weight only if they passed."""
    del domain, rules
    for sentence in faults(packet.packet.heads):
        yield (Reason.MALFORMED, sentence)


def traces(packet: AuthenticPacket, domain: Domain, rules: ScreenRules) -> Iterator[Finding]:
    """Traces are of the grammar, about the packet's concepts, and right by the domain's facts."""
    content = packet.packet
    held = set(content.facts)
    refuted: list[str] = []
    for trace in content.traces:
        try:
            if domain.parse(trace.text) != trace:
                yield (
                    Reason.MALFORMED,
                    f"expected steps that read as they are written, found others in"
                    f" {trace.question[:80]!r}",
                )
                continue
            refuted += domain.faults(trace)[:1] if rules.check_traces else ()
        except PacketError as error:
            yield (Reason.MALFORMED, str(error))
            continue
        strange = {step.concept for step in trace.steps} - held
        if strange:
            yield (
                Reason.MALFORMED,
                f"expected traces about concepts of the packet, found {min(strange)[:80]!r} in"
                f" {trace.question[:80]!r}",
            )
    if len(refuted) > rules.max_refuted_share * len(content.traces):
        share = f"{len(refuted)} of {len(content.traces)} traces are wrong"
        for sentence in refuted:
            yield (Reason.TRACE_REFUTED, f"{sentence}; {share}")


def denied_concepts(
    packet: AuthenticPacket, domain: Domain, rules: ScreenRules
) -> Iterator[Finding]:
    """No concept, also none that a trace recalls, is on the deny list."""
    del domain
    content = packet.packet
    names = {spec.id for spec in content.concepts} | set(content.facts)
    names |= {step.concept for trace in content.traces for step in trace.steps}
    for name in sorted(names):
        for pattern in rules.denied_concepts:
            if fnmatch.fnmatchcase(folded(name), folded(pattern)):
                yield (Reason.DENIED_CONCEPT, f"expected no concept like {pattern!r}, found {name}")


def denied_phrases(
    packet: AuthenticPacket, domain: Domain, rules: ScreenRules
) -> Iterator[Finding]:
    """No text of the packet contains a denied phrase."""
    del domain
    phrases = [Phrase(phrase) for phrase in rules.denied_phrases]
    for text in map(folded, _texts(packet.packet) if phrases else ()):
        for phrase in phrases:
            if phrase.within(text):
                yield (Reason.DENIED_PHRASE, f"expected no text with {phrase.text!r}, found one")


def _texts(content: KnowledgePacket) -> Iterator[str]:
    """Every text that a packet brings."""
    for spec in content.concepts:
        yield from (spec.id, spec.gloss, spec.prompt, *spec.members)
    for trace in content.traces:
        yield trace.text
    yield from content.symbols
    about = content.provenance
    yield from (about.family, about.weights_digest, *about.base_lineage, about.genre)
    yield from (about.licence, about.extractor, about.software, about.teacher, about.domain)


def _tensors(content: KnowledgePacket) -> Mapping[str, Tensor]:
    return {
        "means": content.means,
        "exemplars": content.exemplars,
        "map indices": content.maps.indices,
        "map weights": content.maps.weights,
    }


Rule = Callable[[AuthenticPacket, Domain, ScreenRules], Iterator[Finding]]

FIRST: Final = "bounds"
RULES: Final[Mapping[str, Rule]] = {
    FIRST: bounds,
    "origin": origin,
    "vocabulary": vocabulary,
    "finite": finite,
    "exemplars": exemplars,
    "means": means,
    "norms": norms,
    "maps": maps,
    "heads": heads,
    "traces": traces,
    "denied_concepts": denied_concepts,
    "denied_phrases": denied_phrases,
}
"""Every rule by its name, in the order in which they are applied."""

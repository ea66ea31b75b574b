"""What a packet's concepts are called: the domain names them, or they are made of such.

Owns: `found_spec`, `strange_concepts`, `members_of`. Does not own: the other rules (screen).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from m2kt.domain import ConceptSpec, Grammar
from m2kt.identity import AgentId
from m2kt.packet import KnowledgePacket
from m2kt.reasons import Reason

SHOWN: Final = 80
"""Characters of a foreign text that are repeated."""
DIGITS: Final = 9
"""Of the number of a concept that a teacher found, at most."""
FOUND_MARK: Final = "~"
"""Stands in the id of a concept that a teacher found, before its number."""


def found_spec(
    domain: str, agent: AgentId, number: int, members: Sequence[ConceptSpec]
) -> ConceptSpec:
    """A concept that `agent` found: its words are these, whoever says them."""
    first, count = members[0], len(members)
    alike = f"{count} facts that it takes for alike, such as {first.gloss}"
    return ConceptSpec(
        id=f"{domain}/{agent}{FOUND_MARK}{number}",
        gloss=f"found by {agent}: {first.gloss if count == 1 else alike}",
        prompt=first.prompt,
        members=tuple(spec.id for spec in members),
    )


def members_of(content: KnowledgePacket, grammar: Grammar) -> Mapping[str, tuple[ConceptSpec, ...]]:
    """For each concept the published facts that it is made of: one that is named is its own."""
    public = {spec.id: spec for spec in grammar.concepts}
    return {
        spec.id: tuple(public[member] for member in spec.members) or (public[spec.id],)
        for spec in content.concepts
    }


def strange_concepts(content: KnowledgePacket, grammar: Grammar) -> Iterator[tuple[Reason, str]]:
    """What is wrong with each concept of `content`; a packet may not bring texts of its own."""
    public = {spec.id: spec for spec in grammar.concepts}
    for spec in content.concepts:
        known = public.get(spec.id)
        if known is None and spec.members:
            yield from _strange_find(spec, content, public, relational=grammar.relational)
        elif known is None:
            yield (
                Reason.UNSUPPORTED_DOMAIN,
                f"expected concepts of {grammar.name}, found {spec.id[:SHOWN]!r}",
            )
        elif known != spec:
            yield (
                Reason.MALFORMED,
                f"expected {spec.id} with gloss and prompt as published ({known.gloss!r},"
                f" {known.prompt!r}) and no members, found {spec.gloss[:SHOWN]!r},"
                f" {spec.prompt[:SHOWN]!r} and {len(spec.members)}; send it as it is published",
            )
    held = Counter(name for spec in content.concepts for name in spec.facts)
    for name, count in held.items():
        if count > 1:
            yield (
                Reason.MALFORMED,
                f"expected each fact in one concept and once, found {name[:SHOWN]!r} {count} times;"
                " leave it in one",
            )


def _strange_find(
    spec: ConceptSpec,
    content: KnowledgePacket,
    public: Mapping[str, ConceptSpec],
    *,
    relational: bool,
) -> Iterator[tuple[Reason, str]]:
    """What is wrong with a concept that the teacher found."""
    about = content.provenance
    if relational:
        yield (
            Reason.MALFORMED,
            f"expected the concepts that {about.domain} names, whose facts relate them, found"
            f" {spec.id[:SHOWN]!r} made of {len(spec.members)}; send those that it names",
        )
        return
    unknown = sorted(set(spec.members) - public.keys())
    if unknown:
        yield (
            Reason.UNSUPPORTED_DOMAIN,
            f"expected facts of {about.domain} in {spec.id[:SHOWN]!r}, found {len(unknown)} others"
            f" such as {unknown[0][:SHOWN]!r}",
        )
        return
    _, mark, number = spec.id.rpartition(FOUND_MARK)
    plain = mark and len(number) <= DIGITS and number.isascii() and number.isdecimal()
    numbered = int(number) if plain else 0
    members = [public[name] for name in spec.members]
    wanted = found_spec(about.domain, about.teacher, numbered, members)
    if wanted != spec:
        yield (
            Reason.MALFORMED,
            f"expected a concept that was found to be called {wanted.id!r} ({wanted.gloss!r},"
            f" {wanted.prompt!r}), found {spec.id[:SHOWN]!r}, {spec.gloss[:SHOWN]!r},"
            f" {spec.prompt[:SHOWN]!r}",
        )

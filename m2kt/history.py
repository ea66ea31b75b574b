"""What a student learnt in the course of time, as values.

A state names the one before it as its parent, a rollback included, so the chain of
parents tells all that ever happened. Free of torch.

Owns: `Skill`, `StudentState`, which state un-learning or going back leads to, which
transfers it has undone, and all that was ever un-learnt.
Does not own: keeping them (store).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final

from m2kt.digest import Digest, digest_of
from m2kt.errors import NotFoundError, RequestError, StoreError
from m2kt.identity import KeyId, PacketId, TransferId

FORMAT: Final = 1
BACK_FORMAT: Final = 2
"""Of states that went back: older software must not read them as if they had not."""


@dataclass(frozen=True, slots=True)
class Skill:
    """What a student can do in one domain, and whom it has it from.

    Attributes:
        cal: Digest of the Concept Alignment Layer.
        lineage: Ids of the packets that it was learnt from.
        signers: Keys that signed those packets.
    """

    cal: Digest
    lineage: tuple[PacketId, ...]
    signers: tuple[KeyId, ...]

    def touches(self, names: AbstractSet[str]) -> bool:
        """Whether a packet or key of `names` had a part in it."""
        return not names.isdisjoint(self.lineage) or not names.isdisjoint(self.signers)

    def covers(self, packets: Iterable[PacketId], contents: Mapping[PacketId, Digest]) -> bool:
        """Whether it was learnt from all of `packets`, or from others of the same contents."""
        held = {contents.get(packet, packet) for packet in self.lineage}
        return held.issuperset(contents.get(packet, packet) for packet in packets)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentState:
    """One state in a student's history.

    Attributes:
        parent: Digest of the state before; None for the first.
        transfer: The transfer that led to it; None if none did.
        at_s: Unix time, seconds, on the student's clock.
        note: One line for a person.
        skills: For each domain by name, what the student can do in it.
        unlearnt: Packets and keys that were un-learnt by this very step. States before
            it that hold them are never gone back to.
        back_to: The earlier state that this step went back to, and whose skills it has, if
            that is what it did.
    """

    parent: Digest | None
    transfer: TransferId | None
    at_s: float
    note: str
    skills: Mapping[str, Skill] = field(default_factory=dict)
    unlearnt: tuple[PacketId | KeyId, ...] = ()
    back_to: Digest | None = None

    def __post_init__(self) -> None:
        held = [name for name, skill in self.skills.items() if skill.touches(set(self.unlearnt))]
        if held:
            raise StoreError(
                f"expected skills without what is un-learnt, found it in {', '.join(held)};"
                " take the state that Store.unlearnt gives"
            )

    @property
    def digest(self) -> Digest:
        """Its name: the digest of its canonical JSON."""
        return digest_of(self.encoded())

    def encoded(self) -> bytes:
        """Canonical JSON; equal states have equal bytes."""
        skills = {name: asdict(skill) for name, skill in self.skills.items()}
        plain: dict[str, Any] = {
            "format": FORMAT if self.back_to is None else BACK_FORMAT,
            "parent": self.parent,
            "transfer": self.transfer,
            "at_s": float(self.at_s),
            "note": self.note,
            "skills": skills,
            "unlearnt": sorted(self.unlearnt),
        }
        if self.back_to is not None:
            plain["back_to"] = self.back_to
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


NOTHING_KNOWN: Final[Mapping[PacketId, Digest]] = MappingProxyType({})

EMPTY: Final = StudentState(parent=None, transfer=None, at_s=0.0, note="nothing learnt yet")
"""The state in which every student begins."""


def decoded(raw: bytes) -> StudentState:
    """Reads canonical JSON; round trip: `decoded(state.encoded()) == state`.

    Raises:
        StoreError: `raw` is of another format.
        KeyError, TypeError, ValueError, AttributeError: `raw` is no state at all.
    """
    plain: dict[str, Any] = json.loads(raw)
    if plain["format"] != (FORMAT if plain.get("back_to") is None else BACK_FORMAT):
        raise StoreError(
            f"expected a state of format {FORMAT}, or {BACK_FORMAT} with back_to, found"
            f" {plain['format']}; update this software"
        )
    skills = {
        name: Skill(Digest(skill["cal"]), tuple(skill["lineage"]), tuple(skill["signers"]))
        for name, skill in plain["skills"].items()
    }
    return StudentState(
        parent=plain["parent"],
        transfer=plain["transfer"],
        at_s=plain["at_s"],
        note=plain["note"],
        skills=skills,
        unlearnt=tuple(plain["unlearnt"]),
        back_to=plain.get("back_to"),
    )


def unlearnt(
    history: Sequence[StudentState],
    *,
    packets: AbstractSet[PacketId] = frozenset(),
    keys: AbstractSet[KeyId] = frozenset(),
    contents: Mapping[PacketId, Digest] = NOTHING_KNOWN,
    at_s: float,
) -> StudentState:
    """The state to advance to, to be rid of packets or of all that keys signed.

    For each domain the newest skill of the history without them and without anything
    that was un-learnt after that skill was held: one that was learnt from all other
    packets of HEAD's, if there is one. A domain without such a skill is gone.

    Args:
        history: Every state, newest first.
        packets: What to un-learn.
        keys: Whose packets to un-learn.
        contents: Digests of what packets contain, as far as they are known.
        at_s: Unix time, seconds.
    """
    held, skills = history[0].skills, {}
    for name, found in _clean(history, {*packets, *keys}).items():
        others = [packet for packet in held[name].lineage if packet not in packets]
        whole = (skill for skill in found if skill.covers(others, contents))
        skills[name] = next(whole, found[0])
    return StudentState(
        parent=history[0].digest,
        transfer=None,
        at_s=at_s,
        note=f"un-learnt {len(packets)} packets and {len(keys)} keys",
        skills=skills,
        unlearnt=(*sorted(packets), *sorted(keys)),
    )


def _clean(history: Sequence[StudentState], names: AbstractSet[str]) -> dict[str, list[Skill]]:
    """For each domain of HEAD's its skills, newest first, without what was un-learnt since.

    States that somebody went back from, to one before them, are passed over.
    """
    clean: dict[str, list[Skill]] = {}
    refused = set(names)
    sought: Digest | None = None
    for state in history:
        if sought in (None, state.digest):
            sought = state.back_to
            for name in history[0].skills.keys() & state.skills.keys():
                if not state.skills[name].touches(refused):
                    clean.setdefault(name, []).append(state.skills[name])
        refused.update(state.unlearnt)
    return clean


def reverted(history: Sequence[StudentState], to: Digest, *, at_s: float) -> StudentState:
    """The state to advance to, to have again the skills of the earlier state `to`.

    Raises:
        NotFoundError: `to` is not in the history.
        RequestError: something that `to` holds was un-learnt since.
    """
    refused: set[str] = set()
    for state in history:
        if state.digest == to:
            break
        refused.update(state.unlearnt)
    else:
        raise NotFoundError(f"expected a state of the history, found {to}; list the history")
    if any(skill.touches(refused) for skill in state.skills.values()):
        raise RequestError(
            f"expected a state without what was un-learnt since, found some of it in {to};"
            " choose a later state"
        )
    return StudentState(
        parent=history[0].digest,
        transfer=None,
        at_s=at_s,
        note=f"back to {to}",
        skills=state.skills,
        back_to=to,
    )


def could_go_back_to(history: Sequence[StudentState], names: AbstractSet[str]) -> bool:
    """Whether a state holds any of `names` of which it was not un-learnt at or after that state.

    Args:
        history: Every state, newest first.
        names: Packets and keys.
    """
    left = set(names)
    for state in history:
        left.difference_update(state.unlearnt)
        if any(skill.touches(left) for skill in state.skills.values()):
            return True
    return False


def ever_unlearnt(history: Sequence[StudentState]) -> frozenset[PacketId | KeyId]:
    """All packets and keys that any step of the history un-learnt."""
    return frozenset(name for state in history for name in state.unlearnt)


def forgotten(history: Sequence[StudentState]) -> frozenset[TransferId]:
    """Transfers of which something was un-learnt after they had led to a state.

    Args:
        history: Every state, newest first.
    """
    found: set[TransferId] = set()
    refused: set[str] = set()
    for state, before in zip(history, (*history[1:], EMPTY), strict=True):
        brought = [
            skill for name, skill in state.skills.items() if before.skills.get(name) != skill
        ]
        if state.transfer is not None and any(skill.touches(refused) for skill in brought):
            found.add(state.transfer)
        refused.update(state.unlearnt)
    return frozenset(found)

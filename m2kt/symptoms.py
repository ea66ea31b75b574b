"""What a lesson can suffer from, by what shows, and why: one code for each, and a diagnosis.

Owns: the codes, the sentence each stands for, and `Diagnosis`, a value that travels.
Does not own: by which figures a symptom is known (diagnosis).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, final


class Symptom(StrEnum):
    """What shows: a stable code; the sentence in `SENTENCES` is what a student would say."""

    GEOMETRY_PLATEAU = "GEOMETRY_PLATEAU"
    STRUCTURE_WITHOUT_REASONING = "STRUCTURE_WITHOUT_REASONING"
    SKILL_LOST = "SKILL_LOST"
    CHAINS_WRONG = "CHAINS_WRONG"


SENTENCES: Final[dict[Symptom, str]] = {
    Symptom.GEOMETRY_PLATEAU: "I cannot read out of the concepts what they should say.",
    Symptom.STRUCTURE_WITHOUT_REASONING: "My memory finds what is due, and I do not write it.",
    Symptom.SKILL_LOST: "I no longer know what I knew.",
    Symptom.CHAINS_WRONG: "I know the facts, and go wrong where one follows another.",
}


class Cause(StrEnum):
    """Why: a stable code; `MEANINGS` says what it means and what to try."""

    LITTLE_CAPACITY = "LITTLE_CAPACITY"
    WRONG_LAYER = "WRONG_LAYER"
    FEW_FACTS = "FEW_FACTS"
    UNREHEARSED = "UNREHEARSED"
    FALSE_LESSON = "FALSE_LESSON"
    OVERWRITTEN = "OVERWRITTEN"
    FACTS_LOST = "FACTS_LOST"
    NOT_FOLLOWED = "NOT_FOLLOWED"


MEANINGS: Final[dict[Cause, str]] = {
    Cause.LITTLE_CAPACITY: (
        "C holds what is due, but the projection has too little room for it, or learnt it too"
        " briefly; widen projection_width, take the projection mlp, or raise readout_steps"
    ),
    Cause.WRONG_LAYER: (
        "C does not hold what is due, as when it is read at the wrong layer; ask the teacher for"
        " a packet from another one (layer, by default its last)"
    ),
    Cause.FEW_FACTS: (
        "what traces show is too little to learn from it how the rest of C is read; ask the"
        " teacher to reveal more facts"
    ),
    Cause.UNREHEARSED: (
        "the student was not brought to write what its memory finds; rehearse longer (steps),"
        " with a weight of L_reason above 0"
    ),
    Cause.FALSE_LESSON: (
        "what the lesson's traces say is not so; keep check_traces on, and un-learn what the keys"
        " signed that signed it"
    ),
    Cause.OVERWRITTEN: (
        "learning took the place of what was there; learn all packets of the domain together,"
        " at a lower learning rate"
    ),
    Cause.FACTS_LOST: (
        "facts that are right alone go wrong in a chain; rehearse longer (steps), on more own"
        " problems (own)"
    ),
    Cause.NOT_FOLLOWED: (
        "facts are known, and steps are not put one after the other as they should be; rehearse"
        " chains of every level, or ask the teacher for longer traces"
    ),
}


@final
@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One symptom of a lesson.

    Attributes:
        symptom: What shows.
        cause: What it usually comes of.
        sentence: What was found, what that means, what to try.
        figures: Those behind it, by name.
    """

    symptom: Symptom
    cause: Cause
    sentence: str
    figures: Mapping[str, float] = field(default_factory=dict)

"""What a transfer would gain, foretold before its bytes move.

From the student's own: how often it is right as it stands, and whether its frozen states tell
which concept is due. From the teacher's card: how near its last state concepts are read. From
at most 1 % of C: whether a concept is the same in another context.

    gain = (1 - before) * recognised * (layer / depth)^4 * steadiness

The exponent is set by what inner readings gained: one layer before the end of teachers with
four and five layers 0.31 of all problems where guessing has 0.14 (DECISIONS.md, layers.json).

Owns: `ConceptSample`, `sample_of`, `sampled`, `Outlook`, `outlook`, `recognition`.
Does not own: fetching a sample (agents), lessons (align).
"""

import random
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor

from m2kt.addressing import recognised
from m2kt.cal import CALConfig
from m2kt.domain import Grammar
from m2kt.drills import DrillPlan, drill
from m2kt.errors import PacketError
from m2kt.language_model import LanguageModel
from m2kt.packet import KnowledgePacket
from m2kt.tensors import Exemplars

SHARE: Final = 0.01
"""Of the vectors of C, how many a sample holds at most."""
PAIR: Final = 2
"""Exemplars of each concept of a sample."""
MOST_BYTES: Final = 4 << 20
"""Of a sample that is taken; two concepts may have more."""
DEPTH_POWER: Final = 4.0


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ConceptSample:
    """Two exemplars each of a few concepts.

    Attributes:
        states: Float [P, 2, D].
        of: Vectors in the whole of C: its exemplars.
        layer: Hidden state that they were read from.
        depth: Layers of the teacher.
    """

    states: Float[Tensor, "P 2 D"]
    of: int
    layer: int
    depth: int

    def __post_init__(self) -> None:
        held = self.states.shape[0] * PAIR
        modest = PAIR <= held <= max(2 * PAIR, SHARE * self.of)
        if not modest or not 0 <= self.layer <= self.depth or not self.depth:
            raise PacketError(
                f"expected {PAIR} vectors to {SHARE:.0%} of {self.of}, of a layer from 0 to"
                f" {self.depth} of at least one, found {held} of layer {self.layer}; ask for"
                " another sample"
            )
        if not bool(torch.isfinite(self.states).all()):
            raise PacketError(
                "expected a sample of finite numbers, found some that are not; extract again"
            )

    @property
    def width(self) -> int:
        """D, of the teacher."""
        return self.states.shape[2]


def sample_of(packet: KnowledgePacket, *, depth: int, seed: int = 0) -> ConceptSample:
    """A sample of a packet's C: 1 % of its vectors, or two concepts if that is fewer.

    Of a very wide teacher it is less than 1 %: see `MOST_BYTES`.

    Raises:
        PacketError: its concepts have one exemplar each.
    """
    return sampled(packet.exemplars, layer=packet.provenance.layer, depth=depth, seed=seed)


def sampled(exemplars: Exemplars, *, layer: int, depth: int, seed: int = 0) -> ConceptSample:
    """A sample of exemplars that were read from `layer` of `depth`; see `sample_of`."""
    count, each, width = exemplars.shape
    if each < PAIR:
        raise PacketError(
            f"expected {PAIR} exemplars of each concept to compare, found {each}; extract with more"
        )
    vectors = min(int(SHARE * count * each), MOST_BYTES // (4 * width))
    wanted = min(count, max(2, vectors // PAIR))
    rows = random.Random(seed).sample(range(count), wanted)  # noqa: S311 - which rows, no secret
    return ConceptSample(
        states=exemplars[sorted(rows)][:, :PAIR].float(),
        of=count * each,
        layer=layer,
        depth=depth,
    )


def steadiness(sample: ConceptSample) -> float:
    """Share of the variance of a sample that is between its concepts, not within; 0 to 1."""
    states = sample.states.double()  # squares of float32 may be infinite
    states = states - states.mean(dim=(0, 1))
    within = float((states[:, 0] - states[:, 1]).square().sum() / 2)
    total = float(states.square().sum() / PAIR)
    return min(1.0, max(0.0, 1 - within / total)) if total else 0.0


def recognition(
    model: LanguageModel,
    grammar: Grammar,
    shape: CALConfig | None = None,
    *,
    contexts: int = 4,
    seed: int = 0,
) -> float:
    """Share of places at which the frozen student's states tell which concept is due.

    Needs nothing from a teacher. 1 in a relational domain, where it is not asked.

    Args:
        model: The student.
        grammar: Whose concepts.
        shape: Of the CAL that it would learn; the usual one if None.
        contexts: Places for each concept.
        seed: Of the problems.
    """
    if grammar.relational:
        return 1.0
    shape = shape or CALConfig()
    plan = DrillPlan(
        layer=shape.memory_layer(model.depth), look=shape.prefix(model.depth), contexts=contexts
    )
    rng = random.Random(seed)  # noqa: S311 - seeded pseudo-randomness is the point
    drills = drill(model, grammar, grammar.concepts, plan, rng)
    early = recognised(drills, len(grammar.concepts), rank=shape.key_rank)
    late = recognised(drills.looked_up_there(), len(grammar.concepts), rank=shape.key_rank)
    return max(early, late)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is foretold, and from what.

    Attributes:
        before: Share of problems that the student gets right as it stands.
        recognised: See `recognition`.
        depth: Where the teacher reads, as a share of its layers; 1 in a relational domain, whose
            concepts are input embeddings.
        steadiness: See `steadiness`.
    """

    before: float
    recognised: float
    depth: float
    steadiness: float

    @property
    def gain(self) -> float:
        """The share of problems that would be won."""
        read: float = self.depth**DEPTH_POWER * self.steadiness
        return (1 - self.before) * self.recognised * read


def outlook(
    sample: ConceptSample, *, before: float, recognised: float, relational: bool = False
) -> Outlook:
    """What a transfer of the packet that `sample` is of would gain."""
    return Outlook(
        before=before,
        recognised=recognised,
        depth=1.0 if relational else sample.layer / sample.depth,
        steadiness=steadiness(sample),
    )

"""How a lesson is learnt: the settings of an alignment.

Owns: `AlignConfig`, `Pace`. Does not own: what is done with them (align).
"""

from dataclasses import dataclass, field, replace
from typing import Final

from m2kt.cal import CALConfig
from m2kt.losses import LossWeights
from m2kt.relating import RelationPlan

WIDTH: Final = 576
"""Width of a student for which a `Pace` is set: SmolLM2-135M's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast phase B goes.

    Attributes:
        learning_rate: Peak of AdamW for a student `WIDTH` wide; others learn slower in proportion
            to their width (Yang and Hu, 2022, arXiv 2203.03466).
        looking_rate: Share of it at which it is learnt where the memory looks.
        settled: Share of own problems that go right, from which on the descent begins.
        descent: Steps from the peak to 2 %, at the end.
    """

    learning_rate: float = 1e-3
    looking_rate: float = 0.05
    settled: float = 0.5
    descent: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignConfig:
    """How a lesson is learnt.

    Attributes:
        cal: Shape of the CAL.
        weights: alpha, beta, gamma, lambda.
        contexts: Places at which a concept is practised in phase A; in a relational domain
            four times as many, in each of its roles.
        readout_steps: Steps of phase A, twice where traces do not show all; in a relational
            domain, where every symbol has to be read, up to ten times as many until it is.
        readout_batch: Places in a batch of phase A.
        reading_rate: Learning rate at which concepts that no trace shows are read.
        relation: How the relation of a relational domain is learnt.
        steps: Steps of phase B at most.
        traces: Teacher's traces in a batch of phase B.
        own: Own problems in a batch of phase B.
        learning_rate: Of AdamW in the rest of phase A, and its peak in phase B.
        warmup: Steps until the peak.
        descent: Steps from the peak to 2 %, at the end.
        settled: Share of own problems that go right, from which on the descent begins.
        sure: Pace of phase B instead, if concepts are recognised in the states of the frozen
            prefix; adapters then begin aimed.
        recognised: Share of places from which on they are.
        enough: Share at the end of a descent, without which there is another.
        addressed: Whether the memory begins with addresses in closed form; if not, they are
            drawn, and phase B has to find them.
        unsafe_phrases: The projected concepts are kept away from the student's own states here.
        unsafe_margin: Cosine with such a state from which on it is penalised.
        report_every: Steps between two reports.
        seed: Of every draw.
    """

    cal: CALConfig = field(default_factory=CALConfig)
    weights: LossWeights = field(default_factory=LossWeights)
    contexts: int = 4
    readout_steps: int = 60
    readout_batch: int = 32
    reading_rate: float = 4e-2
    relation: RelationPlan = field(default_factory=RelationPlan)
    steps: int = 400
    traces: int = 6
    own: int = 18
    learning_rate: float = 4e-3
    warmup: int = 8
    descent: int = 60
    settled: float = 0.6
    sure: Pace = field(default_factory=Pace)
    recognised: float = 0.95
    enough: float = 0.99
    addressed: bool = True
    unsafe_phrases: tuple[str, ...] = ()
    unsafe_margin: float = 0.3
    report_every: int = 10
    seed: int = 0

    def pace(self, *, sure: bool, width: int) -> Pace:
        """How fast a student of this width rehearses."""
        if sure:
            return replace(self.sure, learning_rate=self.sure.learning_rate * WIDTH / width)
        return Pace(
            learning_rate=self.learning_rate,
            looking_rate=1.0,
            settled=self.settled,
            descent=self.descent,
        )

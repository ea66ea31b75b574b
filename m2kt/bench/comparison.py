"""What a comparison of transfers may be of: its parts, domains, shares, seeds.

Owns: `TransferConfig`, `QUICK`. Does not own: what follows from them (transfer).
"""

from dataclasses import dataclass, field
from typing import Final, final

from m2kt.align_config import AlignConfig
from m2kt.bench.ablations import ABLATIONS
from m2kt.bench.baselines import TextConfig
from m2kt.bench.cells import RIDGE
from m2kt.bench.ingest import IngestConfig
from m2kt.bench.subjects import SUBJECTS
from m2kt.errors import RequestError
from m2kt.language_model import SMOLLM2

OURS: Final = "with_c"
CURVES: Final = ("with_c", "without_c", "shuffled_c", "random_c")
FEW: Final = 0.2
"""Share of the facts that traces show when it is asked what C carries."""
DISTILLED: Final = "distillation"
PACKET_TEXT: Final = "packet_text"
OTHERS: Final = (DISTILLED, "sequences", PACKET_TEXT, RIDGE)
PARTS: Final = (
    "table",
    "controls",
    "reveal",
    "layers",
    "geometry",
    "ablations",
    "baselines",
    "ingest",
)
RELATED: Final = "arith.mod97"
"""Domain whose concepts are numbers and operators, and no facts."""


def _brief() -> IngestConfig:
    return IngestConfig(align=AlignConfig(steps=200))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """What is compared.

    Attributes:
        student: Name of its model.
        parts: Of `PARTS`, those that are compared.
        domains: Of the main table.
        curved: Domain of the curves.
        compared: Domain that baselines are run on; one teacher must know all of it, or what
            they are given would say less than what they are asked.
        controlled: Domains that controls are run on.
        seeds: Of alignments and packets.
        reveal: Shares of the facts that traces show.
        layers: Hidden states of the teachers that concepts are read from, counted from the last,
            -1: teachers differ in depth.
        related: Who learns relations: its tokenizer has one token for each of 97 numbers.
        geometry: Shares of the facts that traces show there.
        ablations: By name.
        examples: Numbers of examples that each baseline is given.
        per_level: Held-out problems of each level.
        traces_per_level: Of each packet.
        text: How baselines learn.
        workers: Processes side by side.
        threads: Of torch, in each.
        align: How lessons are learnt.
        relating: The same of relations.
        ingest: How fast; the student and all threads are those of the comparison.
    """

    student: str = "symbols-student"
    parts: tuple[str, ...] = PARTS
    domains: tuple[str, ...] = tuple(name for name in SUBJECTS if name != RELATED)
    curved: str = "arith.mod7"
    compared: str = "arith.mod10"
    controlled: tuple[str, ...] = ("arith.mod7", "relation.chain")
    seeds: tuple[int, ...] = (0, 1, 2)
    reveal: tuple[float, ...] = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
    layers: tuple[int, ...] = (-4, -3, -2, -1)
    related: str = SMOLLM2
    geometry: tuple[float, ...] = (0.02, 0.05, 0.1)
    ablations: tuple[str, ...] = tuple(ABLATIONS)
    examples: tuple[int, ...] = (100, 300, 1_000, 3_000, 10_000, 50_000)
    per_level: int = 100
    traces_per_level: int = 60
    text: TextConfig = field(default_factory=TextConfig)
    workers: int = 2
    threads: int = 1
    align: AlignConfig = field(default_factory=AlignConfig)
    relating: AlignConfig = field(default_factory=AlignConfig)
    ingest: IngestConfig = field(default_factory=_brief)

    def __post_init__(self) -> None:
        named = {*self.domains, *self.controlled, self.curved, self.compared}
        if not self.domains or not self.seeds or named - set(SUBJECTS):
            found = ", ".join(sorted(named)) if self.domains else "no domain"
            raise RequestError(
                f"expected seeds, and domains of {', '.join(SUBJECTS)}, found"
                f" {len(self.seeds)} seeds and {found}"
            )
        if len(SUBJECTS[self.compared].teachers) > 1:
            raise RequestError(
                f"expected a domain of one teacher for baselines, found {self.compared}, of which"
                " none knows all; choose another with --compared"
            )
        if not self.parts or set(self.parts) - set(PARTS):
            found = ", ".join(self.parts) or "none"
            raise RequestError(f"expected parts of {', '.join(PARTS)}, found {found}")
        if set(self.ablations) - set(ABLATIONS):
            found = ", ".join(self.ablations)
            raise RequestError(f"expected ablations of {', '.join(ABLATIONS)}, found {found}")


QUICK: Final = TransferConfig(
    parts=tuple(part for part in PARTS if part not in {"layers", "ablations"}),
    domains=("arith.mod7", "relation.chain"),
    compared="relation.chain",
    seeds=(0,),
    reveal=(0.2, 1.0),
    geometry=(0.05,),
    relating=AlignConfig(steps=200),
    examples=(300, 10_000),
    per_level=60,
)
"""One pair, two domains, all controls, one seed."""

"""What a shorter type for exemplars saves, and what it costs the student.

Owns: `encodings_of`. Does not own: the types (m2kt.wire.packets), a lesson (m2kt.bench).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Final, TypeVar

from zstandard import ZstdCompressor

from m2kt import domains
from m2kt.align import align
from m2kt.align_config import AlignConfig
from m2kt.bench.delivery import STUDENT, Post
from m2kt.bench.experiments.experiment import Scope, Table
from m2kt.bench.subjects import draw_lesson, load_model, subject
from m2kt.domain import Grammar
from m2kt.extract import ExtractConfig
from m2kt.language_model import LanguageModel
from m2kt.packet import KnowledgePacket
from m2kt.probes import draw_probes
from m2kt.progress import Progress, Report, silent
from m2kt.student import Student
from m2kt.tensors import Dtype
from m2kt.verify import examine
from m2kt.wire.packets import encode_packet

DOMAIN: Final = "arith.mod7"
STUDENT_MODEL: Final = "symbols-student"
REVEAL: Final = 0.2
"""Share of the facts that traces show: the rest the student has from exemplars alone."""
TYPES: Final = (Dtype.F32, Dtype.BF16, Dtype.F16, Dtype.I8)
SEEDS: Final = (0, 1, 2)
TIMES: Final = 7
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Encoded:
    """One packet's exemplars as one type.

    Attributes:
        length: Bytes of the payload.
        encode_ms: Milliseconds to encode and hash it.
        decode_ms: Milliseconds to prove and read it.
        zstd_length: Bytes after zstd, level 1.
        zstd_ms: Milliseconds for that.
    """

    length: int
    encode_ms: float
    decode_ms: float
    zstd_length: int
    zstd_ms: float


@dataclass(frozen=True, slots=True)
class Encodings:
    """Every type: its cost, and what the student answered after learning from it."""

    costs: dict[Dtype, Encoded]
    accuracy: dict[Dtype, list[float]]
    seeds: tuple[int, ...]
    student: str = STUDENT_MODEL

    def table(self) -> Table:
        """For the page."""
        rows = tuple(
            (
                kind.value,
                its.length,
                its.length / self.costs[Dtype.F32].length,
                its.encode_ms,
                its.decode_ms,
                its.zstd_length / its.length,
                its.zstd_ms,
                fmean(self.accuracy[kind]),
                min(self.accuracy[kind]),
            )
            for kind, its in self.costs.items()
        )
        return Table(
            title="Exemplars as another type",
            head=(
                "type",
                "bytes",
                "of f32",
                "encode, ms",
                "read, ms",
                "zstd leaves",
                "zstd, ms",
                "accuracy, mean",
                "least",
            ),
            rows=rows,
            note=f"Of {DOMAIN}, traces of {REVEAL:.0%} of the facts, {STUDENT_MODEL}, seeds"
            f" {', '.join(map(str, self.seeds))}. zstd is not used: see how little it takes away.",
        )


def encodings_of(scope: Scope, report: Report, *, quick: bool) -> Encodings:
    """Measures all types, with one seed if it has to be quick."""
    seeds = scope.seeds or (SEEDS[:1] if quick else SEEDS)
    costs: dict[Dtype, Encoded] = {}
    accuracy: dict[Dtype, list[float]] = {kind: [] for kind in TYPES}
    for seed in seeds:
        for kind in TYPES:
            report(Progress(f"exemplars as {kind.value}, seed {seed}"))
            accuracy[kind].append(_learnt(kind, seed, costs))
    return Encodings(costs, accuracy, tuple(seeds))


def _learnt(kind: Dtype, seed: int, costs: dict[Dtype, Encoded]) -> float:
    """Mean accuracy of a student whose teachers sent their exemplars as `kind`."""
    its, domain = subject(DOMAIN), domains.get(DOMAIN)
    extract = ExtractConfig(reveal=REVEAL, seed=seed)
    lesson = draw_lesson(its, extract, change=partial(_sent, kind, costs))
    probes = draw_probes(
        domain, seed=1, per_level=100, exclude={trace.question for trace in lesson.traces}
    )
    student = Student(STUDENT, load_model(STUDENT_MODEL))
    candidate = align(student, lesson, domain, AlignConfig(seed=seed), silent)
    return examine(student, domain, probes, candidate.cal).mean


def _sent(
    kind: Dtype,
    costs: dict[Dtype, Encoded],
    packet: KnowledgePacket,
    model: LanguageModel,
    grammar: Grammar,
) -> KnowledgePacket:
    """The packet as it comes out of a payload of that type; what that took is noted."""
    del model, grammar
    post = Post(packet.provenance.teacher)
    encode_ms, encoded = _timed(lambda: encode_packet(packet, exemplars_as=kind))
    both_ms, received = _timed(lambda: post.deliver(packet, kind).packet.packet)
    zstd_ms, packed = _timed(lambda: ZstdCompressor(level=1).compress(encoded.payload))
    costs[kind] = Encoded(
        length=len(encoded.payload),
        encode_ms=encode_ms,
        decode_ms=max(0.0, both_ms - encode_ms),
        zstd_length=len(packed),
        zstd_ms=zstd_ms,
    )
    return received


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """The least of some times that it takes, in milliseconds, and what it gives."""
    found, times = work(), []
    for _ in range(TIMES):
        begun = time.perf_counter()
        found = work()
        times.append((time.perf_counter() - begun) * 1e3)
    return min(times), found

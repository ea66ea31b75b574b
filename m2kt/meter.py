"""The data meter: what a transfer consumed, counted by whoever consumed it.

Free of torch. Probe items are not training data and are counted apart.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class DataMeter:
    """What a transfer consumed. Probe items are counted apart, on the student's side.

    Attributes:
        labels: Ground-truth answers used for training.
        logits: Teacher's output distributions used for training.
        concepts: Concepts sent.
        exemplars: Activations sent.
        traces: Traces sent, each the teacher's own generation.
        trace_tokens: Tokens of those traces, in the tokenizer of whoever counted.
        prompts: Unlabelled texts of the public grammar that were read.
        teacher_passes: Forward passes of the teacher, one for each sequence and decoded token.
        bytes: Bytes on the wire.
    """

    labels: int = 0
    logits: int = 0
    concepts: int = 0
    exemplars: int = 0
    traces: int = 0
    trace_tokens: int = 0
    prompts: int = 0
    teacher_passes: int = 0
    bytes: int = 0

    def __add__(self, other: "DataMeter") -> "DataMeter":
        pairs = zip(self.counts(), other.counts(), strict=True)
        return DataMeter(*(mine + its for mine, its in pairs))

    def counts(self) -> tuple[int, ...]:
        """The counts, in the order of the attributes."""
        return tuple(getattr(self, field.name) for field in fields(self))

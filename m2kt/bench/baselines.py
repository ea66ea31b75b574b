"""Other ways to hand a capability over, to the same student with the same adapters.

    distillation    the teacher's answers to N problems, each with its distribution over the
                    state symbols: what the paper compares with (labels and logits)
    sequences       the teacher's own traces of N problems, cross-entropy: texts, no logits
    packet_text     the same on the traces that the packet holds

A step is one of alignment's rehearsal but for what it is about: the same frozen prefix, the
same packing, as many texts. Learning rate and steps are their own; a run has more steps where
these are not enough to see every example once. Problems of the exam are never among the examples.

Owns: `BASELINES`, `learn`. Does not own: how they are run (matrix).
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count as numbers
from types import MappingProxyType
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from m2kt import domains
from m2kt.align import align
from m2kt.align_config import WIDTH, AlignConfig
from m2kt.bench.subjects import Subject, load_model
from m2kt.cal import ConceptAlignmentLayer, attached
from m2kt.domain import Grammar, Trace
from m2kt.errors import CompatibilityError
from m2kt.interview import ask
from m2kt.language_model import LanguageModel, TracedIds
from m2kt.lessonplan import Practice, Workbook
from m2kt.packet import Lesson
from m2kt.progress import silent
from m2kt.schedule import Schedule
from m2kt.student import Student

ROUNDS: Final = 50
"""Times that a teacher is asked again, if it wrote too few texts that can be read."""
AT_ONCE: Final = 512
"""Questions of a round."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """What is learnt from one problem.

    Attributes:
        trace: As the teacher wrote it.
        belief: The teacher's distribution over the state symbols as the answer, Float [S];
            None if the whole trace is what is learnt.
    """

    trace: Trace
    belief: Float[Tensor, "S"] | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """How examples are learnt.

    Attributes:
        learning_rate: Peak of AdamW for a student `WIDTH` wide; as in alignment, others learn
            slower in proportion to their width.
        steps: At least so many.
    """

    learning_rate: float = 3.6e-3
    steps: int = 600

    def peak(self, width: int) -> float:
        """Learning rate of a student of this width."""
        return self.learning_rate * WIDTH / width


Draw = Callable[[Subject, Lesson, int, int, Collection[str]], list[Example]]
"""Of a subject and its lesson, so many examples, from a seed, none of which is excluded."""


def sequences(
    its: Subject, _lesson: Lesson, count: int, seed: int, exclude: Collection[str]
) -> list[Example]:
    """The teachers' own traces, as many of each."""
    share = -(-count // len(its.teachers))
    return [
        Example(trace)
        for name in its.teachers
        for trace in _traces(load_model(name), its.taught(name), share, seed, exclude)
    ][:count]


def distillation(
    its: Subject, _lesson: Lesson, count: int, seed: int, exclude: Collection[str]
) -> list[Example]:
    """The teachers' answers and what they believed of each."""
    share = -(-count // len(its.teachers))
    found: list[Example] = []
    for name in its.teachers:
        teacher, grammar = load_model(name), its.taught(name)
        traces = _traces(teacher, grammar, share, seed, exclude)
        beliefs = _beliefs(teacher, grammar, traces)
        found += [Example(t, belief) for t, belief in zip(traces, beliefs, strict=True)]
    return found[:count]


def packet_text(
    _its: Subject, lesson: Lesson, _count: int, _seed: int, _exclude: Collection[str]
) -> list[Example]:
    """What the packet holds as text."""
    return [Example(trace) for trace in lesson.traces]


BASELINES: Final[Mapping[str, Draw]] = MappingProxyType(
    {"distillation": distillation, "sequences": sequences, "packet_text": packet_text}
)


def _traces(
    teacher: LanguageModel, grammar: Grammar, count: int, seed: int, exclude: Collection[str]
) -> list[Trace]:
    """Different ones if the domain has as many, else with repetitions."""
    rng, known = random.Random(seed), frozenset(grammar.facts)
    found: list[Trace] = []
    for _ in range(ROUNDS + count // AT_ONCE):
        for level in grammar.levels:
            drawn = {grammar.question(rng, level).text for _ in range(AT_ONCE // 4)}
            asked = sorted(drawn - set(exclude))
            found += ask(teacher, grammar, asked, level=level, shown=known)
        if len(found) >= count:
            return rng.sample(found, count)
    raise CompatibilityError(
        f"expected {count} traces of {grammar.name} from {teacher.name}, found {len(found)};"
        " is this the right teacher for the domain?"
    )


@torch.no_grad()
def _beliefs(
    teacher: LanguageModel, grammar: Grammar, traces: Sequence[Trace]
) -> list[Float[Tensor, "S"]]:
    """What the teacher expects right after the mark of the answer."""
    symbols = torch.tensor(teacher.symbol_ids(grammar.symbols))
    found: list[Tensor] = []
    for at in range(0, len(traces), 256):
        texts = [trace.text[: trace.text.rindex("#") + 1] for trace in traces[at : at + 256]]
        rows = [teacher.encode(text) for text in texts]
        logits = teacher.model(input_ids=teacher.padded(rows), use_cache=False).logits
        ends = torch.tensor([len(row) - 1 for row in rows])
        last = logits[torch.arange(len(rows)), ends]
        found += last[:, symbols].float().softmax(dim=-1)
    return found


def learn(
    student: Student,
    lesson: Lesson,
    examples: Sequence[Example],
    config: AlignConfig,
    text: TextConfig,
) -> ConceptAlignmentLayer:
    """Trains the adapters of a CAL, whose memory is not read, on `examples` alone.

    Args:
        student: Who learns.
        lesson: Of the same domain; nothing of it is learnt.
        examples: What is learnt.
        config: Shape of the CAL, texts in a batch, warm-up and seed.
        text: How they are learnt.
    """
    grammar = domains.get(lesson.domain)
    untouched = replace(config, readout_steps=0, steps=0)
    cal = align(student, lesson, grammar, untouched, silent).cal
    cal.reading = False
    model = student.language_model
    book = Workbook(model, grammar, lesson, config.cal)
    size = config.traces + config.own
    most = max(text.steps, -(-len(examples) // size))
    schedule = Schedule(most=most, warmup=config.warmup, descent=most, settled=2.0, enough=2.0)
    order = _order(random.Random(config.seed), examples)
    with attached(model, cal) as adapters:
        optimizer = torch.optim.AdamW(adapters, weight_decay=0.01)
        for step in range(schedule.ends):
            for group in optimizer.param_groups:
                group["lr"] = text.peak(model.width) * schedule.rate(step)
            batch = [next(order) for _ in range(size)]
            rows = [_row(model, example) for example in batch]
            practice = book.join(book.prepare(rows, [()] * len(rows)))
            loss = _loss(book, practice, [example.belief for example in batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(adapters, 1.0)
            optimizer.step()
    return cal


def _order(rng: random.Random, examples: Sequence[Example]) -> Iterator[Example]:
    """All of them before any comes again."""
    for _ in numbers():
        yield from rng.sample(examples, len(examples))


def _row(model: LanguageModel, example: Example) -> TracedIds:
    """The whole trace, or the question with its answer and nothing between."""
    if example.belief is None:
        return model.encode_trace(example.trace)
    prompt = model.encode(example.trace.prompt)
    mark, answer, end = (
        model.tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in ("#", example.trace.answer, "\n")
    )
    ids = (*prompt, *mark, *answer, *end)
    return TracedIds(ids, len(prompt), (len(prompt) + len(mark) - 1,))


def _loss(
    book: Workbook, practice: Practice, beliefs: Sequence[Float[Tensor, "S"] | None]
) -> Tensor:
    """Cross-entropy of what is to be written; of an answer, with what the teacher believed."""
    logits = book.logits(practice).float()
    if beliefs[0] is None:
        return F.cross_entropy(logits, practice.targets)
    due = set(zip(*(its.tolist() for its in practice.due), strict=True))
    told = list(zip(*(its.tolist() for its in practice.told), strict=True))
    soft = torch.tensor([place in due for place in told])
    wanted = torch.stack([belief for belief in beliefs if belief is not None])
    believed = logits[soft].log_softmax(dim=-1)[:, book.symbol_ids]
    parts = (
        -(wanted * believed).sum(dim=-1),
        F.cross_entropy(logits[~soft], practice.targets[~soft], reduction="none"),
    )
    return torch.cat(parts).mean()

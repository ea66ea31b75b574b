"""Ways in which the same student learns the same course.

    alignment      `m2kt.align`: reads C out, then rehearses; the frozen prefix is cached
    bare_loop      the whole model run and differentiated through in every step, cross-entropy
                   on the texts: PyTorch and nothing else
    peft_trainer   adapters as `peft` makes them and the memory, by `transformers.Trainer`
    peft_lora      the same without the memory: it learns from texts alone

The first three train the same parameters, the memory and the adapters of a CAL. What alignment
sets in them before its first step is alignment's: the others begin with what was drawn. They
get identical batches in the same order, problems that alignment has to compose included, which
costs them nothing; warm-up, clipping and texts a step are alignment's, the learning rate is
their own.

Owns: `CONTENDERS`. Does not own: the course (course), the clock (watch), processes (runs).
"""

import random
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    DataCollatorForSeq2Seq,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_scheduler,
    set_seed,
)

from m2kt import domains
from m2kt.adapters import adapter_targets
from m2kt.addressing import concept_keys
from m2kt.align import align
from m2kt.bench.course import DOMAIN, Course
from m2kt.bench.watch import READOUT, REHEARSAL, Watch
from m2kt.cal import ConceptAlignmentLayer, attached, remembering
from m2kt.domain import Trace
from m2kt.drills import DrillPlan, drill
from m2kt.language_model import LanguageModel
from m2kt.progress import Progress, silent
from m2kt.student import Student

Contender = Callable[[Course, Student, Watch], int]
"""Trains the student, tells the watch of every step; how many parameters it trained."""

UNTOLD: Final = -100
"""Label of a token that is not to be predicted, as PyTorch and transformers have it."""
_PHASES: Final[Mapping[float, str]] = {0.0: READOUT, 1.0: REHEARSAL}


def alignment(course: Course, student: Student, watch: Watch) -> int:
    """Ours. It reports while the CAL is attached, so the student can be examined on the way."""

    def report(progress: Progress) -> None:
        if "step" in progress.figures:
            watch.lap(_PHASES[progress.figures["phase"]])

    config = replace(course.align, report_every=1)
    watch.start()
    candidate = align(student, course.lesson, domains.get(DOMAIN), config, report)
    with attached(student.language_model, candidate.cal):
        watch.finish()
    return _count(candidate.cal.parameters()) + _count(candidate.cal.adapters.values())


def bare_loop(course: Course, student: Student, watch: Watch) -> int:
    """A loop over batches."""
    model, config, like = student.language_model, course.align, _untrained(course, student)
    watch.start()
    cal = drawn(course, student, like)
    with attached(model, cal) as adapters:
        trained = [*cal.parameters(), *adapters]
        optimizer = torch.optim.AdamW(trained, lr=course.text_learning_rate, weight_decay=0.01)
        schedule = get_scheduler("linear", optimizer, config.warmup, len(course.batches))
        for batch in course.batches:
            examples = [_example(model, trace) for trace in batch]
            ids = model.padded([example["input_ids"] for example in examples])
            labels = torch.full_like(ids, UNTOLD)
            for row, example in enumerate(examples):
                labels[row, : len(example["labels"])] = torch.tensor(example["labels"])
            logits = model.model(input_ids=ids, use_cache=False).logits[:, :-1]
            loss = F.cross_entropy(logits.flatten(0, 1).float(), labels[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            if watch.lap():
                break
    return _count(trained)


def peft_trainer(course: Course, student: Student, watch: Watch) -> int:
    """`Trainer.train`; to it the memory is one more module of the model."""
    model, like = student.language_model, _untrained(course, student)
    watch.start()
    cal = drawn(course, student, like)
    with remembering(model, cal):
        return _by_trainer(course, model, watch, {"memory": cal})


def peft_lora(course: Course, student: Student, watch: Watch) -> int:
    """`Trainer.train` as most people use it with `peft`."""
    watch.start()
    return _by_trainer(course, student.language_model, watch, {})


OURS: Final = "alignment"
CONTENDERS: Final[Mapping[str, Contender]] = {
    OURS: alignment,
    "bare_loop": bare_loop,
    "peft_trainer": peft_trainer,
    "peft_lora": peft_lora,
}


def _by_trainer(
    course: Course, language_model: LanguageModel, watch: Watch, beside: Mapping[str, nn.Module]
) -> int:
    """Adapters by `get_peft_model`, modules `beside` them, a padding collator, `Trainer`."""
    config, tokenizer = course.align, language_model.tokenizer
    lora = LoraConfig(
        r=config.cal.adapter_rank,
        lora_alpha=2 * config.cal.adapter_rank,
        target_modules=adapter_targets(language_model, config.cal.prefix(language_model.depth)),
        fan_in_fan_out=language_model.card.family == "gpt2",
        task_type="CAUSAL_LM",
    )
    tokenizer.padding_side = "right"  # on the left it would move a text's positions
    set_seed(config.seed)
    model = get_peft_model(language_model.model, lora)
    for name, module in beside.items():
        model.add_module(name, module)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=_arguments(course, folder),
            train_dataset=_Texts(course, language_model),
            data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
            callbacks=[_Told(watch)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return _count(p for p in model.parameters() if p.requires_grad)


def _arguments(course: Course, folder: str) -> TrainingArguments:
    """Everything that `Trainer` would do besides training is off."""
    config = course.align
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=len(course.batches[0]),
        max_steps=len(course.batches),
        learning_rate=course.text_learning_rate,
        weight_decay=0.01,
        warmup_steps=config.warmup,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        seed=config.seed,
        train_sampling_strategy="sequential",
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


@final
class _Texts(Dataset[dict[str, list[int]]]):
    """The course's texts in their order, each encoded when its batch is due."""

    def __init__(self, course: Course, model: LanguageModel) -> None:
        self._traces = [trace for batch in course.batches for trace in batch]
        self._model = model

    def __len__(self) -> int:
        """How many texts."""
        return len(self._traces)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        """A text as ids and labels."""
        return _example(self._model, self._traces[index])


@final
class _Told(TrainerCallback):
    """Tells the watch of every step, and the trainer when it need not go on."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_step_end(self, args: object, state: object, control: Any, **others: Any) -> None:  # noqa: ANN401
        """Called by the trainer, which sets dropout on again before the next step."""
        others["model"].eval()
        control.should_training_stop = self._watch.lap() or control.should_training_stop


def _example(model: LanguageModel, trace: Trace) -> dict[str, list[int]]:
    """A trace as ids, and as labels: the prompt is not to be predicted."""
    row = model.encode_trace(trace)
    labels = [UNTOLD] * row.prompt_length + list(row.ids[row.prompt_length :])
    return {"input_ids": list(row.ids), "attention_mask": [1] * len(row.ids), "labels": labels}


def drawn(course: Course, student: Student, like: ConceptAlignmentLayer) -> ConceptAlignmentLayer:
    """The CAL of an alignment before anything in it is set: the same shape, keys and seed."""
    model, config, concepts = student.language_model, course.align, course.lesson.concepts
    layer, look = (its(model.depth) for its in (like.config.memory_layer, like.config.look_layer))
    plan = DrillPlan(layer=layer, look=look, contexts=config.contexts)
    drills = drill(
        model,
        domains.get(DOMAIN),
        [concept.spec for concept in concepts],
        plan,
        random.Random(config.seed),
    )
    keys = concept_keys(drills, len(concepts))
    return ConceptAlignmentLayer(like.config, keys, like.phi.shares(), seed=config.seed)


def _untrained(course: Course, student: Student) -> ConceptAlignmentLayer:
    """Out of an alignment of no steps."""
    config = replace(course.align, readout_steps=0, steps=0)
    return align(student, course.lesson, domains.get(DOMAIN), config, silent).cal


def _count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)

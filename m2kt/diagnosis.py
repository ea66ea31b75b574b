"""What a lesson suffered from: the failure signatures of the paper, read off its figures.

    geometry plateaus without gain     phi says not even what traces show, or that alone
    structure without reasoning        the memory finds the right concept, the answer is wrong
    skill lost                         what was right before is wrong now
    chains wrong                       facts are right alone, and not where one follows another

Whoever examines knows the facts, so it can tell which of them the lesson had shown, and which C
alone had to hold. A verdict does not depend on any of this.

Owns: `DiagnosisRules`, `diagnose`. Does not own: the figures (align, verify, workings), the codes
and what they mean (symptoms). Free of torch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from m2kt.betting import p_value
from m2kt.errors import RequestError
from m2kt.symptoms import MEANINGS, Cause, Diagnosis, Symptom
from m2kt.verdict import Exam
from m2kt.workings import Working


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisRules:
    """When something counts as a symptom.

    Attributes:
        good: Share from which on something is as it should be.
        mostly: Share from which on the memory finds what is due: another concept with the same
            result does as well, so that it is never all; and on the student writes what it finds.
        gap: Difference between two shares from which on they differ.
        fewest: Steps or items that a share has to rest on.
        alpha: Level of the test for what was lost, over all levels together.
    """

    good: float = 0.9
    mostly: float = 0.5
    gap: float = 0.2
    fewest: int = 8
    alpha: float = 0.05

    def __post_init__(self) -> None:
        shares = (self.good, self.mostly, self.gap, self.alpha)
        if not all(0 <= its <= 1 for its in shares) or self.fewest < 1:
            raise RequestError(
                "expected good, mostly, gap and alpha from 0 to 1 and fewest >= 1, found"
                f" {self.good}, {self.mostly}, {self.gap}, {self.alpha}, {self.fewest}"
            )


def diagnose(
    before: Exam, after: Exam, figures: Mapping[str, float], rules: DiagnosisRules
) -> tuple[Diagnosis, ...]:
    """Every symptom that shows; none where there is nothing to be seen.

    A memory that cannot be read explains wrong answers by itself, so the second and the fourth
    are looked for only where the first does not show.

    Args:
        before: The exam as the student stood, with workings.
        after: The exam of the candidate on the same items.
        figures: Of the alignment; `concept_fidelity` and `lesson_truth` of what it was taught.
        rules: When something counts.
    """
    if not after.workings:
        return ()
    its = _Findings(before, after, figures, rules)
    found = [*its.skill_lost()]
    if after.mean < rules.good:
        plateau = [*its.geometry()]
        found = plateau + found + ([] if plateau else [*its.reasoning(), *its.chains()])
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Findings:
    """Two exams, figures and rules, asked one symptom at a time."""

    before: Exam
    after: Exam
    figures: Mapping[str, float]
    rules: DiagnosisRules

    def geometry(self) -> Iterator[Diagnosis]:
        """Phi says not what traces show; or that alone, and not what is in C besides."""
        good, steps = self.rules.good, _sum(self.after.workings)
        fidelity, agreement = self.known("concept_fidelity", "readout_agreement")
        shown, others = _share(steps.told_true, steps.told), _share(steps.untold_true, steps.untold)
        plateau = agreement is not None and agreement < good
        apart = (
            min(steps.told, steps.untold) >= self.rules.fewest and shown - others >= self.rules.gap
        )
        if not plateau and not apart:
            return
        cause = Cause.LITTLE_CAPACITY if plateau else Cause.FEW_FACTS
        if fidelity is not None and fidelity < good:
            cause = Cause.WRONG_LAYER
        if self.false:
            cause = Cause.FALSE_LESSON
        found = [self.told] if self.false else []
        if agreement is not None:
            loss = self.figures.get("loss_geometry", 0.0)
            found.append(
                f"of what traces show phi says {agreement:.2f} (L_geo {loss:.2f} nats at the end)"
            )
        if steps.told and steps.untold:
            found.append(
                f"the student is right in {shown:.2f} of the steps that recall what traces show"
                f" and in {others:.2f} of those that recall what is in C alone"
            )
        if fidelity is not None:
            found.append(f"a linear probe reads {fidelity:.2f} of the facts out of C")
        yield self.diagnosis(
            Symptom.GEOMETRY_PLATEAU,
            cause,
            ", ".join(found),
            {"shown_right": shown, "others_right": others},
        )

    def reasoning(self) -> Iterator[Diagnosis]:
        """The memory finds and holds the right concept, and even the easiest answers are wrong."""
        good, low = self.rules.good, self.rules.good - self.rules.gap
        agreement, structure = self.known("readout_agreement", "structure_agreement")
        if agreement is None or structure is None:
            return
        if agreement < good or structure < self.rules.mostly:
            return
        steps, (easiest, _) = _sum(self.after.workings), self.parted()
        said = _share(steps.as_told, steps.told) * min(1.0, _share(steps.written, steps.due))
        answers = _share(sum(right for right, _ in easiest), len(easiest))
        if len(easiest) < self.rules.fewest or said >= self.rules.mostly or answers > low:
            return
        found = (
            f"the memory finds the concept that is due in {structure:.2f} of the teacher's steps"
            f" and phi says {agreement:.2f} of what traces show, but of the steps that are due"
            f" {said:.2f} are written as shown, and {answers:.2f} of the easiest answers are right"
        )
        yield self.diagnosis(
            Symptom.STRUCTURE_WITHOUT_REASONING,
            Cause.UNREHEARSED,
            found,
            {"steps_as_shown": said, "easiest_right": answers},
        )

    def skill_lost(self) -> Iterator[Diagnosis]:
        """More was lost than won, over all items or at one level, and not by chance."""
        levels = dict.fromkeys(self.after.levels)
        alpha = self.rules.alpha / (1 + len(levels))
        for level in (None, *levels):
            places = [n for n, its in enumerate(self.after.levels) if level in {None, its}]
            pairs = [(self.before.right[n], self.after.right[n]) for n in places]
            p_loss = p_value([float(then) - float(now) for then, now in pairs], at_most=0.0)
            if p_loss < alpha:
                yield self.lost(level, pairs, p_loss)
                return

    def lost(self, level: int | None, pairs: list[tuple[bool, bool]], p_loss: float) -> Diagnosis:
        """What was lost, and whether it is the lesson that is wrong."""
        steps = _sum(self.after.workings)
        said, true = _share(steps.as_told, steps.told), _share(steps.told_true, steps.told)
        had, lost = sum(then for then, _ in pairs), sum(then and not now for then, now in pairs)
        where = "" if level is None else f" of level {level}"
        found = f"of {had} answers{where} that were right before, {lost} are wrong now"
        if self.false:
            found += f"; {self.told}"
        if steps.told:
            found += (
                f"; {said:.2f} of the steps that recall what traces show say what these say, and"
                f" {true:.2f} are right"
            )
        return self.diagnosis(
            Symptom.SKILL_LOST,
            Cause.FALSE_LESSON if self.false else Cause.OVERWRITTEN,
            found,
            {
                "right_before": float(had),
                "lost": float(lost),
                "p_loss": p_loss,
                "steps_as_shown": said,
                "shown_right": true,
            },
        )

    def chains(self) -> Iterator[Diagnosis]:
        """Facts are right in the easiest items, and longer ones are wrong more often than that."""
        good, (easiest, longer) = self.rules.good, self.parted()
        if min(len(easiest), len(longer)) < self.rules.fewest:
            return
        alone, together = (_sum(its for _, its in part) for part in (easiest, longer))
        facts = _share(alone.true, max(alone.due, alone.written))
        steps = _share(together.true, together.written)
        form = min(1.0, _share(together.written, together.due))
        expected = fmean(facts**its.due for _, its in longer)
        chains = _share(sum(right for right, _ in longer), len(longer))
        if facts < good or expected - chains < self.rules.gap:
            return
        found = (
            f"{facts:.2f} of the steps of the easiest answers are right; of longer ones"
            f" {form:.2f} of the steps can be read, of which {steps:.2f} are right, and"
            f" {chains:.2f} of the answers, where {expected:.2f} would be if every step were as"
            " right as alone"
        )
        yield self.diagnosis(
            Symptom.CHAINS_WRONG,
            Cause.FACTS_LOST if form >= good > steps else Cause.NOT_FOLLOWED,
            found,
            {
                "facts_right": facts,
                "chain_steps_written": form,
                "chain_steps_right": steps,
                "chains_right": chains,
                "chains_expected": expected,
            },
        )

    @property
    def false(self) -> bool:
        """Whether the lesson itself says what is not so."""
        return self.figures.get("lesson_truth", 1.0) < self.rules.good

    @property
    def told(self) -> str:
        """How much of the lesson is true, in words."""
        return f"of the facts that traces show {self.figures['lesson_truth']:.2f} are so"

    def known(self, *names: str) -> tuple[float | None, ...]:
        """Figures of the alignment, None where there is none."""
        return tuple(self.figures.get(name) for name in names)

    def parted(self) -> tuple[list[tuple[bool, Working]], list[tuple[bool, Working]]]:
        """Marks and workings of the items with the fewest steps, and of all others."""
        items = list(zip(self.after.right, self.after.workings, strict=True))
        fewest = min(its.due for _, its in items)
        return (
            [item for item in items if item[1].due == fewest],
            [item for item in items if item[1].due > fewest],
        )

    def diagnosis(
        self, symptom: Symptom, cause: Cause, found: str, figures: Mapping[str, float]
    ) -> Diagnosis:
        """With the sentence that `found` begins, and what of the alignment bears on it."""
        behind = (
            "lesson_truth",
            "concept_fidelity",
            "readout_agreement",
            "loss_geometry",
            "structure_agreement",
            "divergence_structure",
        )
        bearing = {name: self.figures[name] for name in behind if name in self.figures}
        return Diagnosis(symptom, cause, f"{found}: {MEANINGS[cause]}", bearing | dict(figures))


def _sum(workings: Iterable[Working]) -> Working:
    return sum(workings, Working())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

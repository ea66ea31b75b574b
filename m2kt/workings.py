"""The working under an answer: which facts its steps recall, and whether rightly.

An answer alone is right or wrong. What stands above it tells more: whether the facts were right
and the chain was not, and whether a fact is wrong that some trace of the lesson had shown.

Owns: `Working`, `working_of`. Does not own: what follows from it (diagnosis), the exam (verify).
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import final

from m2kt.domain import Domain
from m2kt.errors import PacketError


@final
@dataclass(frozen=True, slots=True)
class Working:
    """What somebody wrote above an answer, counted in steps. Sums of workings are workings.

    Attributes:
        due: Steps that lead to the right answer.
        written: Steps that can be read; none if the text has not the form of a trace.
        true: Of those written, such as recall a fact as it is.
        told: Of those written, such as recall a fact that a trace of the lesson shows.
        as_told: Of those told, such as recall it as shown.
        told_true: Of those told, such as recall it as it is.
    """

    due: int = 0
    written: int = 0
    true: int = 0
    told: int = 0
    as_told: int = 0
    told_true: int = 0

    def __add__(self, more: "Working") -> "Working":
        pairs = zip(astuple(self), astuple(more), strict=True)
        return Working(*(one + other for one, other in pairs))

    @property
    def untold(self) -> int:
        """Written steps that recall a fact which no trace shows."""
        return self.written - self.told

    @property
    def untold_true(self) -> int:
        """Such of them as recall it as it is."""
        return self.true - self.told_true


def working_of(domain: Domain, question: str, completion: str, told: Mapping[str, str]) -> Working:
    """Reads what a model wrote under `question`.

    Args:
        domain: Reads it and knows the facts.
        question: Of the domain.
        completion: What the model wrote; what follows its answer is left out.
        told: By fact the result that the lesson's traces show.
    """
    due = len(domain.solve(question).steps)
    body, mark, rest = completion.partition("#")
    answer = rest.split("\n", 1)[0]
    try:
        steps = domain.parse(f"{question}\n{body}{mark}{answer}\n").steps
    except PacketError:
        return Working(due)
    said = [(domain.recalled(step), step.result) for step in steps]
    shown = [(fact, result) for fact, result in said if fact in told]
    return Working(
        due=due,
        written=len(said),
        true=sum(domain.fact(fact) == result for fact, result in said),
        told=len(shown),
        as_told=sum(told[fact] == result for fact, result in shown),
        told_true=sum(domain.fact(fact) == result for fact, result in shown),
    )

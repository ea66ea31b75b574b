"""Reading a concept out: what the frozen student says when phi(c_k) is injected where k is due.

Owns: `ReadOut`. Does not own: how phi is trained (align), the places (drills).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.cal import ConceptAlignmentLayer
from m2kt.drills import Drills
from m2kt.errors import AlignmentError
from m2kt.lessonplan import Workbook
from m2kt.tensors import mean_by

AT_ONCE: Final = 256
"""Places that are read in one go."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class ReadOut:
    """The concepts of one lesson, read by one student.

    Attributes:
        book: Numbers concepts and symbols.
        cal: Whose phi and gate say what is injected.
        drills: Where.
        shown: Symbols of concepts that are known.
    """

    book: Workbook
    cal: ConceptAlignmentLayer
    drills: Drills
    shown: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether every concept's symbol is known."""
        return self.book.index.keys() <= self.shown.keys()

    def places(self) -> tuple[Int[Tensor, "P"], Int[Tensor, "N"]]:
        """Places whose concept's symbol is known; of every place its symbol's number, or -1.

        Raises:
            AlignmentError: there is no such place.
        """
        wanted = self.book.wanted(self.shown).to(self.drills.concepts.device)
        wanted = wanted[self.drills.concepts]
        known = (wanted >= 0).nonzero()[:, 0]
        if not len(known):
            raise AlignmentError(
                "expected traces that show the result of some concept of the packet, found none;"
                " ask the teacher for traces"
            )
        return known, wanted

    def logits(self, chosen: Int[Tensor, "B"]) -> Float[Tensor, "B S"]:
        """Logits over the state symbols at `chosen` places, with the concept injected there."""
        values = self.cal.gate * self.cal.values()[self.drills.concepts[chosen]]
        return self.drills.symbol_logits(chosen, values, self.book.symbol_ids)

    @torch.no_grad()
    def read(self) -> tuple[dict[str, str], dict[str, float]]:
        """Every concept's symbol: as shown, else as read; and how sure reading is.

        `divergence_geometry` is the mean surprise over concepts, in nats: -log of the chance of
        the symbol that is shown; where none is, the entropy of what is read.
        """
        every = torch.arange(len(self.drills.concepts), device=self.drills.concepts.device)
        said = torch.cat([self.logits(some).log_softmax(dim=-1) for some in every.split(AT_ONCE)])
        due, groups = self.drills.concepts.unique(return_inverse=True)
        surprises = -mean_by(groups, said, len(due)).log_softmax(dim=-1)
        chances = (-surprises).exp()
        best = chances.argmax(dim=-1).tolist()
        symbols, names = self.book.grammar.symbols, list(self.book.index)
        read = {names[c]: symbols[k] for c, k in zip(due.tolist(), best, strict=True)}
        shown = {name: its for name, its in self.shown.items() if name in read}
        agree = [read[name] == symbol for name, symbol in shown.items()]
        known, wanted = self.places()
        surprise = (chances * surprises).nansum(dim=-1)
        for row, concept in enumerate(due.tolist()):
            if names[concept] in shown:
                surprise[row] = surprises[row, symbols.index(shown[names[concept]])]
        figures = {
            "divergence_geometry": float(surprise.mean()),
            "loss_geometry": -float(said[known, wanted[known]].mean()),
            "readout_agreement": sum(agree) / max(1, len(agree)),
            "readout_confidence": float(chances.max(dim=-1).values.mean()),
            "concepts_shown": float(len(agree)),
            "concepts_read": float(len(read)),
        }
        return read | shown, figures

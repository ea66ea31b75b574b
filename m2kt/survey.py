"""What a teacher says to unlabelled prompts, and its states around every place where it decides.

Prompts are questions of the public grammar; the texts under them are the teacher's own. A place
is where a result is due: what the teacher then says is its own next symbol, not a label. A site
is a hidden state and how many tokens before such a place it is read.

Owns: `Site`, `Survey`, `survey`. Does not own: which site concepts are read from, and what they
are (extractors).
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.activations import decoder, logits_of, record, rewrite
from m2kt.domain import Grammar, Trace
from m2kt.errors import CompatibilityError
from m2kt.interview import written
from m2kt.language_model import LanguageModel, TracedIds
from m2kt.tensors import TokenIds

BATCH: Final = 32
"""Texts that are read in one go."""
BACK: Final = 4
"""Positions that are measured: the place itself, and those up to BACK - 1 tokens before it."""
FEWEST: Final = 20
"""Texts that a survey takes at least."""
MEASURED: Final = 400
"""Places at which every layer and position is measured."""


@final
@dataclass(frozen=True, slots=True, order=True)
class Site:
    """Where states are read.

    Attributes:
        layer: Hidden state, from 0 to L.
        back: Tokens before the place where a result is due.
    """

    layer: int
    back: int = 0


@final
@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """N places in texts of the teacher's own.

    Attributes:
        teacher: Who wrote them.
        rows: The texts as token ids.
        places: Text and token of each place, Int [N, 2].
        said: The symbol that the teacher says there, as a number, Int [N].
        facts: What the step there recalls, by the text of the step.
        asked: Prompts that were given.
    """

    teacher: LanguageModel
    rows: Sequence[TracedIds]
    places: Int[Tensor, "N 2"]
    said: Int[Tensor, "N"]
    facts: tuple[str, ...]
    asked: int

    @property
    def sites(self) -> list[Site]:
        """All that are measured."""
        return [
            Site(layer, back) for layer in range(self.teacher.depth + 1) for back in range(BACK)
        ]

    def some(self, count: int = MEASURED) -> Int[Tensor, "M"]:
        """Places of different texts, one of each, and `count` at most."""
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(len(self.places), generator=generator)
        first: dict[int, int] = {}
        for index in order.tolist():
            first.setdefault(int(self.places[index, 0]), index)
        return torch.tensor(sorted(list(first.values())[:count]))

    def states(
        self, sites: Sequence[Site], chosen: Int[Tensor, "M"]
    ) -> dict[Site, Float[Tensor, "M D"]]:
        """States at `chosen` places, float32."""
        layers = sorted({site.layer for site in sites})
        found = {site: torch.empty(len(chosen), self.teacher.width) for site in sites}
        for part, ids, ends in self._batches(chosen):
            with torch.no_grad(), record(self.teacher.model, layers=layers) as recording:
                decoder(self.teacher.model)(input_ids=ids, use_cache=False)
            lines = torch.arange(len(part))
            for site in sites:
                at = (ends - site.back).clamp_min(0)
                found[site][part] = recording.states[site.layer][lines, at].float().cpu()
        return found

    def attributions(
        self, sites: Sequence[Site], chosen: Int[Tensor, "M"]
    ) -> tuple[dict[Site, Float[Tensor, "M D"]], dict[Site, float]]:
        """Gradient times state at `chosen` places, and what share of its layer's each site has.

        The gradient is that of the logit of the symbol that the teacher says there (Simonyan et
        al., 2014; times the input, Shrikumar et al., 2017). A share is a mean over places of
        absolute attributions, by their sum over all tokens that the place can see.
        """
        layers = sorted({site.layer for site in sites})
        found = {site: torch.empty(len(chosen), self.teacher.width) for site in sites}
        own = dict.fromkeys(sites, 0.0)
        for part, ids, ends in self._batches(chosen):
            lines = torch.arange(len(part))
            for layer, its in self._gradients(ids, ends, layers).items():
                whole = its.sum(dim=-1).abs()
                whole = whole / whole.sum(dim=-1, keepdim=True).clamp_min(1e-12)
                for site in (site for site in sites if site.layer == layer):
                    at = (ends - site.back).clamp_min(0)
                    found[site][part] = its[lines, at].cpu()
                    own[site] += float(whole[lines, at].sum())
        return found, {site: total / len(chosen) for site, total in own.items()}

    def _gradients(
        self, ids: TokenIds, ends: Int[Tensor, "B"], layers: Sequence[int]
    ) -> dict[int, Float[Tensor, "B T D"]]:
        """Gradient times state at every token, by layer."""
        model, lines = self.teacher.model, torch.arange(len(ids))
        with (
            torch.enable_grad(),
            rewrite(model, layer=0, change=lambda states: states.detach().requires_grad_()),
            record(model, layers=layers) as recording,
        ):
            output = decoder(model)(input_ids=ids, use_cache=False)
            final: Tensor = output.last_hidden_state
            said = logits_of(model, final[lines, ends]).max(dim=-1).values.sum()
            states = [recording.states[layer] for layer in layers]
            slopes = torch.autograd.grad(said, states)
        pairs = zip(layers, states, slopes, strict=True)
        return {layer: (state * slope).detach().float() for layer, state, slope in pairs}

    def _batches(
        self, chosen: Int[Tensor, "M"]
    ) -> Iterator[tuple[Int[Tensor, "B"], TokenIds, Int[Tensor, "B"]]]:
        """Which of `chosen`, their texts, and the token of the place in each."""
        for part in torch.arange(len(chosen)).split(BATCH):
            its = self.places[chosen[part]]
            ids = self.teacher.padded([self.rows[text].ids for text in its[:, 0].tolist()])
            yield part, ids, its[:, 1].to(ids.device)


def survey(teacher: LanguageModel, grammar: Grammar, *, prompts: int, rng: random.Random) -> Survey:
    """Poses `prompts` different questions at most, and reads what the teacher writes under them.

    Nothing but the form of the texts is used. Which facts there are, the grammar is asked for one
    thing: texts that recall others, which the teacher is not to teach, are left out.

    Raises:
        CompatibilityError: there are too few texts that the grammar can read, or all say the same.
    """
    drawn = [grammar.question(rng, rng.choice(grammar.levels)).text for _ in range(prompts)]
    questions = list(dict.fromkeys(drawn))
    taught = set(grammar.facts)
    traces = [
        trace
        for trace in written(teacher, grammar, questions, level=grammar.levels[-1])
        if taught.issuperset(map(grammar.recalled, trace.steps))
    ]
    its = _surveyed(teacher, grammar, traces, len(questions)) if len(traces) >= FEWEST else None
    if its is None or len(set(its.facts)) < 2 or len(its.said.unique()) < 2:
        raise CompatibilityError(
            f"expected {FEWEST} texts of {grammar.name} about different facts, found {len(traces)}"
            f" that can be read among {len(questions)} of {teacher.name}; raise `prompts`, or is"
            " this the right teacher for the domain?"
        )
    return its


def _surveyed(
    teacher: LanguageModel, grammar: Grammar, traces: Sequence[Trace], asked: int
) -> Survey:
    rows = [teacher.encode_trace(trace) for trace in traces]
    places, said, facts = [], [], []
    for text, (row, trace) in enumerate(zip(rows, traces, strict=True)):
        for at, step in zip(row.due, trace.steps, strict=True):
            places.append((text, at))
            said.append(grammar.symbols.index(step.result))
            facts.append(grammar.recalled(step))
    return Survey(teacher, rows, torch.tensor(places), torch.tensor(said), tuple(facts), asked)

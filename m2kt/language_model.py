"""A frozen causal language model with its tokenizer.

Owns: loading by name, the model's card, exact text to token ids and back.
Does not own: how completions are made (completion), adapters and memories attached to it
(cal), its hidden states (activations).
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from m2kt.activations import decoder_layers, states_at
from m2kt.completion import EndOfContextError, batches_by_length, greedy
from m2kt.domain import Trace
from m2kt.errors import CompatibilityError
from m2kt.identity import ModelCard
from m2kt.packaged import PACKAGED, name_of, source_of
from m2kt.packaged import SMOLLM2 as SMOLLM2
from m2kt.tensors import TokenIds, digest_state

ADAPTER: Final = "adapter_config.json"
"""What a folder of peft has instead of `config.json`."""

SMALL: Final = 20_000_000
"""Models with fewer parameters compute in float32: for them it is faster and exact."""

PRODUCT: Final = 512
"""Side of the matrices whose product tells which type is quicker."""

RESERVED: Final = 2
"""Rows at most that a table of positions has beside those of tokens; OPT has two."""


@final
@dataclass(frozen=True, slots=True)
class TracedIds:
    """A trace as token ids.

    Attributes:
        ids: Prompt, then completion.
        prompt_length: Tokens of the prompt.
        due: For each step, the index of the token after which its result is due.
    """

    ids: tuple[int, ...]
    prompt_length: int
    due: tuple[int, ...]


@final
class LanguageModel:
    """A causal LM whose weights never change.

    Attributes:
        name: How it was asked for; of a folder its last part.
        model: The Hugging Face model, in eval mode, every parameter frozen.
        tokenizer: Its tokenizer.
        device: Where it computes.
        lineage: Names of what it descends from, nearest first.
    """

    def __init__(
        self,
        name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        device: str,
        lineage: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.lineage = tuple(lineage)
        self.model = model.to(device).eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.device = device

    @property
    def width(self) -> int:
        """H, the width of the residual stream."""
        return int(self.model.config.hidden_size)

    @property
    def depth(self) -> int:
        """L, the number of decoder layers."""
        return len(decoder_layers(self.model))

    @cached_property
    def positions(self) -> int | None:
        """Tokens that a text may have, where the model looks positions up in a table; else None.

        One more would be an error on a CPU. On a GPU it would end all that the process does there.
        """
        most: int | None = getattr(self.model.config, "max_position_embeddings", None)
        tokens = self.model.get_input_embeddings()
        if most is None:
            return None
        learnt = [
            m for m in self.model.modules() if isinstance(m, nn.Embedding) and m is not tokens
        ]
        fixed = [its for name, its in self.model.named_buffers() if "pos" in name and its.ndim == 2]
        rows = [(len(its.weight), its.padding_idx) for its in learnt]
        rows += [(len(its), None) for its in fixed]
        found = [
            most if padding is None or count > most else most - padding - 1
            for count, padding in rows
            if 0 <= count - most <= RESERVED
        ]
        return min(found, default=None)

    @cached_property
    def card(self) -> ModelCard:
        """What others may know of it."""
        return ModelCard(
            family=str(self.model.config.model_type),
            hidden_size=self.width,
            layers=self.depth,
            parameters=sum(p.numel() for p in self.model.parameters()),
            weights_digest=digest_state(self.model.state_dict()),
            base_lineage=(self.name, *self.lineage),
        )

    @cached_property
    def _opening(self) -> list[int]:
        """Ids that this model wants before any text (a beginning-of-sequence token, or none)."""
        with_special = self.tokenizer("a", add_special_tokens=True)["input_ids"]
        bare = self._bare("a")
        at = next((i for i in range(len(with_special)) if with_special[i:][: len(bare)] == bare), 0)
        return list(with_special[:at])

    def _bare(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, with the opening that the model wants.

        Raises:
            CompatibilityError: the model has no positions for so many.
        """
        return self._fitting(self._opening + self._bare(text))

    def _fitting(self, ids: list[int]) -> list[int]:
        if self.positions is not None and len(ids) > self.positions:
            raise CompatibilityError(
                f"expected texts that fit into the {self.positions} positions of {self.name}, found"
                f" {len(ids)} tokens; give shorter texts, or fewer or shorter examples"
            )
        return ids

    def symbol_ids(self, symbols: Sequence[str]) -> list[int]:
        """The token with which each state symbol begins.

        Raises:
            CompatibilityError: two symbols begin with the same token.
        """
        ids = [self._bare(symbol)[0] for symbol in symbols]
        if len(set(ids)) != len(ids):
            raise CompatibilityError(
                "expected state symbols that begin with different tokens, found a clash in the"
                f" tokenizer of {self.name}; rename the symbols of the domain"
            )
        return ids

    def symbol_directions(self, symbols: Sequence[str]) -> Float[Tensor, "S H"]:
        """Where the model says each symbol: its output embedding about their mean, of length one.

        Raises:
            CompatibilityError: two symbols begin with the same token.
        """
        ids = self.symbol_ids(symbols)
        rows = self.model.get_output_embeddings().weight.detach()[ids].float()
        return F.normalize(rows - rows.mean(dim=0), dim=1)

    def encode_trace(self, trace: Trace) -> TracedIds:
        """Token ids of a trace, cut so that a token begins wherever a result does.

        Raises:
            CompatibilityError: the model has no positions for so many.
        """
        text, cuts = trace.text, [len(trace.prompt)]
        for step, offset in zip(trace.steps, trace.due(), strict=True):
            cuts += [offset, offset + len(step.result)]
        ids, due, last = list(self._opening), [], 0
        prompt_length = 0
        for number, cut in enumerate([*cuts, len(text)]):
            ids += self._bare(text[last:cut])
            last = cut
            if number == 0:
                prompt_length = len(ids)
            elif number % 2 == 1 and number < len(cuts):
                due.append(len(ids) - 1)
        return TracedIds(tuple(self._fitting(ids)), prompt_length, tuple(due))

    def padded(self, rows: Sequence[Sequence[int]]) -> TokenIds:
        """Rows of ids, padded on the right to one length. Causal attention ignores the padding."""
        width = max(len(row) for row in rows)
        pad = self._pad
        padded = [list(row) + [pad] * (width - len(row)) for row in rows]
        return torch.tensor(padded, device=self.device)

    @property
    def _pad(self) -> int:
        for candidate in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0):
            if candidate is not None:
                return int(candidate)
        return 0

    @torch.no_grad()
    def last_states(self, texts: Sequence[str], *, layer: int) -> Float[Tensor, "N H"]:
        """Hidden state `layer` at the last token of each text, float32, on the CPU."""
        rows = [self.encode(text) for text in texts]
        found = torch.empty(len(rows), self.width)
        for batch in batches_by_length(rows, 64):
            states = states_at(self.model, self.padded([rows[i] for i in batch]), layer=layer)
            ends = torch.tensor([len(rows[i]) - 1 for i in batch], device=self.device)
            picked = states[torch.arange(len(batch), device=self.device), ends]
            found[batch] = picked.float().cpu()
        return found

    @torch.no_grad()
    def complete(self, prompts: Sequence[str], *, max_new_tokens: int) -> list[str]:
        """Greedy completions, one for each prompt, of at most `max_new_tokens` tokens.

        Raises:
            CompatibilityError: the model has no positions for so many tokens.
        """
        rows = [self.encode(prompt) for prompt in prompts]
        try:
            written = greedy(
                self.model,
                rows,
                max_new_tokens=max_new_tokens,
                pad=self._pad,
                positions=self.positions,
            )
        except EndOfContextError as error:
            raise CompatibilityError(
                f"expected prompts and completions that fit into the {self.positions} positions of"
                f" {self.name}, found {error}; give fewer or shorter examples"
            ) from error
        texts: list[str] = self.tokenizer.batch_decode(
            written, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return texts


def compute_dtype(parameters: int, device: str) -> torch.dtype:
    """What a model computes in: of a GPU's half types the better, on a CPU what is quicker."""
    if parameters < SMALL:
        return torch.float32
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return _quicker_type()


@cache
def _quicker_type() -> torch.dtype:
    """It is tried out: a processor that has bfloat16 may still be quicker in float32."""
    return min((torch.float32, torch.bfloat16), key=_product_s)


def _product_s(dtype: torch.dtype) -> float:
    """Seconds that a product of two matrices takes at best."""
    matrix, taken = torch.ones(PRODUCT, PRODUCT, dtype=dtype), []
    for _ in range(10):
        began_s = time.perf_counter()
        torch.mm(matrix, matrix)
        taken.append(time.perf_counter() - began_s)
    return min(taken)


def load_language_model(name: str, *, device: str = "cpu") -> LanguageModel:
    """Loads a frozen model: a packaged one such as `smollm2-135m`, a folder, or a Hugging Face id.

    A folder may hold adapters of peft alone: they are merged into the model that they name.

    Raises:
        CompatibilityError: there is no such model, or it is no causal LM.
    """
    try:
        model, tokenizer, lineage = _loaded(name)
    except (OSError, ValueError) as error:
        install = f", or {PACKAGED[name].install}" if name in PACKAGED else ""
        raise CompatibilityError(
            f"expected a causal LM called {name!r} ({', '.join(PACKAGED)}, a folder, or a Hugging"
            f" Face id), found none that loads: {str(error)[:200]}; check the name{install}"
        ) from error
    dtype = compute_dtype(sum(p.numel() for p in model.parameters()), device)
    folder = Path(name).absolute()
    called = folder.name if folder.is_dir() else name  # others need not know where it lies
    return LanguageModel(called, model.to(dtype), tokenizer, device, lineage)


def _base_of(settings: Path) -> str:
    """The model that adapters are for: one of ours, a Hugging Face id, or a whole model's folder.

    Raises:
        ValueError: they name none, or a folder of other adapters.
    """
    base = json.loads(settings.read_text()).get("base_model_name_or_path")
    if not isinstance(base, str) or not base or (Path(base) / ADAPTER).exists():
        raise ValueError(
            f"expected base_model_name_or_path in {settings} to name a whole model, found {base!r}"
        )
    return name_of(base)


def _loaded(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, tuple[str, ...]]:
    """Model in float32, tokenizer, and the names of what adapters were merged into."""
    settings = Path(name) / ADAPTER
    if settings.exists():
        from peft import PeftModel  # slow to import, and few models need it

        base = _base_of(settings)
        model, tokenizer, lineage = _loaded(base)
        merged: PreTrainedModel = PeftModel.from_pretrained(model, name).merge_and_unload()
        return merged, tokenizer, (Path(base).name if Path(base).is_dir() else base, *lineage)
    source = source_of(name)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(source), ()

"""Reading and writing the residual stream: the only file that hooks a model.

Hidden state 0 is what the first decoder layer receives, hidden state l what layer
l receives, hidden state L what the last layer of L hands on. Hooks are global
state, so every hook here lives in a `with` and is gone when the `with` ends.

Owns: finding the decoder layers of any Hugging Face causal LM, `record`, `rewrite`,
`states_at` (run the lower layers only), `resume` (run the upper layers only), `remember`
and `resume_at` (run the upper layers at single places of texts that they have seen).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from m2kt.errors import CompatibilityError
from m2kt.tensors import Hidden, TokenIds

SAME = 0.999
"""Cosine from which on two hidden states differ by rounding only."""


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The list of decoder layers: the shallowest `ModuleList` of `num_hidden_layers` modules.

    Raises:
        CompatibilityError: there is none; the model is not a decoder that we know how to read.
    """
    config = getattr(model, "config", None)
    count = getattr(config, "num_hidden_layers", None)
    found = [
        (name.count("."), module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if not found:
        raise CompatibilityError(
            f"expected a causal LM with a list of {count} decoder layers, found"
            f" {type(model).__name__} without one; use a decoder-only Hugging Face model"
        )
    return min(found, key=lambda pair: pair[0])[1]


def decoder(model: nn.Module) -> nn.Module:
    """The model without its language-model head: token ids to final hidden states."""
    inner = getattr(model, "get_decoder", None)
    found = inner() if callable(inner) else getattr(model, "base_model", None)
    if not isinstance(found, nn.Module):
        raise CompatibilityError(f"expected a decoder inside {type(model).__name__}, found none")
    return found


def _first(output: Tensor | tuple[Any, ...]) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


@final
@dataclass(slots=True)
class Recording:
    """Hidden states of the last forward pass, by number."""

    states: dict[int, Hidden] = field(default_factory=dict)


@contextmanager
def record(model: nn.Module, *, layers: Sequence[int]) -> Iterator[Recording]:
    """Keeps the hidden states `layers` of every forward pass inside the `with`.

    Raises:
        CompatibilityError: a number is not in 0..L.
    """
    recording, modules, handles = Recording(), decoder_layers(model), []
    for number in layers:
        _check_number(number, len(modules))

        def keep(states: Tensor, number: int = number) -> None:
            recording.states[number] = states

        handles.append(_on_state(modules, number, keep))
    try:
        yield recording
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def rewrite(model: nn.Module, *, layer: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replaces hidden state `layer` by `change` of it, inside the `with`."""
    modules = decoder_layers(model)
    _check_number(layer, len(modules) - 1)
    handle = modules[layer].register_forward_pre_hook(
        lambda _module, args, kwargs: _with_states(args, kwargs, change), with_kwargs=True
    )
    try:
        yield
    finally:
        handle.remove()


class _EnoughError(Exception):
    """Carries a hidden state out of a forward pass that need not go on."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


def states_at(
    model: nn.Module, ids: TokenIds, *, layer: int, positions: TokenIds | None = None
) -> Hidden:
    """Hidden state `layer` of `ids`, without running the layers above it; `resume` tells more.

    What rewrites this state has not yet done so: resumed from here, it does.
    """
    modules = decoder_layers(model)
    _check_number(layer, len(modules))

    def stop(states: Tensor) -> None:
        raise _EnoughError(states)

    handle = _on_state(modules, layer, stop, first=True)
    try:
        decoder(model)(input_ids=ids, position_ids=positions, use_cache=False)
    except _EnoughError as enough:
        return enough.states
    finally:
        handle.remove()
    raise CompatibilityError(f"expected hidden state {layer} to be reached, and it was not")


def resume(
    model: nn.Module,
    ids: TokenIds,
    states: Hidden,
    *,
    layer: int,
    positions: TokenIds | None = None,
) -> Hidden:
    """Final hidden states of `ids` (after the last norm), from hidden state `layer` on.

    The layers below `layer` do not run; `ids` still give positions and masks. Several texts
    may stand in one row of `ids`, if `positions` starts at 0 with each: none sees another.
    """
    with _from(model, layer, states):
        output = decoder(model)(input_ids=ids, position_ids=positions, use_cache=False)
    final_states: Tensor = output.last_hidden_state
    return final_states


@contextmanager
def _from(model: nn.Module, layer: int, states: Hidden) -> Iterator[None]:
    """Inside the `with` a forward pass begins with hidden state `layer`, which is `states`."""
    modules = decoder_layers(model)
    _check_number(layer, len(modules) - 1)
    originals = list(modules)
    handle = modules[layer].register_forward_pre_hook(
        lambda _module, args, kwargs: _with_states(args, kwargs, lambda _: states),
        with_kwargs=True,
        prepend=True,
    )
    try:
        for index in range(layer):
            modules[index] = _Passed(originals[index])
        yield
    finally:
        handle.remove()
        for index in range(layer):
            modules[index] = originals[index]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """What a frozen model keeps of B texts of at most T tokens.

    Attributes:
        ids: The texts, padded on the right, Int [B, T].
        states: Their hidden state `layer`, Float [B, T, H].
        layer: Which hidden state that is.
        past: For each layer from `layer` on, keys and values, Float [B, heads, T, width].
    """

    ids: TokenIds
    states: Hidden
    layer: int
    past: tuple[tuple[Tensor, Tensor], ...]


@torch.no_grad()
def remember(model: nn.Module, ids: TokenIds, *, layer: int) -> Remembered:
    """Reads texts once, so that `resume_at` need not read them again."""
    with record(model, layers=[layer]) as recording:
        output = decoder(model)(input_ids=ids, use_cache=True)
    layers = getattr(getattr(output, "past_key_values", None), "layers", None)
    if layers is None:
        raise CompatibilityError(
            f"expected a decoder that keeps keys and values, found {type(model).__name__};"
            " architectures without attention are not supported yet"
        )
    past = tuple((part.keys, part.values) for part in layers[layer:])
    return Remembered(ids, recording.states[layer], layer, past)


@torch.no_grad()
def rows_can_be_shared(model: nn.Module, first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether two texts in one row leave each other alone, given positions: it is tried out."""
    if "position_ids" not in signature(decoder(model).forward).parameters:
        return False
    device = next(model.parameters()).device
    row = torch.tensor([[*first, *second]], device=device)
    positions = torch.tensor([[*range(len(first)), *range(len(second))]], device=device)
    states = decoder(model)(input_ids=row, position_ids=positions, use_cache=False)
    alone = decoder(model)(input_ids=row[:, len(first) :], use_cache=False).last_hidden_state
    together = states.last_hidden_state[:, len(first) :]
    alike = F.cosine_similarity(together.float(), alone.float(), dim=-1)  # bfloat16 has 1/256
    return bool(alike.min() > SAME)


def resume_at(
    model: nn.Module,
    seen: Remembered,
    rows: Int[Tensor, "N"],
    columns: Int[Tensor, "N"],
    states: Float[Tensor, "N H"],
) -> Float[Tensor, "N H"]:
    """Final hidden states at N places of texts, if hidden state `layer` there were `states`.

    A place is worked on alone: one token through the layers from `layer` on, which remember
    what stood before it. What `states` would change at later places is nobody's concern.
    """
    cache, length = DynamicCache(), seen.ids.shape[1]
    unread = states.new_zeros(1, 1, 1, 1).expand(len(rows), 1, length, 1)
    for number in range(seen.layer):
        cache.update(unread, unread, number)  # layers that do not run: their length counts
    for number, (keys, values) in enumerate(seen.past, seen.layer):
        cache.update(keys[rows], values[rows], number)
    before = torch.arange(length, device=rows.device) < columns[:, None]
    with _from(model, seen.layer, states[:, None]):
        output = decoder(model)(
            input_ids=seen.ids[rows, columns][:, None],
            attention_mask=torch.cat([before, before.new_ones(len(rows), 1)], dim=1).long(),
            position_ids=columns[:, None],
            past_key_values=cache,
            use_cache=True,
        )
    final_states: Tensor = output.last_hidden_state[:, 0]
    return final_states


def logits_of(
    model: nn.Module, states: Float[Tensor, "N H"], tokens: Int[Tensor, "S"] | None = None
) -> Float[Tensor, "N V"]:
    """Logits from final hidden states, over the whole vocabulary or over `tokens` alone."""
    head: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
    if tokens is None:
        logits: Tensor = head(states)
    else:
        weight: Tensor = head.weight  # type: ignore[assignment]
        bias: Tensor | None = getattr(head, "bias", None)
        logits = F.linear(states, weight[tokens], None if bias is None else bias[tokens])
    cap = getattr(model.config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits


@contextmanager
def contiguous_head(model: nn.Module) -> Iterator[None]:
    """Hands the head contiguous states: for a slice, PyTorch copies the weights once a row."""
    head: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
    handle = head.register_forward_pre_hook(lambda _module, args: (args[0].contiguous(),))
    try:
        yield
    finally:
        handle.remove()


class _Passed(nn.Module):
    """Stands in for a layer below the cut: hands its input on, answers for its attributes."""

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        object.__setattr__(self, "_original", original)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the layer has
        return getattr(object.__getattribute__(self, "_original"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
        """Hands the hidden states on."""
        states: Tensor = args[0] if args else kwargs["hidden_states"]
        return states


def _check_number(number: int, most: int) -> None:
    if not 0 <= number <= most:
        raise CompatibilityError(
            f"expected a hidden state between 0 and {most}, found {number}; choose a layer that"
            " the model has"
        )


def _with_states(
    args: tuple[Any, ...], kwargs: dict[str, Any], change: Callable[[Tensor], Tensor]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if args:
        return (change(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}


def _on_state(
    modules: nn.ModuleList, number: int, see: Callable[[Tensor], None], *, first: bool = False
) -> torch.utils.hooks.RemovableHandle:
    """Calls `see` with hidden state `number` whenever it passes by, `first` before any rewrite."""
    if number < len(modules):

        def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            see(args[0] if args else kwargs["hidden_states"])

        return modules[number].register_forward_pre_hook(before, with_kwargs=True, prepend=first)
    return modules[-1].register_forward_hook(lambda _m, _i, output: see(_first(output)))

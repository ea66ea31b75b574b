"""Tensors: the letters of their dimensions, their bytes, their digest.

Dimension key, used in every annotation of this library:

    K concepts          M exemplars of a concept     D width of the teacher (dT)
    H width of the student (dS)                      N trace steps     J kept per map
    B batch             T tokens                     V vocabulary      S state symbols

Owns: the aliases, means by group, raw little-endian bytes of a tensor, what rounding to
travel may do to a mean, the digest of a state dict.
Does not own: where tensors lie in a payload (wire).
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.digest import Digest, digest_of_stream
from m2kt.errors import ShapeError

Scalar = Float[Tensor, ""]
ConceptMeans = Float[Tensor, "K D"]
Exemplars = Float[Tensor, "K M D"]
Hidden = Float[Tensor, "B T H"]
ConceptKeys = Float[Tensor, "K H"]
ConceptValues = Float[Tensor, "K H"]
Attention = Float[Tensor, "B T K"]
TokenIds = Int[Tensor, "B T"]


def mean_by(
    groups: Int[Tensor, "N"], rows: Float[Tensor, "N W"], count: int
) -> Float[Tensor, "G W"]:
    """Mean of the rows of each of `count` groups; every group has at least one row."""
    sums = rows.new_zeros(count, rows.shape[1]).index_add(0, groups, rows)
    return sums / torch.bincount(groups, minlength=count)[:, None]


class Dtype(StrEnum):
    """Element types that travel. All little-endian."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    I8 = "i8"
    I32 = "i32"


TORCH_DTYPES: Final[dict[Dtype, torch.dtype]] = {
    Dtype.F32: torch.float32,
    Dtype.F16: torch.float16,
    Dtype.BF16: torch.bfloat16,
    Dtype.I8: torch.int8,
    Dtype.I32: torch.int32,
}


def dtype_of(tensor: Tensor) -> Dtype:
    """The travelling type of `tensor`.

    Raises:
        ShapeError: its type does not travel.
    """
    for name, dtype in TORCH_DTYPES.items():
        if tensor.dtype == dtype:
            return name
    allowed = ", ".join(TORCH_DTYPES)
    raise ShapeError(f"expected a tensor of type {allowed}, found {tensor.dtype}; convert it first")


def bytes_of(tensor: Tensor) -> memoryview:
    """The raw bytes of `tensor` in row-major order; no copy if it is contiguous on the CPU."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy().data)


def byte_count(dtype: Dtype, shape: Sequence[int]) -> int:
    """Bytes of a tensor, computed with Python integers (they do not overflow)."""
    return math.prod(shape) * TORCH_DTYPES[dtype].itemsize


def tensor_from_bytes(raw: bytes | memoryview, dtype: Dtype, shape: Sequence[int]) -> Tensor:
    """A tensor over a private copy of `raw`.

    Raises:
        ShapeError: the length of `raw` is not what `dtype` and `shape` need.
    """
    needed, found = byte_count(dtype, shape), len(raw)
    if needed != found or min(shape, default=1) < 0:
        raise ShapeError(
            f"expected {needed} bytes for {dtype} {tuple(shape)}, found {found}; the packet's"
            " tensor table and its payload disagree"
        )
    if needed == 0:
        return torch.zeros(tuple(shape), dtype=TORCH_DTYPES[dtype])
    return torch.frombuffer(bytearray(raw), dtype=TORCH_DTYPES[dtype]).reshape(tuple(shape))


def digest_state(state: Mapping[str, Tensor]) -> Digest:
    """Digest of a state dict: names in sorted order, each with type, shape and bytes."""

    def parts() -> list[bytes | memoryview]:
        found: list[bytes | memoryview] = []
        for name in sorted(state):
            tensor = state[name]
            found.append(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
            found.append(bytes_of(tensor))
        return found

    return digest_of_stream(parts())


def rounding_of_mean(exemplars: Float[Tensor, "M D"]) -> Float[Tensor, "D"]:
    r"""By how much c_k may be off the mean of exemplars that were rounded to travel.

    .. math:: (2u + M 2^{-24}) \overline{|x|} + 2^{-24} + \bar{s} / 2,\quad u = 2^{-8}

    c_k and x were each rounded once to bfloat16 or finer (float16 has an absolute error of
    2^-25 besides), after a sum of M terms in float32. The last term is there if each x is a
    whole multiple of its s = max|x| / 127, as int8 leaves it.
    """
    steps = exemplars.abs().amax(dim=1, keepdim=True) / 127
    multiples = exemplars / steps.clamp_min(1e-300)
    on_grid = bool(((multiples - multiples.round()).abs() < 1e-3).all())
    rounded = (2 * 2**-8 + len(exemplars) * 2**-24) * exemplars.abs().mean(dim=0) + 2**-24
    return rounded + steps.mean() / 2 * on_grid

"""m2kt.tensors: raw bytes of tensors, and digests of state dicts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from m2kt.errors import ShapeError
from m2kt.tensors import (
    TORCH_DTYPES,
    Dtype,
    byte_count,
    bytes_of,
    digest_state,
    dtype_of,
    mean_by,
    tensor_from_bytes,
)

shapes = st.lists(st.integers(0, 4), max_size=4)


@given(st.sampled_from(list(Dtype)), shapes, st.integers(0, 99))
def test_a_tensor_survives_its_bytes(dtype, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    tensor = (9 * torch.randn(shape, generator=generator)).to(TORCH_DTYPES[dtype])
    raw = bytes_of(tensor)
    assert len(raw) == byte_count(dtype, shape)
    again = tensor_from_bytes(raw, dtype, shape)
    assert dtype_of(again) is dtype
    assert torch.equal(again, tensor)


def test_bytes_are_little_endian_and_row_major():
    tensor = torch.tensor([[1, 2], [3, 256]], dtype=torch.int32)
    assert bytes(bytes_of(tensor)) == bytes.fromhex("01000000 02000000 03000000 00010000")
    assert bytes(bytes_of(tensor.T)) == bytes.fromhex("01000000 03000000 02000000 00010000")


def test_a_tensor_over_bytes_has_a_copy_of_its_own():
    raw = bytearray(4)
    tensor = tensor_from_bytes(memoryview(raw), Dtype.F32, (1,))
    raw[:] = b"\xff" * 4
    assert tensor.item() == 0.0


@pytest.mark.parametrize(("length", "shape"), [(3, (1,)), (8, (1,)), (4, (-1, -1)), (0, (1,))])
def test_bytes_that_do_not_fit_the_shape_are_refused(length, shape):
    with pytest.raises(ShapeError, match="expected"):
        tensor_from_bytes(bytes(length), Dtype.F32, shape)


def test_sizes_do_not_overflow():
    assert byte_count(Dtype.F32, (2**31, 2**31, 2**31)) == 2**95


def test_a_type_that_does_not_travel_is_refused():
    with pytest.raises(ShapeError, match="float64"):
        dtype_of(torch.zeros(1, dtype=torch.float64))


def test_a_state_has_one_digest_whatever_its_order():
    one, two = torch.zeros(2), torch.ones(3)
    assert digest_state({"a": one, "b": two}) == digest_state({"b": two, "a": one})


@pytest.mark.parametrize(
    "other",
    [{"a": torch.zeros(3)}, {"b": torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.int32)}],
)
def test_name_shape_and_type_are_part_of_the_digest(other):
    assert digest_state({"a": torch.zeros(2)}) != digest_state(other)


def test_one_bit_changes_the_digest():
    tensor = torch.ones(5)
    before = digest_state({"a": tensor})
    tensor[3] = torch.nextafter(tensor[3], torch.tensor(2.0))
    assert digest_state({"a": tensor}) != before


def test_means_are_taken_group_by_group():
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]])
    means = mean_by(torch.tensor([1, 0, 1]), rows, 2)
    assert torch.equal(means, torch.tensor([[3.0, 4.0], [3.0, 1.0]]))

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from m2kt.blend import Share
from m2kt.cal import CALConfig, ConceptAlignmentLayer
from m2kt.losses import (
    LossParts,
    LossWeights,
    geometry_loss,
    reasoning_loss,
    safety_loss,
    structure_divergence,
    structure_figures,
    structure_loss,
    structure_loss_l1,
)


def projecting(kind: str) -> ConceptAlignmentLayer:
    """A layer that projects five concepts of width 6 to width 8, in double precision."""
    shares = [Share(rows(5, 6, 5), torch.arange(5), torch.ones(5))]
    config = CALConfig(projection=kind, projection_width=7)
    return ConceptAlignmentLayer(config, rows(5, 8, 6), shares, seed=0).double()


def rows(count: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_geometry_is_zero_at_the_target_and_grows_with_the_square():
    values = rows(4, 3, 0)
    assert geometry_loss(values, values) == 0
    assert geometry_loss(values + 2, values) == pytest.approx(
        4 * float(geometry_loss(values + 1, values))
    )


@given(st.integers(0, 1000))
def test_both_forms_of_structure_have_their_optimum_at_the_teachers_map(seed):
    teacher, student = rows(5, 6, seed).softmax(-1), rows(5, 6, seed + 1).softmax(-1)
    assert structure_loss_l1(teacher, teacher) == 0
    assert structure_loss_l1(teacher, student) >= 0
    assert structure_loss(teacher, teacher) <= structure_loss(teacher, student) + 1e-4


def test_divergence_of_structure_is_that_of_kullback_and_leibler():
    teacher, student = rows(5, 6, 1).softmax(-1), rows(5, 6, 2).softmax(-1)
    wanted = torch.nn.functional.kl_div(student.log(), teacher, reduction="batchmean")
    assert float(structure_divergence(teacher, student)) == pytest.approx(float(wanted), abs=1e-4)
    assert float(structure_divergence(teacher, teacher)) == 0.0
    found = structure_figures(teacher, student, student.argmax(dim=-1))
    assert found["divergence_structure"] == float(structure_divergence(teacher, student))
    assert found["structure_agreement"] == 1.0
    elsewhere = (student.argmax(dim=-1) + 1) % student.shape[1]
    assert structure_figures(teacher, student, elsewhere)["structure_agreement"] == 0.0


def test_reasoning_is_zero_for_a_certain_and_right_student():
    logits = torch.full((2, 3), -100.0)
    logits[0, 1] = logits[1, 2] = 100.0
    assert reasoning_loss(logits, torch.tensor([1, 2])) == 0
    assert reasoning_loss(logits, torch.tensor([2, 1])) > 100


def test_the_gradient_of_safety_is_that_of_finite_differences():
    values = rows(3, 4, 1).double().requires_grad_(True)
    directions = rows(2, 4, 2).double()

    def penalty(v: torch.Tensor) -> torch.Tensor:
        return safety_loss(v, directions, margin=0.1, sharpness=10.0)

    assert torch.autograd.gradcheck(penalty, (values,))
    penalty(values).backward()
    assert float(values.grad.abs().max()) > 0


@pytest.mark.parametrize("kind", ["linear", "mlp", "low_rank"])
def test_the_gradient_of_safety_reaches_every_parameter_of_phi_and_no_other(kind):
    layer, directions = projecting(kind), rows(2, 8, 3).double()
    safety_loss(layer.values(), directions, margin=0.1, sharpness=10.0).backward()
    reached = {name for name, p in layer.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {name for name, _ in layer.named_parameters() if name.startswith("phi.")}


@pytest.mark.parametrize("kind", ["linear", "mlp", "low_rank"])
def test_the_gradient_of_safety_in_theta_is_that_of_finite_differences(kind):
    layer, directions, step = projecting(kind), rows(2, 8, 3).double(), 1e-6

    def penalty() -> torch.Tensor:
        return safety_loss(layer.values(), directions, margin=0.1, sharpness=10.0)

    penalty().backward()
    for parameter in layer.phi.parameters():
        along = parameter.grad / parameter.grad.norm()
        with torch.no_grad():
            parameter += step * along
            above = penalty()
            parameter -= 2 * step * along
            below = penalty()
            parameter += step * along
        slope = float((above - below) / (2 * step))
        assert slope == pytest.approx(float(parameter.grad.norm()), rel=1e-4)
        assert slope > 0


def test_the_papers_form_of_safety_would_have_no_gradient_in_theta():
    # Eq. 17 penalises c_k, which the student receives and cannot change.
    layer = projecting("mlp")
    penalty = safety_loss(layer.phi.means_0, rows(2, 6, 3).double(), margin=0.1, sharpness=10.0)
    assert not penalty.requires_grad


def test_descending_safety_turns_concepts_away_from_what_is_unsafe():
    directions = rows(2, 8, 3)
    values = (directions[:1].repeat(5, 1) + 0.1 * rows(5, 8, 4)).requires_grad_(True)
    optimizer = torch.optim.SGD([values], lr=1.0)
    first = safety_loss(values, directions, margin=0.1, sharpness=10.0)
    for _ in range(400):
        loss = safety_loss(values, directions, margin=0.1, sharpness=10.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3 * float(first.detach())


def test_without_unsafe_directions_safety_is_nothing():
    assert safety_loss(rows(2, 4, 0), torch.zeros(0, 4), margin=0.1, sharpness=1.0) == 0


def test_the_total_is_the_weighted_sum_of_its_parts():
    parts = LossParts(
        geometry=torch.tensor(1.0),
        structure=torch.tensor(2.0),
        reason=torch.tensor(3.0),
        safety=torch.tensor(4.0),
    )
    weights = LossWeights(geometry=1.0, structure=0.5, reason=2.0, safety=0.25)
    assert parts.total(weights) == 1 + 1 + 6 + 1
    assert parts.figures()["loss_reason"] == 3.0

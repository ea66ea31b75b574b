"""A student reads a packet: honest ones fit what traces tell, others are not read at all."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from m2kt import domains
from m2kt.bench.subjects import SUBJECTS, draw_lesson, load_model
from m2kt.domain import ConceptSpec
from m2kt.extract import ExtractConfig
from m2kt.packet import ActivationMaps, KnowledgePacket, Lesson
from m2kt.reading import MOST_NOISE, View, read, scaled
from m2kt.spaces import MOST_ANCHORS, SPACES, Anchors
from m2kt.testimony import told
from tests.packets import tiny_packet
from tests.votes import normal

S3 = domains.get("group.s3")


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    """Of the shipped teacher of S3: traces show 14 of its 36 products."""
    extract = ExtractConfig(reveal=0.4, traces_per_level=6)
    return draw_lesson(SUBJECTS[S3.name], extract)


@pytest.fixture(scope="module")
def packet(lesson) -> KnowledgePacket:
    return lesson.packets[0].packet


@pytest.fixture(scope="module")
def view() -> View:
    return View(S3, load_model("symbols-student").symbol_directions(S3.symbols))


@pytest.fixture(scope="module")
def shown(lesson, view) -> dict[str, str]:
    found = told(lesson.packets, view)
    assert 10 < len(found) < 20
    return found


def shuffled(packet: KnowledgePacket, seed: int) -> KnowledgePacket:
    """Every c_k belongs to a concept of chance."""
    order = torch.randperm(len(packet.concepts), generator=torch.Generator().manual_seed(seed))
    return replace(packet, means=packet.means[order], exemplars=packet.exemplars[order])


@pytest.mark.parametrize("name", SPACES)
def test_an_honest_packet_fits_and_says_what_its_teacher_knows(name, packet, shown, view):
    found = read(packet, shown, view, SPACES[name])
    assert found.fit > 0.9
    assert found.aligned is not None
    points = found.points(torch.arange(len(packet.concepts)))
    nearest = (F.normalize(points, dim=1) @ view.directions.T).argmax(dim=1).tolist()
    right = [S3.symbols[n] == S3.fact(c.id) for n, c in zip(nearest, packet.concepts, strict=True)]
    assert sum(right) > 0.9 * len(right), "hidden ones too"


@pytest.mark.parametrize("name", SPACES)
def test_an_honest_packet_is_near_to_itself_where_no_trace_tells(name, packet, shown, view):
    noise = read(packet, shown, view, SPACES[name]).noise
    assert noise.shape == (len(packet.concepts) - len(shown),)
    assert 0 < float(noise.mean()) < 0.1


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seed", range(4))
def test_a_packet_whose_concepts_are_shuffled_is_not_read(name, seed, packet, shown, view):
    found = read(shuffled(packet, seed), shown, view, SPACES[name])
    assert found.fit < 0.4, "one in six is chance"
    assert found.aligned is None
    assert found.noise.shape == (0,)


def test_what_others_are_told_is_enough(packet, shown, view):
    silent = replace(
        packet,
        traces=(),
        maps=ActivationMaps(torch.zeros(0, 1, dtype=torch.int32), torch.zeros(0, 1)),
    )
    assert read(silent, shown, view, SPACES["anchor_ridge"]).aligned is not None


@pytest.mark.parametrize("known", [{}, {"arith.mod7/1+1": "2"}])
def test_a_packet_of_which_nothing_is_told_is_not_read(known, packet, view):
    found = read(packet, known, view, SPACES["anchor_ridge"])
    assert (found.aligned, found.fit, found.noise.shape) == (None, 0.0, (0,))


def test_a_packet_is_not_read_where_every_symbol_is_told_once(packet, shown, view):
    once = {symbol: fact for fact, symbol in shown.items()}
    found = read(packet, {f: s for s, f in once.items()}, view, SPACES["anchor_ridge"])
    assert (found.aligned, found.fit) == (None, 0.0)


def test_where_one_symbol_alone_is_told_a_fit_is_no_merit(packet, shown, view):
    """Any map finds the one symbol that it has heard of."""
    symbol = max(shown.values(), key=list(shown.values()).count)
    only = {fact: its for fact, its in shown.items() if its == symbol}
    assert len(only) > 1
    assert read(packet, only, view, SPACES["anchor_ridge"]).aligned is None


def test_where_all_is_told_or_one_exemplar_is_all_there_is_there_is_no_noise(packet, shown, view):
    everything = {spec.id: S3.fact(spec.id) for spec in packet.concepts}
    found = read(packet, everything, view, SPACES["anchor_ridge"])
    assert found.aligned is not None
    assert found.noise.shape == (0,)
    single = replace(packet, exemplars=packet.means[:, None])
    found = read(single, shown, view, SPACES["anchor_ridge"])
    assert found.aligned is not None
    assert found.noise.shape == (0,)


def test_a_concept_whose_halves_say_different_things_is_far_from_itself(packet, shown, view):
    hidden = [row for row, spec in enumerate(packet.concepts) if spec.id not in shown]
    says = [S3.fact(packet.concepts[row].id) for row in hidden]
    other = next(row for row, symbol in zip(hidden, says, strict=True) if symbol != says[0])
    exemplars = packet.exemplars.clone()
    exemplars[hidden[0], 1::2] = packet.exemplars[other, 1::2]
    noise = read(replace(packet, exemplars=exemplars), shown, view, SPACES["anchor_ridge"]).noise
    assert float(noise[0]) > 0.5
    assert float(noise[1:].max()) < 0.1


def test_anchors_are_halved_too(packet, shown, view):
    """Were both maps the same, a concept with one exemplar over again would have no noise."""
    doubled = replace(packet, exemplars=packet.means[:, None].expand(-1, 4, -1))
    assert float(read(doubled, shown, view, SPACES["anchor_ridge"]).noise.mean()) > 1e-5


def test_the_only_anchor_of_a_symbol_is_in_both_halves(packet, shown, view):
    lone = shown[min(shown)]
    some = {f: its for f, its in shown.items() if its != lone or f == min(shown)}
    told_to: list[set[int]] = []

    def watched(anchors: Anchors) -> Callable[[Tensor], Tensor]:
        told_to.append(set(anchors.told.tolist()))
        return SPACES["anchor_ridge"](anchors)

    assert len(read(packet, some, view, watched).noise)
    assert all(S3.symbols.index(lone) in its for its in told_to)


def test_concepts_are_read_at_one_root_mean_square():
    means = normal(0, 5, 12).float() * torch.tensor([[0.1], [1.0], [7.0], [1e3], [2.0]])
    found = scaled(means)
    assert torch.allclose(found.square().mean(dim=1), torch.ones(5), atol=1e-3)
    assert torch.allclose(F.cosine_similarity(found, means), torch.ones(5))


def test_more_anchors_than_are_needed_are_thinned_out_evenly_and_noise_is_a_sample(view):
    count = 2 * MOST_ANCHORS + 10
    specs = tuple(ConceptSpec(id=f"d/{n}", gloss="", prompt=str(n)) for n in range(count))
    numbers = torch.arange(count) % len(S3.symbols)
    cloud = normal(0, 6, 8)[numbers][:, None] + 0.1 * normal(1, count, 2, 8)
    big = replace(
        tiny_packet(traces=0), concepts=specs, means=cloud.mean(dim=1).float(), exemplars=cloud
    )
    seen: list[Tensor] = []

    def watched(anchors: Anchors) -> Callable[[Tensor], Tensor]:
        seen.append(anchors.rows)
        return SPACES["anchor_ridge"](anchors)

    known = {spec.id: S3.symbols[n] for spec, n in zip(specs, numbers.tolist(), strict=True)}
    found = read(big, known, view, watched)
    assert found.aligned is not None
    assert torch.equal(seen[-1], scaled(big.means[::3]))
    assert max(len(rows) for rows in seen) <= MOST_ANCHORS
    some = {spec.id: known[spec.id] for spec in specs[:60]}
    assert read(big, some, view, watched).noise.shape == (MOST_NOISE,)

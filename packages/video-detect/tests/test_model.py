"""TGBFormer's parts: what must hold whatever the weights are (spec, section 8)."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from video_detect.models import TGBFormer, as_map, as_tokens
from video_detect.models.blender import Blender
from video_detect.models.detector import Encoder
from video_detect.models.graph import (
    SLOPE,
    GraphConvolution,
    edge_weights,
    near_window,
    nearest,
)
from video_detect.models.temporal import TemporalLayer

from .fakes import CONFIG, tiny_model


@pytest.fixture(scope="module")
def model() -> TGBFormer:
    return tiny_model()


def clip(frames: int = 5, seed: int = 1, dim: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, frames, dim, 4, 6, generator=generator)


def dense_reference(layer: GraphConvolution, x: Tensor, indices: Tensor, valid: Tensor) -> Tensor:
    """The graph convolution by a masked matrix of all tokens."""
    matrix = torch.zeros(x.shape[0], x.shape[1], x.shape[1], dtype=x.dtype)
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j, ok in zip(indices[b, i].tolist(), valid[b, i].tolist(), strict=True):
                matrix[b, i, j] += float(ok)
    rows, columns = matrix.sum(2, keepdim=True), matrix.sum(1, keepdim=True)
    shares = matrix / (rows.clamp(min=1) * columns.clamp(min=1)).sqrt()
    total = torch.zeros_like(x)
    lonely = rows == 0
    for linear, part in zip(layer.layers, layer.coef.softmax(0), strict=True):
        x = torch.where(lonely, x, F.leaky_relu(linear(shares @ x), SLOPE) + x)
        total = total + part * x
    return total


@pytest.mark.parametrize("k", [3, 40])
@pytest.mark.parametrize("padded", [False, True])
@torch.no_grad()
def test_lists_equal_the_dense_matrix(k, padded):
    torch.manual_seed(0)
    layer = GraphConvolution(8, 2).double()
    maps = torch.randn(2, 3, 8, 4, 5, dtype=torch.float64)
    maps[:, :, :, 1] = maps[:, :, :, 0]  # ties
    padding = torch.zeros(2, 3, 4, 5, dtype=torch.bool)
    padding[1, :, :, 3:] = padded
    for reach in (0, 1):
        indices, valid = near_window(maps, k, 3, reach, padding if padded else None)
        tokens = maps.permute(0, 1, 3, 4, 2).reshape(2, 60, 8)
        got, want = layer(tokens, indices, valid), dense_reference(layer, tokens, indices, valid)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)  # shares are float32


@pytest.mark.parametrize("reach", [0, 1])
def test_neighbours_lie_in_the_window_and_never_in_padding(reach):
    maps = clip(frames=4)
    padding = torch.zeros(1, 4, 4, 6, dtype=torch.bool)
    padding[..., 5] = True
    indices, valid = near_window(maps, 9, 3, reach, padding)
    own = torch.arange(96).view(1, -1, 1)
    frame, row, column = (indices // 24, indices % 24 // 6, indices % 6)
    home = (own // 24, own % 24 // 6, own % 6)
    near = ((row - home[1]).abs() <= 1) & ((column - home[2]).abs() <= 1)
    assert near[valid].all()
    distance = (frame - home[0]).abs()
    assert (distance[valid] == 0).all() if reach == 0 else (distance[valid] <= 1).all()
    real = ~padding.flatten(1)
    assert ((indices == own) & valid).any(-1)[real].all()
    assert not valid[~real].any() and not padding.flatten()[indices[valid]].any()
    if reach:  # of the own frame the token alone
        assert (indices == own)[valid & (distance == 0)].all()


def test_neighbours_do_not_depend_on_the_scale():
    maps = clip()
    for one, other in (
        (near_window(maps, 4, 3, 1), near_window(7 * maps, 4, 3, 1)),
        (nearest(maps[0].flatten(2).mT, 4), nearest(7 * maps[0].flatten(2).mT, 4)),
    ):
        assert torch.equal(one[0], other[0])


@torch.no_grad()
def test_without_a_window_the_lists_are_those_of_the_published_formula():
    maps = clip(frames=1)
    indices, _ = near_window(maps, 5, 11, 0)
    wanted, _ = nearest(maps[0].flatten(2).mT, 5)
    assert torch.equal(indices.sort(-1).values, wanted.sort(-1).values)


def test_edges_are_weighed_by_both_degrees():
    indices = torch.tensor([[[0, 1], [1, 0], [2, 1]]])
    valid = torch.tensor([[[True, True], [True, True], [True, False]]])
    shares = edge_weights(indices, valid)
    assert shares[0, 0].tolist() == pytest.approx([0.5, 0.5])
    assert shares[0, 2].tolist() == pytest.approx([1.0, 0.0])


@torch.no_grad()
def test_the_order_of_frames_enters_by_their_times_alone(model):
    memory, times = clip(), torch.arange(5)
    order = torch.tensor([3, 1, 4, 0, 2])
    straight = model.temporal(memory, times)
    torch.testing.assert_close(
        model.temporal(memory[:, order], times[order]), straight[:, order], rtol=0, atol=1e-5
    )
    untimed = model.temporal(memory, times, timed=False)
    swapped = torch.tensor([3, 1, 2, 0, 4])
    again = model.temporal(memory[:, swapped], times, timed=False)
    torch.testing.assert_close(again[:, 2], untimed[:, 2], rtol=0, atol=1e-5)
    assert not torch.allclose(straight, untimed, atol=1e-4)


@torch.no_grad()
def test_equal_frames_say_no_more_than_one(model):
    one = clip(frames=1)
    many = one.expand(1, 6, -1, -1, -1)
    got, want = model.temporal(many, torch.arange(6)), model.temporal(one, torch.arange(1))
    torch.testing.assert_close(got, want.expand_as(got), rtol=0, atol=1e-5)


@pytest.mark.parametrize("gate", ["token", "channel"])
@torch.no_grad()
def test_the_blender_takes_what_its_gate_says(gate):
    blend = Blender(8, gate)
    first, second = clip(dim=8), clip(dim=8, seed=2)
    torch.testing.assert_close(blend(first, second), (first + second) / 2)
    gates = blend.gates(first, second)
    torch.testing.assert_close(gates.sum(0), torch.ones_like(gates[0]))
    half = len(blend.linear.bias) // 2
    for chosen, part in ((first, slice(0, half)), (second, slice(half, None))):
        blend.linear.bias.zero_()
        blend.linear.bias[part] = 1e4
        assert torch.equal(blend(first, second), chosen)


@torch.no_grad()
def test_a_window_equals_its_frames_from_memory(model):
    """Streaming: what was remembered of each frame gives what the frames themselves give."""
    frames = torch.rand(4, 3, 64, 96)
    whole = model(frames)
    kept = torch.cat([model.remember(frame[None]) for frame in frames])
    found = model.find(model.mix(kept[None])[0])
    torch.testing.assert_close(found.logits, whole.logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.boxes, whole.boxes, rtol=0, atol=1e-4)


@torch.no_grad()
def test_clips_of_a_batch_do_not_know_each_other(model):
    both = torch.cat((clip(), clip(seed=2)))
    for net in ("transformer", "graph", "both"):
        alone = torch.cat([model.mix(one[None], net) for one in both])
        torch.testing.assert_close(model.mix(both, net), alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_padding_changes_nothing(model):
    levels = [torch.randn(2, 32, 4, 6)]
    wide = [F.pad(levels[0], (0, 3, 0, 2), value=5.0)]
    mask = torch.ones(2, 6, 9, dtype=torch.bool)
    mask[:, :4, :6] = False
    encoder: Encoder = model.encoder
    want = encoder(levels)
    got = encoder(wide, [mask])
    inside = as_map(got)[:, :, :4, :6]
    torch.testing.assert_close(inside, as_map(want), rtol=0, atol=1e-4)
    clip_mask = mask[None]
    memory = as_map(want)[None]
    padded = as_map(got)[None]
    for net in ("transformer", "graph"):
        small = model.mix(memory, net)
        large = model.mix(padded, net, padding=clip_mask)[..., :4, :6]
        torch.testing.assert_close(large, small, rtol=0, atol=1e-4)


@torch.no_grad()
def test_new_branches_leave_the_detector_as_it_is():
    """So that stage two starts from what stage one learned: the transformer as the identity."""
    layer = TemporalLayer(32, 2, 32, 1)
    memory = clip()
    assert torch.equal(layer(memory, torch.arange(5)), memory)


def test_every_part_learns(model):
    model.zero_grad()
    memory = clip().requires_grad_()
    found = model.find(model.mix(memory)[0])
    (found.logits.square().sum() + found.boxes.sum()).backward()
    for name in ("temporal", "graph_former", "blend"):
        for key, value in getattr(model, name).named_parameters():
            assert value.grad is not None and value.grad.abs().sum() > 0, f"{name}.{key}"


def test_single_leaves_the_memory_alone(model):
    memory = clip()
    assert model.mix(memory, "single") is memory
    assert torch.equal(as_map(as_tokens(memory[0])), memory[0])
    assert CONFIG.num_levels == 1

"""UniTransPose: windows, joints that carry what is far away, and the sub-pixel decoder."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from pose_estimate.models import build_model
from pose_estimate.models.config import UNITRANSPOSE
from pose_estimate.models.decoders import PixelShuffleDecoder, icnr_
from pose_estimate.models.jagl import JAGLBlock, WindowAttention, merged, windows
from pose_estimate.models.unitranspose import UniTransPose
from vitrail.errors import UsageError

TINY = {
    "img_size": (64, 64),
    "embed_dim": 8,
    "depths": (1, 1, 1, 1),
    "num_heads": (1, 1, 2, 2),
    "window": (4, 4),
    "decoder_dim": 8,
}


def network(**options) -> UniTransPose:
    torch.manual_seed(0)
    return build_model("unitranspose", TINY | options).eval().requires_grad_(False)


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_windows_are_cut_and_put_back():
    maps = noise(2, 16, 12, 5)
    parts = windows(maps, (8, 6))
    assert parts.shape == (8, 48, 5)
    assert torch.equal(parts[1, 0], maps[0, 0, 6])
    assert torch.equal(merged(parts, (8, 6), (16, 12)), maps)


def by_hand(layer, x, size):
    """Window attention of a map that the window divides, one window after the other."""
    maps = x.unflatten(1, size).clone()
    rows, columns = layer.window
    for top in range(0, size[0], rows):
        for left in range(0, size[1], columns):
            part = maps[:, top : top + rows, left : left + columns].flatten(1, 2)
            qkv = layer.qkv(part).unflatten(2, (3, layer.num_heads, -1)).permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2)
            maps[:, top : top + rows, left : left + columns] = layer.proj(seen).unflatten(
                1, (rows, columns)
            )
    return maps.flatten(1, 2)


@torch.no_grad()
def test_a_window_looks_at_itself_alone():
    layer, x = WindowAttention(8, 2, (4, 3)), noise(2, 8 * 6, 8)
    torch.testing.assert_close(layer(x, (8, 6)), by_hand(layer, x, (8, 6)))


@torch.no_grad()
def test_what_a_map_is_filled_up_with_is_not_looked_at():
    """A map of one window and a bit: the bit is as if it were a small map of its own."""
    layer, x = WindowAttention(8, 2, (4, 4)), noise(1, 4 * 6, 8)
    whole = layer(x, (4, 6)).unflatten(1, (4, 6))
    small = WindowAttention(8, 2, (4, 2))
    small.load_state_dict(layer.state_dict())
    rest = x.unflatten(1, (4, 6))[:, :, 4:].flatten(1, 2)
    torch.testing.assert_close(whole[:, :, 4:].flatten(1, 2), small(rest, (4, 2)))


@torch.no_grad()
def test_shifted_windows_do_not_join_opposite_borders():
    layer, x = WindowAttention(8, 2, (4, 4), shifted=True), noise(1, 8 * 8, 8)
    changed = x.clone().unflatten(1, (8, 8))
    changed[:, 0] += 1  # the first row; a shifted window would show it to the last rows
    before, after = (layer(y, (8, 8)).unflatten(1, (8, 8)) for y in (x, changed.flatten(1, 2)))
    assert torch.equal(before[:, 2:], after[:, 2:])
    assert not torch.equal(before[:, :2], after[:, :2])


def block(**options):
    torch.manual_seed(0)
    return JAGLBlock(8, 2, (4, 4), **options).eval().requires_grad_(False)


def test_without_the_joints_share_a_block_is_window_attention():
    layer, x, joints = block(gate=0.0), noise(2, 64, 8), noise(2, 17, 8, seed=2)
    y, _ = layer(x, joints, (8, 8))
    local = x + layer.local(layer.norm_local(x), (8, 8))
    torch.testing.assert_close(y, local + layer.mlp(layer.norm_mlp(local)), rtol=0, atol=1e-6)
    assert not torch.equal(y, block(gate=0.5)(x, joints, (8, 8))[0])


def test_joints_see_every_patch_and_every_patch_hears_of_them():
    layer, joints = block(gate=1.0), noise(1, 17, 8, seed=2)
    x = noise(1, 64, 8)
    changed = x.clone()
    changed[0, 0] = noise(8, seed=3)
    (before, joints_before), (after, joints_after) = (
        layer(y, joints, (8, 8)) for y in (x, changed)
    )
    assert (joints_before != joints_after).any(dim=2).all()
    assert (before != after).any(dim=2).all()


def test_the_cost_is_linear_in_the_patches():
    """Doubling the map doubles the cost but for the joints' own, which does not grow with it."""

    def macs(rows):
        layer = block()
        with FlopCounterMode(display=False) as counter:
            layer(noise(1, rows * 8, 8), noise(1, 2, 8), (rows, 8))
        return counter.get_total_flops()

    assert macs(128) / macs(64) == pytest.approx(2, rel=0.01)


def test_heat_maps_have_a_quarter_of_the_input():
    with torch.device("meta"):
        answer = build_model("unitranspose", UNITRANSPOSE["tiny"])(torch.empty(1, 3, 256, 192))
    assert answer.heatmaps.shape == (1, 17, 64, 48)
    assert answer.places.shape == (1, 17, 3)


@pytest.mark.parametrize("options", [{"stem": "lite"}, {"shift": True}, {"heads": ("heatmap",)}])
def test_variants_answer(options):
    answer = network(**options)(noise(2, 3, 64, 64))
    assert answer.heatmaps.shape == (2, 17, 16, 16)
    assert (answer.places is None) == (options.get("heads") == ("heatmap",))
    if answer.places is not None:
        assert (answer.places[..., :2] >= 0).all() and (answer.places[..., :2] <= 1).all()


def test_a_batch_gives_what_single_images_give():
    model, crops = network(), noise(3, 3, 64, 64)
    together = model(crops)
    for number in range(3):
        alone = model(crops[number : number + 1])
        torch.testing.assert_close(alone.heatmaps[0], together.heatmaps[number])


def test_sub_pixel_convolutions_begin_with_equal_pixels():
    conv = nn.Conv2d(6, 4 * 5, 1)
    icnr_(conv)
    large = F.pixel_shuffle(conv(noise(1, 6, 3, 3)), 2)
    torch.testing.assert_close(large, F.interpolate(large[:, :, ::2, ::2], scale_factor=2.0))
    decoder = PixelShuffleDecoder((4, 8, 16, 32), 8, 17)
    for layer in decoder.enlarge:
        weight = layer.weight.unflatten(0, (-1, 4))
        assert torch.equal(weight, weight[:, :1].expand_as(weight))


@pytest.mark.parametrize(
    "options",
    [{"img_size": (60, 64)}, {"depths": (1, 1)}, {"num_heads": (3, 1, 1, 1)}, {"stem": "none"},
     {"heads": ("token",)}],
)  # fmt: skip
def test_sizes_that_do_not_go_together_are_refused(options):
    with pytest.raises(UsageError):
        build_model("unitranspose", TINY | options)

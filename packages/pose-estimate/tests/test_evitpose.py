"""EViTPose: selection of patches, its cost, and what must not change with it."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from pose_estimate.models import build_model
from pose_estimate.models.config import EViTPoseConfig
from pose_estimate.models.cost import block_macs, evitpose_gmacs, keep_for
from pose_estimate.models.evitpose import EViTPose
from vitrail.errors import UsageError

TINY = {
    "img_size": (64, 48),
    "embed_dim": 32,
    "depth": 4,
    "num_heads": 4,
    "decoder": "simple",
    "heads": ("heatmap", "token", "regression"),
    "select_after": (2,),
}


def network(seed=0, **options) -> EViTPose:
    torch.manual_seed(seed)
    model = build_model("evitpose", TINY | options).eval()
    for parameter in model.parameters():  # wide enough that attention differs between patches
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.requires_grad_(False)


def images(count=2, seed=1):
    return torch.randn(count, 3, 64, 48, generator=torch.Generator().manual_seed(seed))


def test_to_keep_all_is_the_unpruned_network_bit_for_bit():
    model = network()
    for one, other in zip(model(images()), model(images(), [(2, 1.0)]), strict=True):
        assert torch.equal(one, other)


def dense(model, image, schedule, kept_at):
    """The whole network on all tokens, where the dropped ones are not looked at any more."""
    x, patches = model.embed(image)
    visible = torch.ones(1, x.shape[1], dtype=torch.bool)
    cells = None
    for number, block in enumerate(model.blocks, 1):
        attn = block.attn
        qkv = attn.qkv(block.norm1(x)).unflatten(2, (3, attn.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=visible[:, None, None])
        x = x + attn.proj(seen.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
        if number in kept_at:
            gone = visible[:, :patches].clone()
            gone[0, kept_at[number]] = False
            cells = x[:, :patches].clone() if cells is None else cells
            still = visible[0, :patches]
            cells[0, still] = x[0, :patches][still]
            visible[0, :patches] &= ~gone[0]
    cells[0, visible[0, :patches]] = x[0, :patches][visible[0, :patches]]
    return model.norm(cells), model.norm(x[:, patches:])


@pytest.mark.parametrize("schedule", [[(2, 0.5)], [(1, 0.7), (3, 0.6)]])
def test_pruned_is_the_dense_network_that_does_not_look_at_what_was_dropped(schedule):
    model = network()
    image = images(1)
    kept_at = {}
    for number in range(len(schedule)):
        kept_at[schedule[number][0]] = model.encode(image, schedule[: number + 1]).kept[0]
    encoded = model.encode(image, schedule)
    features, joints = dense(model, image, schedule, kept_at)
    torch.testing.assert_close(
        encoded.features.flatten(2).transpose(1, 2), features, rtol=0, atol=1e-5
    )
    torch.testing.assert_close(encoded.joints, joints, rtol=0, atol=1e-5)


@pytest.mark.parametrize("keep", [0.05, 0.3, 0.5, 0.99])
def test_kept_patches_are_unique_sorted_and_as_many_as_asked(keep):
    kept = network().encode(images(3), [(2, keep)]).kept
    assert kept.shape == (3, max(round(keep * 12), 1))
    assert (kept.diff(dim=1) > 0).all()
    assert kept.min() >= 0 and kept.max() < 12


def test_a_batch_gives_what_single_images_give():
    model = network()
    together = model(images(4), [(2, 0.5)])
    for number, image in enumerate(images(4)):
        alone = model(image[None], [(2, 0.5)])
        assert torch.equal(alone.kept[0], together.kept[number])
        torch.testing.assert_close(
            alone.heatmaps[0], together.heatmaps[number], rtol=1e-4, atol=1e-5
        )


def test_images_choose_their_own_patches():
    kept = network().encode(images(8), [(2, 0.5)]).kept
    assert len({tuple(row.tolist()) for row in kept}) > 1


def test_given_ranks_choose_the_patches():
    ranks = torch.arange(12.0).flip(0).repeat(2, 1)
    kept = network().encode(images(), [(2, 0.25)], ranks).kept
    assert kept.tolist() == [[0, 1, 2]] * 2


def test_without_joints_the_largest_features_stay():
    model = network(joint_tokens=False, heads=("heatmap",))
    x, _ = model.embed(images())
    for block in list(model.blocks)[:2]:
        x = block(x)
    expected = x.norm(dim=2).topk(6, dim=1).indices.sort(dim=1).values
    assert torch.equal(model.encode(images(), [(2, 0.5)]).kept, expected)


@pytest.mark.parametrize("options", [{"rank_joints": "mean"}, {"rank_blocks": "last"}])
def test_ranks_are_attention_reduced_as_the_options_say(options):
    """Written out for the first image: softmax over all tokens, joints' rows, patches' columns."""
    model = network(**options)
    x, patches = model.embed(images())
    looks = []
    for block in list(model.blocks)[:2]:
        attn = block.attn
        qkv = attn.qkv(block.norm1(x)).unflatten(2, (3, attn.num_heads, -1))
        q, k, _ = qkv.permute(2, 0, 3, 1, 4).unbind()
        weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(dim=3)
        rows = weights[:, :, patches:, :patches]
        rows = rows.mean(dim=2) if options.get("rank_joints") == "mean" else rows.amax(dim=2)
        looks.append(rows.mean(dim=1))
        x = block(x)
    rank = looks[-1] if options.get("rank_blocks") == "last" else sum(looks) / 2
    expected = rank.topk(6, dim=1).indices.sort(dim=1).values
    assert torch.equal(model.encode(images(), [(2, 0.5)]).kept, expected)


def test_dropped_cells_are_zero_where_the_fill_says_so():
    encoded = network(fill="zero").encode(images(), [(2, 0.5)])
    cells = encoded.features.flatten(2).transpose(1, 2)
    for row, kept in zip(cells, encoded.kept, strict=True):
        gone = sorted(set(range(12)) - set(kept.tolist()))
        assert (row[gone] == 0).all() and (row[kept] != 0).any(dim=1).all()


def test_the_order_of_the_joint_tokens_changes_the_order_of_their_answers_alone():
    model, shuffled = network(), network()
    order = torch.randperm(17, generator=torch.Generator().manual_seed(3))
    shuffled.joint_tokens.data = model.joint_tokens[:, order]
    shuffled.joint_pos.data = model.joint_pos[:, order]
    one, other = model(images(), [(2, 0.5)]), shuffled(images(), [(2, 0.5)])
    for name in ("token_maps", "places"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name)[:, order])
    torch.testing.assert_close(other.heatmaps, one.heatmaps)
    assert torch.equal(other.kept, one.kept)


@pytest.mark.parametrize("options", [{}, {"stem": "lite"}, {"decoder": "classic"}])
@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_the_cost_is_what_is_counted(options, keep):
    model = network(decoder_filters=16, **options)
    with FlopCounterMode(display=False) as counter:
        model(images(1), [(2, keep)])
    told = sum(evitpose_gmacs(model.config, keep).values())
    assert told == pytest.approx(counter.get_total_flops() / 2e9, rel=1e-9)


def test_the_cost_of_the_blocks_is_the_papers_formula():
    """ViTPose-B with 17 joint tokens: 18.56 GMACs, and 35 % less with half of the patches after
    block 3."""
    config = EViTPoseConfig(embed_dim=768)
    whole, half = (evitpose_gmacs(config, keep)["blocks"] for keep in (1.0, 0.5))
    assert whole == pytest.approx(18.56, abs=0.005)
    assert half / whole == pytest.approx(0.65, abs=0.005)
    assert whole == pytest.approx(12 * (12 * 768**2 * 209 + 2 * 768 * 209**2) / 1e9)
    assert block_macs(768, 209) == 12 * 768**2 * 209 + 2 * 768 * 209**2


def test_the_cost_rises_with_what_is_kept():
    config = EViTPoseConfig()
    costs = [sum(evitpose_gmacs(config, keep / 100).values()) for keep in range(1, 100)]
    assert costs == sorted(costs) and costs[0] < costs[-1]


def test_a_budget_buys_the_largest_share_that_it_pays():
    config = EViTPoseConfig()
    keep = keep_for(config, 4.0)
    assert keep is not None
    assert sum(evitpose_gmacs(config, keep).values()) <= 4.0
    assert sum(evitpose_gmacs(config, keep + 1 / 192).values()) > 4.0
    assert keep_for(config, 0.1) is None
    assert keep_for(config, 1000.0) == 1.0


@pytest.mark.parametrize(
    "options",
    [
        {"img_size": (60, 48)},
        {"num_heads": 5},
        {"stem": "none"},
        {"decoder": "none"},
        {"heads": ()},
        {"heads": ("token",), "joint_tokens": False},
        {"select_after": (4,)},
        {"rank_joints": "sum"},
        {"rank_blocks": "first"},
        {"fill": "one"},
        {"unknown": 1},
    ],
)
def test_sizes_that_do_not_go_together_are_refused(options):
    with pytest.raises(UsageError):
        build_model("evitpose", TINY | options)

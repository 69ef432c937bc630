"""Masks and the joint loss."""

import pytest
import torch

from audio_classify.models.config import SSASTConfig
from audio_classify.models.pretext import MaskedModel, clustered_mask, matching_loss, official_mask

SMALL = {
    "num_frames": 64,
    "patch": (16, 16),
    "stride": (16, 16),
    "embed_dim": 32,
    "depth": 1,
    "num_heads": 2,
}
CONV = {"stem": "conv", "stem_widths": (4, 4, 4)}


def model(**changes) -> MaskedModel:
    torch.manual_seed(0)
    return MaskedModel(SSASTConfig(**SMALL | changes)).eval()


@pytest.mark.parametrize("grid, count", [((8, 64), 400), ((8, 4), 19), ((1, 40), 20), ((8, 1), 5)])
def test_a_mask_hides_as_many_different_patches_as_asked(grid, count):
    draws = [clustered_mask] if grid == (8, 1) else [clustered_mask, official_mask]
    for mask in (draw(grid, count, torch.Generator().manual_seed(1)) for draw in draws):
        assert len(set(mask.tolist())) == count
        assert set(mask.tolist()) <= set(range(grid[0] * grid[1]))


def shares(draw) -> torch.Tensor:
    """How often each patch of 8 x 64 is hidden in 200 draws of 400."""
    hidden = torch.zeros(512)
    for _ in range(200):
        hidden[draw()] += 1
    return (hidden / 200).view(8, 64)


def test_our_mask_is_fair_and_the_official_one_is_not():
    generator = torch.Generator().manual_seed(0)
    ours = shares(lambda: clustered_mask((8, 64), 400, generator))
    official = shares(lambda: official_mask((8, 64), 400, generator))
    assert ours.mean() == pytest.approx(400 / 512, abs=1e-4)
    assert ours.mean(1).min() > 0.74 and ours.mean(1).max() < 0.82
    assert official[0, 0] == 0 and official.mean(1)[0] < 0.5


def test_hidden_patches_hang_together():
    hidden = torch.zeros(8 * 32)
    hidden[clustered_mask((8, 32), 60, torch.Generator().manual_seed(3))] = 1
    hidden = hidden.view(8, 32)
    neighbours = (hidden[:, 1:] * hidden[:, :-1]).sum() / 60
    assert neighbours > 0.4  # scattered at random it would be 0.22


@pytest.mark.parametrize("changes", [{}, CONV, {"patch": (128, 2), "stride": (128, 2)}])
def test_what_is_hidden_cannot_be_seen(changes):
    network = model(**changes)
    grid = network.config.grid(64)
    masked = clustered_mask(grid, grid[0] * grid[1] // 2, torch.Generator().manual_seed(0))[None]
    clip = torch.randn(1, 64, 128)
    area = network.targets(clip)
    other = clip.clone()
    rows, columns = network.config.patch
    for place in masked[0].tolist():
        low, start = place // grid[1] * rows, place % grid[1] * columns
        other[0, start : start + columns, low : low + rows] = 7.0
    with torch.inference_mode():
        assert torch.equal(network.tokens(clip, masked), network.tokens(other, masked))
    assert not torch.equal(area, network.targets(other))


def test_right_predictions_match():
    targets = 4 * torch.eye(6)[None]
    loss, accuracy = matching_loss(targets, targets)
    assert loss < 0.01 and accuracy == 1
    loss, accuracy = matching_loss(targets, targets.flip(1))
    assert loss > 5 and accuracy == 0


def test_the_loss_is_the_sum_of_its_parts_and_falls():
    network = model().train()
    clip = torch.randn(4, 64, 128)
    generator = torch.Generator().manual_seed(0)
    masked = torch.stack([clustered_mask((8, 4), 16, generator) for _ in clip])
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss = network(clip, masked)
        assert loss.total.item() == pytest.approx(
            (loss.discriminative + 10 * loss.generative).item()
        )
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.8 * losses[0]

"""The sliding window: MONAI's own numbers, and nothing computed for mere background."""

import itertools

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from medical_segment.windows import SURE, Canvas, window_starts

BACKGROUND = torch.tensor([SURE, -SURE])


def sharpen(windows: torch.Tensor) -> torch.Tensor:
    """Two channels that depend on where in the window a voxel lies, so that weights show."""
    ramp = torch.linspace(0, 1, windows.shape[-1])
    return torch.cat([windows * ramp, windows.flip(-1) - ramp], dim=1)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize(
    ("shape", "patch"),
    [
        ((20, 26, 18), (8, 12, 8)),
        ((5, 26, 9), (8, 12, 16)),
        ((8, 12, 8), (8, 12, 8)),
        ((33, 40), (16, 24)),
        ((1, 1), (8, 8)),
    ],
)
def test_equal_to_monai(shape, patch, overlap):
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(1))
    canvas = Canvas(image, patch, overlap, BACKGROUND)
    for number in canvas.windows():
        canvas.add(number, sharpen(canvas.crop(number)[None])[0])
    expected = SlidingWindowInferer(patch, sw_batch_size=3, overlap=overlap, mode="gaussian")(
        image[None], sharpen
    )[0]
    if shape != (1, 1):  # MONAI knows no windows without content, and one pixel is one
        torch.testing.assert_close(canvas.logits(), expected, atol=1e-5, rtol=1e-5)
    assert canvas.left == 0 and canvas.logits().shape == (2, *shape)


def test_windows_cover_everything():
    for size in range(1, 40):
        starts = [start for (start,) in window_starts((size,), (7,), 0.5)]
        assert starts[0] == 0 and max(starts) + 7 >= size
        assert all(0 < later - earlier <= 4 for earlier, later in itertools.pairwise(starts))


def test_windows_without_content_are_background():
    image = torch.full((1, 8, 40), -1.0)
    image[0, 3, 5] = 4.0
    canvas = Canvas(image, (8, 8), 0.5, BACKGROUND)
    computed = list(canvas.windows())
    for number in computed:
        canvas.add(number, torch.zeros(2, 8, 8))
    assert 0 < len(computed) < len(canvas.starts) and canvas.skipped == len(canvas.starts) - len(
        computed
    )
    torch.testing.assert_close(
        canvas.logits()[:, :, 20:], BACKGROUND.view(2, 1, 1).expand(2, 8, 20)
    )

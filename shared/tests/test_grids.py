"""Windows and their canvas: MONAI's own numbers, scenes larger than what is kept, odd sizes."""

import itertools

import numpy as np
import pytest

from vitrail.grids import Canvas, Grid, axis_starts, gaussian, is_flat


def sharpen(windows: np.ndarray) -> np.ndarray:
    """Two channels per window (N, 1, *patch) that depend on where in it a pixel lies, so that
    weights show."""
    ramp = np.linspace(0, 1, windows.shape[-1], dtype=np.float32)
    return np.concatenate([windows * ramp, windows[..., ::-1] - ramp], axis=1)


def blended(image: np.ndarray, grid: Grid) -> np.ndarray:
    canvas = Canvas(grid, 2)
    for number in range(len(grid)):
        canvas.add(number, sharpen(grid.crop(image, number)[None])[0])
    assert canvas.left == 0
    return canvas.logits()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize(
    ("shape", "patch"),
    [
        ((20, 26, 18), (8, 12, 8)),
        ((5, 26, 9), (8, 12, 16)),
        ((8, 12, 8), (8, 12, 8)),
        ((33, 40), (16, 24)),
        ((50,), (16,)),
        ((1, 1), (8, 8)),
    ],
)
def test_equal_to_monai(shape, patch, overlap):
    torch = pytest.importorskip("torch")
    inferers = pytest.importorskip("monai.inferers")
    image = noise(1, *shape)
    logits = blended(image, Grid(shape, patch, overlap))
    expected = inferers.SlidingWindowInferer(
        patch, sw_batch_size=3, overlap=overlap, mode="gaussian"
    )(torch.from_numpy(image)[None], lambda x: torch.from_numpy(sharpen(x.numpy())))[0]
    assert logits.dtype == np.float32 and logits.shape == (2, *shape)
    if shape != (1, 1):  # MONAI knows no windows without content, and one pixel is one
        np.testing.assert_allclose(logits, expected.numpy(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("patch", [(8,), (7, 12), (8, 12, 16)])
def test_weights_are_monais(patch):
    utils = pytest.importorskip("monai.data.utils")
    weight = utils.compute_importance_map(patch, mode="gaussian", sigma_scale=0.125)
    np.testing.assert_allclose(gaussian(patch), weight.clamp_min(1e-3).numpy(), rtol=1e-5)
    assert gaussian(patch).dtype == np.float32


def test_windows_cover_everything():
    for size in range(1, 40):
        starts = axis_starts(size, 7, 0.5)
        assert starts[0] == 0 and max(starts) + 7 >= size
        assert all(0 < later - earlier <= 4 for earlier, later in itertools.pairwise(starts))


def test_one_window_comes_back_as_it_is():
    image = noise(1, 8, 12)
    assert np.array_equal(blended(image, Grid((8, 12), (8, 12))), sharpen(image[None])[0])


def test_windows_without_content_are_background():
    image = np.full((1, 8, 40), -1, np.float32)
    image[0, 3, 5] = 4
    grid, background = Grid((8, 40), (8, 8)), np.array([10, -10], np.float32)
    canvas = Canvas(grid, 2)
    flat = [is_flat(grid.crop(image, number)) for number in range(len(grid))]
    for number, empty in enumerate(flat):
        canvas.add(number, background if empty else np.zeros((2, 8, 8), np.float32))
    assert 0 < sum(flat) < len(grid)
    logits = canvas.logits()
    assert np.allclose(logits[:, :, 20:], background[:, None, None])
    assert np.array_equal(logits[:, :, :4], np.zeros((2, 8, 4)))


class Scene:
    """A scene of any size, made where it is read."""

    def __init__(self, *shape: int):
        self.shape, self.largest = shape, 0

    def read(self, window):
        rows, columns = (np.arange(part.start, part.stop) for part in window)
        part = np.sin(rows[:, None] * 0.37) + np.cos(columns[None] * 0.21)
        self.largest = max(self.largest, part.size)
        return part[None].astype(np.float32)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75])
def test_a_long_scene_is_given_out_in_strips(overlap):
    scene = Scene(501, 60)
    grid = Grid(scene.shape, (32, 32), overlap)
    whole = blended(scene.read((slice(0, 501), slice(0, 60))), grid)
    scene.largest = 0
    canvas, strips, kept = Canvas(grid, 2), [], 0
    for number in range(len(grid)):
        canvas.add(number, sharpen(grid.crop(scene, number)[None])[0])
        kept = max(kept, sum(total.shape[1] for total, _ in canvas._strips.values()))
        strips += canvas.strips()
    assert [top for top, _ in strips] == list(
        itertools.accumulate((part.shape[1] for _, part in strips[:-1]), initial=0)
    )
    assert np.array_equal(np.concatenate([part for _, part in strips], axis=1), whole)
    assert scene.largest == 32 * 32 and kept <= 4 * 32 + 32
    with pytest.raises(ValueError, match="given out"):
        canvas.logits()


def test_order_does_not_matter():
    image, grid = noise(1, 40, 30), Grid((40, 30), (16, 16))
    canvas = Canvas(grid, 2)
    for number in np.random.default_rng(0).permutation(len(grid)):
        canvas.add(int(number), sharpen(grid.crop(image, int(number))[None])[0])
        if canvas.left:
            with pytest.raises(ValueError, match="windows to come"):
                canvas.logits()
    np.testing.assert_allclose(canvas.logits(), blended(image, grid), atol=1e-5)


def test_memory_maps_are_read_in_windows(tmp_path):
    image = noise(3, 50, 40)
    image.tofile(tmp_path / "cube")
    mapped = np.memmap(tmp_path / "cube", np.float32, "r", shape=image.shape)
    grid = Grid((50, 40), (16, 16))
    for number in range(len(grid)):
        crop = grid.crop(mapped, number)
        assert np.shares_memory(crop, mapped)
        assert np.array_equal(crop, image[(slice(None), *grid.window(number))])


def test_beside_a_masked_image_is_masked():
    image = np.ma.MaskedArray(np.ones((2, 3, 9)), np.zeros((2, 3, 9), bool))
    image[:, 0, 0] = np.ma.masked
    crop = Grid((3, 9), (8, 4)).crop(image, 0, fill=7)
    assert crop.shape == (2, 8, 4)
    assert np.ma.getmaskarray(crop).all((0, 2)).tolist() == [
        True,
        True,
        False,
        *[False] * 2,
        *[True] * 3,
    ]
    assert crop.mask[0, 2, 0] and not crop.mask[0, 2, 1] and crop.data[0, 0, 0] == 7


@pytest.mark.parametrize(
    ("shape", "patch", "overlap"),
    [
        ((5,), (2, 2), 0.5),
        ((0, 5), (2, 2), 0.5),
        ((5, 5), (2, 0), 0.5),
        ((5,), (2,), 1.0),
        ((), (), 0),
    ],
)
def test_impossible_grids_are_refused(shape, patch, overlap):
    with pytest.raises(ValueError):
        Grid(shape, patch, overlap)


def test_a_canvas_refuses_what_does_not_fit():
    grid = Grid((8, 8), (8, 8))
    canvas = Canvas(grid, 2)
    for shape in [(1, 8, 8), (2, 8, 7), (3,), (2, 1, 1)]:
        with pytest.raises(ValueError, match="logits of the shape"):
            canvas.add(0, np.zeros(shape))
    canvas.add(0, np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="twice"):
        canvas.add(0, np.zeros((2, 8, 8)))
    with pytest.raises(IndexError):
        grid.start(1)

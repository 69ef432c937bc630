"""The job on images in memory and in files."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from image_colorize import load
from image_colorize.color import displayable, lab_to_rgb, rgb_to_lab
from image_colorize.follow import pin
from image_colorize.hints import Hint
from image_colorize.job import ColorizeJob, Options
from image_colorize.merge import lightness_of, merge
from image_colorize.networks import load_network
from image_colorize.seen import cell_of, look, network_input, place
from image_colorize.session import Session
from image_colorize.writing import write, write_beside
from vitrail.errors import InputError, UsageError
from vitrail.preprocess.image_whole import WholeImage

RED = Hint(0.25, 0.3, (180, 70, 60))
BLUE = Hint(0.8, 0.3, (60, 90, 170))


def test_lightness_stays(job, scene):
    result = job.predict(scene, [RED, BLUE])
    rgb = result.rgb()
    assert rgb.shape == (60, 90, 3) and rgb.dtype == np.uint8
    difference = np.abs(lightness_of(rgb) - lightness_of(scene))
    assert np.percentile(difference, 99) < 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_and_equal_channels_are_one_image(job, scene, kind):
    levels = scene.astype(kind) * (np.iinfo(kind).max // 255)
    grey, coloured = (job.predict(image, [RED]) for image in (levels, np.dstack([levels] * 3)))
    assert grey.rgb().dtype == kind
    assert np.abs(grey.rgb().astype(int) - coloured.rgb()).max() <= np.iinfo(kind).max // 255


def test_the_hints_are_honoured(job, scene):
    result = job.predict(scene, [RED, BLUE])
    assert all(hint["off"] < 10 for hint in result.to_dict()["hints"])


def test_a_grey_hint_takes_colour_away(job, scene):
    """Round it, not only at it: its indicator is seen though its chroma is that of no hint."""
    grey = Hint(0.25, 0.3, (128, 128, 128))
    plain, greyed = (job.predict(scene, hints) for hints in ((), (grey,)))
    (place,) = greyed.placed
    size, (rows, columns) = job.size, cell_of(place, job.shape)
    near = slice(rows.start - size // 16, rows.stop + size // 16)
    across = slice(columns.start - size // 16, columns.stop + size // 16)
    strength = [np.hypot(*np.moveaxis(one.chroma[near, across], -1, 0)) for one in (plain, greyed)]
    assert strength[1].mean() < strength[0].mean() / 2


def test_pinned_hints_are_exact(job, scene):
    pinned = ColorizeJob(load_network("tiny"), replace(job.settings, pin=True), engine="eager")
    result = pinned.predict(scene, [RED, BLUE])
    for one in result.placed:
        cell = result.chroma[cell_of(one, job.shape)]
        np.testing.assert_allclose(cell, np.broadcast_to(one.ab, cell.shape), atol=1e-4)


def test_strength_scales_the_chroma(job, scene):
    weak = ColorizeJob(load_network("tiny"), Options(strength=0.5), engine="eager")
    full, half = (one.predict(scene, [RED]) for one in (job, weak))
    np.testing.assert_allclose(half.chroma, full.chroma / 2, atol=1e-4)
    assert (
        ColorizeJob(load_network("tiny"), Options(strength=0), engine="eager")
        .predict(scene, [RED])
        .rgb()
        .std(axis=-1)
        .max()
        < 0.8
    )  # grey


def test_sizes_give_the_same_colours(job, scene):
    rng = np.random.default_rng(1)
    large = np.kron(scene, np.ones((8, 8))) + rng.normal(0, 2, (480, 720))
    image = Image.fromarray(np.clip(large, 0, 255).astype(np.uint8))
    found = [
        job.predict(np.asarray(image.resize((720 * k // 4, 480 * k // 4))), [RED, BLUE]).chroma
        for k in (1, 2, 4, 8)
    ]
    for other in found[1:]:
        assert np.abs(other - found[0]).mean() < 3


def test_the_same_again_is_the_same_bytes(job, scene, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        write(replace(job.predict(scene, [RED]), source="x.png"), tmp_path / name)
    assert (tmp_path / "a/x.png").read_bytes() == (tmp_path / "b/x.png").read_bytes()


def test_a_toned_scan_counts_as_grey_and_a_photograph_does_not(scene):
    lightness = lightness_of(scene)
    sepia = lab_to_rgb(np.dstack([lightness, 8 + 0 * lightness, 5 + lightness / 5]))
    sepia = np.rint(sepia.clip(0, 1) * 255).astype(np.uint8)
    angle = np.arange(90) / 90 * 2 * np.pi + 0 * lightness
    colourful = lab_to_rgb(np.dstack([lightness, 20 * np.cos(angle), 20 * np.sin(angle)]))
    colourful = np.rint(colourful.clip(0, 1) * 255).astype(np.uint8)
    careful = load(engine="eager", skip_coloured=True)
    assert not careful.predict(sepia).was_left_alone
    left = careful.predict(colourful)
    assert left.was_left_alone and left.reasons
    assert left.to_dict()["left_alone"] is True
    kept = load(engine="eager", keep_tone=True, strength=0).predict(sepia)
    assert not any("tone" in reason for reason in kept.reasons)
    assert np.abs(rgb_to_lab(kept.rgb() / 255) - rgb_to_lab(sepia / 255)).mean() < 1.5


def test_what_is_dropped_is_told(small_job, scene):
    """The image's own colours, a scan's tone, and what the written format cannot keep."""
    red = np.dstack([scene, scene // 2, scene // 3])
    half = np.where(np.arange(90)[:, None] < 45, red, red[..., ::-1])
    assert any("--skip-coloured" in one for one in small_job.predict(half).reasons)
    assert any("--keep-tone" in one for one in small_job.predict(red).reasons)
    assert not any("--" in one for one in small_job.predict(scene).reasons)
    deep = WholeImage(scene.astype(np.uint16) * 257, scene.astype(np.uint16) * 257)
    jpeg = ColorizeJob(small_job.network, Options(format="JPEG"), engine="eager")
    assert sum("JPEG has no" in one for one in jpeg.predict(deep).reasons) == 2
    assert not any("no 16 bits" in one for one in small_job.predict(deep).reasons)


def test_colours_outside_the_gamut_lose_chroma_alone(scene):
    merged = merge(scene, np.full((8, 8, 2), 100, np.float32))
    assert merged.outside == scene.size
    assert np.abs(lightness_of(merged.rgb) - lightness_of(scene)).max() < 1
    assert merge(scene, np.zeros((8, 8, 2), np.float32)).outside == 0


def test_guided_edges_follow_the_lightness(scene):
    levels = np.kron(scene, np.ones((8, 8), np.uint8))
    chroma = np.zeros((14, 14, 2), np.float32)
    chroma[:, :7, 0] = 30  # the border lies on that between the two areas
    soft, sharp = (
        rgb_to_lab(merge(levels, chroma, guided=way).rgb / 255)[100, :, 1] for way in (False, True)
    )
    assert np.abs(np.diff(sharp[355:366])).max() > np.abs(np.diff(soft[355:366])).max()


def test_of_two_hints_in_a_cell_the_last_counts(job, scene):
    lightness = look(scene, job.size).lightness
    (placed,) = place([RED, replace(BLUE, x=RED.x, y=RED.y)], lightness, job.shape)
    assert placed.hint.rgb == BLUE.rgb
    planes = network_input(lightness, [placed], job.shape)
    assert planes[3].sum() == job.shape.hint_size**2  # 1 at a hint, not 1/255
    corner = place([Hint(1, 1, (9, 9, 9))], lightness, job.shape)[0]
    assert corner.row == corner.column == job.shape.cells - 1


def test_a_displayable_colour_has_its_lightness():
    shown = displayable(60.0, np.array([255, 0, 0], np.uint8))
    assert abs(rgb_to_lab(shown / 255)[0] - 60) < 3


def test_pinning_changes_nothing_far_away(job):
    chroma = np.zeros((job.size, job.size, 2), np.float32)
    flat = np.full((job.size, job.size), 50, np.float32)
    made = pin(chroma, place([RED], flat, job.shape), job.shape)
    assert np.abs(made[-10:, -10:]).max() == 0 and np.abs(made).max() > 10


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8), "ab"]
)
def test_an_array_that_is_not_an_image(job, image):
    with pytest.raises(InputError):
        job.predict(image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 5)])
def test_tiny_images(job, shape):
    assert job.predict(np.full(shape, 99, np.uint8), [RED]).rgb().shape == (*shape, 3)


def test_options_that_are_none():
    for wrong in ({"strength": 9}, {"upsampling": "best"}, {"format": "GIF"}):
        with pytest.raises(UsageError):
            load(engine="eager", **wrong)


def test_a_session_goes_back_and_forth(job, scene):
    session = Session(job, scene)
    grey = session.render()
    number = session.add(RED.x, RED.y, RED.rgb)
    red = session.render()
    session.move(number, 0.9, 0.3)
    assert session.hints[0].x == 0.9
    session.undo()
    np.testing.assert_array_equal(session.render(), red)
    np.testing.assert_array_equal(job.predict(scene, session.hints).rgb(), red)
    session.redo()
    session.recolour(number, BLUE.rgb)
    session.remove(number)
    np.testing.assert_array_equal(session.render(), grey)
    for _ in range(9):
        session.undo()
    assert session.hints == () and session.render((30, 45)).shape == (30, 45, 3)
    with pytest.raises(KeyError):
        session.move(7, 0, 0)


def test_nothing_is_replaced_unasked(job, scene, tmp_path):
    path = tmp_path / "scan.png"
    Image.fromarray(scene).save(path)
    first = write_beside(job.predict(path, [RED]))
    assert first == tmp_path / "scan.colorized.png"
    assert write_beside(job.predict(path, [RED])) == first  # the same: nothing to write
    second = write_beside(job.predict(path, [BLUE]))
    assert second == tmp_path / "scan.colorized-2.png"
    assert write_beside(job.predict(path, [BLUE]), overwrite=True) == first

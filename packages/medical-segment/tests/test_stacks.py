"""Stacks of pages as their writers make them: all pages that were promised, or a reason."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from medical_segment.files.reading import read_case
from vitrail.errors import InputError

PAGES = np.random.default_rng(0).integers(0, 200, (6, 40, 50)).astype(np.uint16)


def write(path, **options):
    tifffile.imwrite(path, PAGES, **options)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"imagej": True, "metadata": {"axes": "ZYX"}, "truncate": True},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"metadata": {"axes": "ZYX"}, "compression": "zlib"},
        {"metadata": None, "photometric": "minisblack"},
    ],
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_every_writers_stack_is_whole(tmp_path, options, byteorder):
    """And the same as tifffile itself reads, or refused where its end is cut off."""
    path = write(tmp_path / "a.tif", byteorder=byteorder, **options)
    volume = read_case(path)
    assert np.array_equal(volume.data[0], tifffile.imread(path)) and volume.damage == ()
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=r"cut short|promises"):
            read_case(path)


@pytest.mark.parametrize(
    ("options", "written", "promised"),
    [
        (
            {"imagej": True, "metadata": {"axes": "ZYX"}},
            b"images=6\nslices=6",
            b"images=9\nslices=9",
        ),
        ({"ome": True, "metadata": {"axes": "ZYX"}}, b'SizeZ="6"', b'SizeZ="9"'),
        ({"metadata": {"axes": "ZYX"}}, b"[6, 40, 50]", b"[9, 40, 50]"),
    ],
)
def test_a_promise_that_is_not_kept(tmp_path, options, written, promised):
    path = write(tmp_path / "a.tif", **options)
    whole = path.read_bytes()
    assert written in whole
    path.write_bytes(whole.replace(written, promised))
    with pytest.raises(InputError, match=r"promises 9 pages, and has 6|cut short"):
        read_case(path)


def test_the_other_files_of_an_ome_stack(tmp_path):
    """An OME file may spread its pages over several; a missing one would be read as zeros."""
    path = write(tmp_path / "a.ome.tif", metadata={"axes": "ZYX"})
    tiff_data = b'<TiffData IFD="0" PlaneCount="6"/>'
    text = tifffile.TiffFile(path).ome_metadata
    elsewhere = (
        '<TiffData FirstZ="0" IFD="0" PlaneCount="3"/><TiffData FirstZ="3" IFD="0" PlaneCount="3">'
        '<UUID FileName="b.ome.tif">urn:uuid:1</UUID></TiffData>'
    )
    assert tiff_data.decode() in text
    tifffile.imwrite(
        path, PAGES[:3], photometric="minisblack", metadata=None,
        description=text.replace(tiff_data.decode(), elsewhere).encode("ascii", "ignore"),
    )  # fmt: skip
    with pytest.raises(InputError, match="promises 6 pages, and has 3"):
        read_case(path)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_channels_behind_the_rows_and_columns(tmp_path, channels):
    """An array as microscopes' scripts have it, saved without a word about its axes."""
    values = np.random.default_rng(1).integers(0, 200, (64, 48, channels)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    volume = read_case(tmp_path / "a.tif")
    assert volume.shape == (64, 48) and np.array_equal(volume.data[0], values[..., 0])
    if volume.damage:
        assert f"taken as {channels} channels of 64 x 48, not as 64 pages" in volume.damage[0]
    tifffile.imwrite(tmp_path / "b.tif", values, metadata={"axes": "YXC"})
    named = read_case(tmp_path / "b.tif")
    assert named.shape == (64, 48) and len(named.data) == channels and named.damage == ()


def test_pages_of_different_size_are_counted(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(PAGES[0])
        file.write(PAGES[1, :20, :20])
    volume = read_case(tmp_path / "a.tif")
    assert volume.shape == (40, 50)
    assert volume.damage == ("holds 1 more images of another size or kind, left out",)


@pytest.mark.parametrize(
    ("mode", "options", "shape"),
    [
        ("P", {}, (3, 6, 40, 50)),
        ("L", {"compression": "tiff_lzw"}, (1, 6, 40, 50)),
        ("RGB", {"compression": "tiff_lzw"}, (3, 6, 40, 50)),
    ],
)
def test_stacks_that_only_pillow_unpacks(tmp_path, mode, options, shape):
    frames = [Image.fromarray(page.astype(np.uint8)).convert(mode) for page in PAGES]
    path = tmp_path / "a.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    volume = read_case(path)
    assert volume.data.shape == shape and volume.damage == ()
    assert np.array_equal(volume.data[0], PAGES)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_animations_are_not_read_in_silence(tmp_path, suffix):
    frames = [Image.fromarray(page.astype(np.uint8)) for page in PAGES]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    (said,) = read_case(tmp_path / f"a{suffix}").damage
    assert said == "is an animation of 6 frames, of which the first was read"


def test_white_as_zero_of_few_bits(tmp_path):
    values = (PAGES[0] % 2).astype(bool)
    tifffile.imwrite(tmp_path / "a.tif", PAGES[0], photometric="miniswhite")
    assert np.array_equal(read_case(tmp_path / "a.tif").data[0], 65535 - PAGES[0])
    Image.fromarray(values).save(tmp_path / "b.tif")
    assert np.array_equal(read_case(tmp_path / "b.tif").data[0] > 0, values)

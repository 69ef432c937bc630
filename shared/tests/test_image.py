"""Reading pictures: every mode comes out as upright 8-bit RGB, every bad file as one clear
error."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from vitrail.errors import InputError
from vitrail.preprocess import image as module
from vitrail.preprocess.image import IMAGENET_MEAN, IMAGENET_STD, normalise, read_image
from vitrail.preprocess.image_whole import read_whole
from vitrail.testing.media import pattern, write_picture
from vitrail.testing.mutants import mutate_bytes


def saved(tmp_path, picture, name="picture.png", **options):
    path = tmp_path / name
    picture.save(path, **options)
    return read_image(path)


def test_reads_rgb_exactly(tmp_path):
    assert np.array_equal(read_image(write_picture(tmp_path / "a b\n🙂.png")), pattern())


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_extreme_shapes(tmp_path, size):
    assert saved(tmp_path, Image.new("RGB", size, (9, 8, 7))).shape == (size[1], size[0], 3)


def test_transparency_lies_over_white(tmp_path):
    half_red = saved(tmp_path, Image.new("RGBA", (2, 2), (255, 0, 0, 128)))
    assert np.abs(half_red[0, 0].astype(int) - (255, 127, 127)).max() <= 1
    assert (saved(tmp_path, Image.new("LA", (2, 2), (0, 0))) == 255).all()


def test_transparent_palette_colour_becomes_white(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert saved(tmp_path, palette, transparency=1)[0].tolist() == [[10, 20, 30], [255, 255, 255]]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"), [("L", 77, 77), ("1", 1, 255), ("P", 0, 0)]
)
def test_grey_and_palette(tmp_path, mode, colour, expected):
    assert (saved(tmp_path, Image.new(mode, (3, 2), colour)) == expected).all()


@pytest.mark.parametrize("kind", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_whose_data_is_damaged_says_so(tmp_path, kind, progressive):
    path, told = tmp_path / "photograph.jpg", []
    picture = Image.fromarray(pattern(256, 256)).convert(kind)
    picture.save(path, quality=95, progressive=progressive)
    read_image(path, damage=told)
    assert not told and not read_whole(path).remarks
    data = bytearray(path.read_bytes())
    del data[len(data) // 2 : len(data) // 2 + 200]
    path.write_bytes(data)
    assert read_image(path, damage=told).shape == (256, 256, 3)
    assert len(told) == 1 and told[0].startswith("part of the image is damaged (")
    assert read_whole(path).remarks == tuple(told)


def test_16_bit_grey_keeps_its_range(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        assert saved(tmp_path, Image.fromarray(values), name)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_measurements_are_no_picture(tmp_path):
    with pytest.raises(InputError, match="measurements"):
        saved(tmp_path, Image.fromarray(np.ones((2, 2), np.float32)), "heights.tif")


def test_cmyk_comes_out_in_its_colours(tmp_path):
    assert saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "c.tif")[4, 4].tolist() == [
        255,
        0,
        0,
    ]
    assert saved(tmp_path, Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "c.jpg")[4, 4].min() > 250


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    first = saved(
        tmp_path, frames[0], "moving.webp", save_all=True, append_images=frames[1:], lossless=True
    )
    assert first[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = pattern(24, 16)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(upright).save(path, exif=exif)
    with Image.open(path) as picture:
        reference = np.asarray(ImageOps.exif_transpose(picture))
    got = read_image(path)
    assert np.array_equal(got, reference)
    assert got.shape == ((16, 24, 3) if orientation < 5 else (24, 16, 3))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.png", b"", "is empty"),
        ("one.jpg", b"\xff", "not an image"),
        ("text.png", b"hello", "not an image"),
        ("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        ("paper.png", b"%PDF-1.7\n1 0 obj", "not an image"),
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_not_a_picture(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_image(path)


def test_missing_and_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_image("nul\0l.png")


def png_header(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
    )


@pytest.mark.parametrize("size", [(60_000, 60_000), (12_000, 12_000), (8_001, 8_000)])
def test_too_many_pixels(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size) + b"\0\0\0\0IDAT")
    with pytest.raises(InputError, match="too large"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_cut_files_are_refused(tmp_path, suffix):
    data = write_picture(tmp_path / f"whole.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for part in range(1, 10):
        path.write_bytes(data[: len(data) * part // 10])
        with pytest.raises(InputError):
            read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif", "bmp"])
def test_damaged_files_give_a_picture_or_a_reason(tmp_path, suffix):
    """Of a PNG, which has checksums, the right one."""
    data = write_picture(tmp_path / f"whole.{suffix}").read_bytes()
    whole = read_image(tmp_path / f"whole.{suffix}")
    path = tmp_path / f"damaged.{suffix}"
    refused = 0
    for damaged in mutate_bytes(data, seed=1, count=200):
        path.write_bytes(damaged)
        try:
            got = read_image(path)
        except InputError as error:
            refused += 1
            assert len(str(error)) <= 200
        else:
            assert got.dtype == np.uint8
            assert got.ndim == 3
            assert got.shape[2] == 3
            assert suffix != "png" or np.array_equal(got, whole)
    assert refused > 20


def test_damaged_exif_does_not_spoil_the_picture(tmp_path):
    data = io.BytesIO()
    Image.fromarray(pattern()).save(data, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    path = tmp_path / "odd.png"
    path.write_bytes(data.getvalue())
    assert np.array_equal(read_image(path), pattern())


def test_pixel_cap_is_inclusive(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 64 * 64)
    assert read_image(write_picture(tmp_path / "just.png")).shape == (64, 64, 3)


def test_normalise_is_the_textbook_formula():
    image = pattern(5, 4)
    expected = (image / 255 - IMAGENET_MEAN) / IMAGENET_STD
    one = normalise(image)
    assert one.dtype == np.float32
    assert one.shape == (3, 4, 5)
    assert np.allclose(one.transpose(1, 2, 0), expected, atol=1e-6)
    batch = normalise(np.stack([image, image[::-1]]), mean=(0, 0, 0), std=(1, 1, 1))
    assert batch.shape == (2, 3, 4, 5)
    assert batch.max() <= 1
    assert normalise(np.zeros((0, 4, 5, 3), np.uint8)).shape == (0, 3, 4, 5)

"""Images with all that a changed copy must bring back."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

pytest.importorskip("cv2", reason="needs vitrail[images]")
tifffile = pytest.importorskip("tifffile", reason="needs vitrail[images]")

from vitrail.errors import InputError  # noqa: E402
from vitrail.preprocess.image import read_image  # noqa: E402
from vitrail.preprocess.image_whole import (  # noqa: E402
    SUFFIXES,
    WholeImage,
    encode_whole,
    losses,
    parse_whole,
    read_whole,
    srgb_profile,
)

RNG = np.random.default_rng(0)
SMALL = np.kron(RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8), np.ones((4, 4, 1), np.uint8))
DEEP = SMALL.astype(np.uint16) * 257 + 3


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_comes_upright(turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = turn, "A camera"
    path = tmp_path / "a.png"
    Image.fromarray(SMALL).save(path, exif=exif)
    whole = read_whole(path)
    np.testing.assert_array_equal(whole.levels, read_image(path))
    kept = Image.Exif()
    kept.load(whole.exif)
    assert dict(kept) == {0x010F: "A camera"}


@pytest.mark.parametrize("format", SUFFIXES)
def test_what_is_written_comes_back(format):
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    image = WholeImage(SMALL, exif=exif.tobytes(), dpi=(300, 300))
    data = encode_whole(image, format)
    again = parse_whole(data, "again")
    assert again.format == format and len(losses(image, format)) == (format == "WEBP")
    lossless = format in ("PNG", "TIFF")
    assert np.abs(again.levels.astype(int) - SMALL).mean() <= (
        0 if lossless else 16
    )  # WebP halves the chroma
    written = Image.open(io.BytesIO(data))
    assert written.info["icc_profile"] == srgb_profile()
    assert written.getexif()[0x010F] == "A camera"
    again_exif = Image.Exif()
    again_exif.load(again.exif)
    assert again_exif[0x010F] == "A camera"
    if format != "WEBP":
        assert [round(part) for part in written.info["dpi"]] == [300, 300]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("transparent", [False, True])
def test_16_bits_and_transparency_stay(format, transparent):
    alpha = DEEP[..., 0].copy() if transparent else None
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    image = WholeImage(DEEP, alpha, "PNG", exif.tobytes(), (200, 200))
    data = encode_whole(image, format)
    assert Image.open(io.BytesIO(data)).getexif()[0x010F] == "A camera"
    again = parse_whole(data, "again")
    np.testing.assert_array_equal(again.levels, DEEP)
    assert losses(image, format) == [] and again.remarks == ()
    assert [round(part) for part in again.dpi] == [200, 200]
    if transparent:
        np.testing.assert_array_equal(again.alpha, alpha)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == srgb_profile()


def test_what_a_format_cannot_keep_is_said():
    image = WholeImage(DEEP, DEEP[..., 0], dpi=(300, 300))
    bits, transparency = losses(image, "JPEG")
    assert "8 were written" in bits and "transparency" in transparency
    assert parse_whole(encode_whole(image, "JPEG"), "again").levels.dtype == np.uint8
    assert "no resolution" in losses(image, "WEBP")[1]
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x829A] = 0.01  # the exposure
    (texts,) = losses(WholeImage(DEEP, exif=exif.tobytes()), "TIFF")
    assert "texts alone" in texts and not losses(WholeImage(SMALL, exif=exif.tobytes()), "TIFF")


def test_a_photograph_with_another_picture_behind_it_is_a_jpeg():
    """Phones keep depth or gain so, as ``MPO``."""
    first = Image.fromarray(SMALL)
    found = parse_whole(saved(first, "MPO", save_all=True, append_images=[first]), "a")
    assert found.format == "JPEG" and found.remarks == ()


def test_grey_stays_grey_and_deep():
    grey = parse_whole(saved(Image.fromarray(SMALL[..., 0]), "PNG"), "a")
    assert grey.levels.ndim == 2
    deep = parse_whole(saved(Image.fromarray(DEEP[..., 0]), "TIFF"), "a")
    assert deep.levels.dtype == np.uint16
    np.testing.assert_array_equal(deep.levels, DEEP[..., 0])
    both = Image.fromarray(SMALL[..., :2], "LA")
    found = parse_whole(saved(both, "PNG"), "a")
    np.testing.assert_array_equal(found.levels, SMALL[..., 0])
    np.testing.assert_array_equal(found.alpha, SMALL[..., 1])


def test_a_profile_is_read_through():
    """A profile whose red and blue are exchanged, made from sRGB's own."""
    profile = bytearray(srgb_profile())
    profile = profile.replace(b"rXYZ", b"\0XYZ").replace(b"bXYZ", b"rXYZ")
    profile = bytes(profile.replace(b"\0XYZ", b"bXYZ").replace(b"s\0R\0G\0B", b"x\0x\0x\0x"))
    for image in (SMALL, SMALL[..., 0]):
        plain = parse_whole(saved(Image.fromarray(image), "PNG"), "a")
        assert plain.remarks == ()
    data = saved(Image.fromarray(SMALL), "PNG", icc_profile=profile)
    found = parse_whole(data, "a")
    if found.remarks:  # a colour management that does not take such a profile says so
        assert "profile" in found.remarks[0]
    else:
        assert np.abs(found.levels.astype(int) - SMALL[..., ::-1]).mean() < 12
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    wrong = parse_whole(saved(Image.fromarray(SMALL), "PNG", icc_profile=lab), "a")
    assert "profile cannot be used" in wrong.remarks[0]
    np.testing.assert_array_equal(wrong.levels, SMALL)


def test_the_profile_is_always_the_same():
    assert srgb_profile() == srgb_profile()
    assert ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))


def test_palettes_cmyk_and_several_frames():
    palette = Image.fromarray(SMALL).quantize(16)
    assert parse_whole(saved(palette, "PNG"), "a").levels.shape == (20, 28, 3)
    cmyk = Image.fromarray(SMALL).convert("CMYK")
    assert parse_whole(saved(cmyk, "TIFF"), "a").levels.shape == (20, 28, 3)
    frames = saved(palette, "GIF", save_all=True, append_images=[palette.rotate(90)])
    assert "2 frames" in parse_whole(frames, "a").remarks[0]


def test_what_is_no_image(tmp_path):
    for data, reason in (
        (b"hello, world", "is not an image"),
        (saved(Image.fromarray(SMALL), "JPEG")[:300], "damaged or cut short"),
        (saved(Image.fromarray(np.float32(SMALL[..., 0])), "TIFF"), "measurements"),
    ):
        with pytest.raises(InputError, match=reason):
            parse_whole(data, "a")
    with pytest.raises(InputError, match="does not exist"):
        read_whole(tmp_path / "none.png")
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    with pytest.raises(InputError):
        parse_whole(bomb + bytes(20), "a")


@pytest.mark.parametrize("format", SUFFIXES)
def test_mutants_are_refused_or_read_as_pillow_reads_them(format):
    good = encode_whole(WholeImage(SMALL), format)
    rng = np.random.default_rng(7)
    for number in range(200):
        data = bytearray(good)
        for _ in range(rng.integers(1, 6)):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        if number % 4 == 0:
            data = data[: int(rng.integers(len(data)))]
        try:
            found = parse_whole(bytes(data), "mutant")
        except InputError:
            continue
        with Image.open(io.BytesIO(bytes(data))) as image:
            size = image.size if image.getexif().get(0x0112, 1) < 5 else image.size[::-1]
        assert found.shape == size[::-1]
        assert replace(found, levels=found.levels).levels.dtype in (np.uint8, np.uint16)

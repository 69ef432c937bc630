"""Two dates on one grid: what is warped, what is refused, what is said."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from change_detect.scene.scene import open_scene
from vitrail.errors import InputError
from vitrail.testing.media import pattern, write_damaged_jpeg, write_picture

from .fakes import PLACE, built, made, picture, town

ROOF = (100, 120, 140, 200)


def paths(tmp_path, **options):
    ground = town()
    return made(tmp_path / "a.tif", ground), made(
        tmp_path / "b.tif", built(ground, ROOF), **options
    )


def changed(result) -> np.ndarray:
    return result.changed == 1


def test_the_mask_lies_on_the_input_s_grid(job, tmp_path):
    result = job.predict(*paths(tmp_path))
    assert result.damage == () and result.reasons == ()
    assert result.place.transform == PLACE and result.mask.shape == (300, 340)
    truth = np.zeros((300, 340), bool)
    truth[100:140, 120:200] = True
    assert np.array_equal(changed(result), truth)


@pytest.mark.parametrize("moved", [(0, 0), (40, -30), (10.5, 7.25)])
def test_a_later_date_on_another_grid(job, tmp_path, moved):
    ground = town(400, 440)
    place = (
        PLACE @ Affine.translation(*moved)
        if hasattr(PLACE, "__matmul__")
        else PLACE * Affine.translation(*moved)
    )
    after = built(ground, (150, 160, 190, 240))
    first = made(tmp_path / "a.tif", ground[:, 50:350, 50:390])
    shift = Affine(0.5, 0, PLACE.c - 25, 0, -0.5, PLACE.f + 25)
    whole = made(tmp_path / "b.tif", after, transform=shift)
    with rasterio.open(whole) as source:  # the same ground on a grid that lies otherwise
        from rasterio.vrt import WarpedVRT

        with WarpedVRT(source, crs=source.crs, transform=place, width=300, height=280) as there:
            second = made(tmp_path / "c.tif", there.read(), transform=place)
    result = job.predict(first, second)
    top, left = (max(0, int(np.floor(m + 1e-6))) for m in (moved[1], moved[0]))
    assert result.place.transform.c == PLACE.c + 0.5 * left
    truth = np.zeros((300, 340), bool)
    truth[100:140, 110:190] = True
    truth = truth[top : top + result.mask.shape[0], left : left + result.mask.shape[1]]
    wrong = (changed(result) != truth) & (result.changed != 255)
    assert truth.sum() > 2000 and wrong.sum() < 150  # the edge, where bilinear levels lie between
    warped = any("was resampled" in reason for reason in result.reasons)
    assert warped == (moved == (10.5, 7.25) or moved == (40, -30))


def test_another_reference_system(job, tmp_path):
    first, second = paths(tmp_path)
    from rasterio.vrt import WarpedVRT
    from rasterio.warp import calculate_default_transform

    with rasterio.open(second) as source:
        place, width, height = calculate_default_transform(
            source.crs, "EPSG:4326", source.width, source.height, *source.bounds
        )
        with WarpedVRT(
            source,
            crs="EPSG:4326",
            transform=place,
            width=width,
            height=height,
            src_nodata=0,
            nodata=0,
        ) as there:
            third = made(
                tmp_path / "c.tif", there.read(), crs="EPSG:4326", transform=place, nodata=0
            )
    result = job.predict(first, third)
    truth = np.zeros((300, 340), bool)
    truth[100:140, 120:200] = True
    both = result.changed != 255
    assert both.mean() > 0.95 and ((result.changed == 1) != truth)[both].mean() < 0.01
    assert "c.tif was resampled onto the grid of a.tif" in result.reasons
    assert "nodata is 0.0 in c.tif, None in a.tif" in result.damage


def test_disjoint_unequal_and_other_bands_are_refused(job, tmp_path):
    first, _second = paths(tmp_path)
    far = made(tmp_path / "far.tif", town(), transform=Affine(0.5, 0, 900_000, 0, -0.5, 4_000_000))
    with pytest.raises(InputError, match=r"far.tif lies elsewhere than a.tif"):
        job.predict(first, far)
    grey = made(tmp_path / "grey.tif", town()[:1])
    with pytest.raises(InputError, match=r"grey.tif has 1 bands, and a.tif has 3"):
        job.predict(first, grey)
    small = picture(tmp_path / "small.png", town(40, 50))
    large = picture(tmp_path / "large.png", town(60, 50))
    with pytest.raises(
        InputError, match=r"large.png is of 50 x 60 pixels, and small.png of 50 x 40"
    ):
        job.predict(small, large)
    edge = made(
        tmp_path / "edge.tif", town(), transform=Affine(0.5, 0, PLACE.c + 169.5, 0, -0.5, PLACE.f)
    )
    result = job.predict(first, edge)
    assert result.mask.shape == (300, 1) and "share 0.29% of a.tif" in result.damage[0]
    corner = Affine(0.5, 0, PLACE.c + 169.5, 0, -0.5, PLACE.f - 149.5)
    result = job.predict(first, made(tmp_path / "corner.tif", town(), transform=corner))
    assert result.mask.shape == (1, 1) and "share 0.00098% of a.tif" in result.damage[0]


def test_nodata_of_either_date_is_nodata_of_the_map(job, tmp_path):
    ground = town()
    before, after = ground.copy(), built(ground, ROOF)
    before[:, :60], after[:, :, 300:] = 0, 7
    first = made(tmp_path / "a.tif", before, nodata=0)
    second = made(tmp_path / "b.tif", after, nodata=7)
    result = job.predict(first, second)
    assert (result.changed[:60] == 255).all() and (result.changed[:, 300:] == 255).all()
    assert changed(result).sum() == 3200
    assert result.to_dict()["no_data_share"] == pytest.approx(1 - 240 * 300 / (300 * 340), abs=1e-4)
    empty = made(tmp_path / "c.tif", np.zeros_like(ground), nodata=0)
    with pytest.raises(InputError, match="shares no pixel that holds data"):
        job.predict(first, empty)


@pytest.mark.parametrize("kind", ["png", "webp", "bmp", "jpg", "rgba", "grey", "palette"])
def test_pictures_of_any_kind(job, tmp_path, kind):
    ground = town()
    for name, pixels in (("a", ground), ("b", built(ground, ROOF))):
        if kind == "rgba":
            alpha = np.full((1, *pixels.shape[1:]), 255, np.uint8)
            alpha[:, :20] = 0
            picture(tmp_path / f"{name}.png", np.concatenate([pixels, alpha]))
        elif kind == "palette":
            from PIL import Image

            Image.fromarray(np.moveaxis(pixels, 0, -1)).quantize(64).save(tmp_path / f"{name}.png")
        elif kind == "grey":
            from PIL import Image

            Image.fromarray(pixels[0]).save(tmp_path / f"{name}.png")
        else:
            options = (
                {"lossless": True} if kind == "webp" else {"quality": 95} if kind == "jpg" else {}
            )
            picture(tmp_path / f"{name}.{kind}", pixels, **options)
    suffix = kind if kind in ("png", "webp", "bmp", "jpg") else "png"
    result = job.predict(tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}")
    truth = np.zeros((300, 340), bool)
    truth[100:140, 120:200] = True
    assert (changed(result) != truth).sum() <= (400 if kind in ("jpg", "palette") else 0)
    assert (kind == "rgba") == (result.changed[:20] == 255).all()
    assert result.areas is None and "areas are in pixels" in result.reasons[-1]


def test_sixteen_bits_are_stretched_together(job, tmp_path):
    ground = town().astype("uint16") * 20
    after = built(town(), ROOF).astype("uint16") * 20
    after[:, 0, 0] = 65535
    result = job.predict(made(tmp_path / "a.tif", ground), made(tmp_path / "b.tif", after))
    truth = np.zeros((300, 340), bool)
    truth[100:140, 120:200] = True
    assert (changed(result) != truth).sum() <= 1
    assert max(result.facts["stretch"]["high"]) < 5000


def test_photographs_held_sideways(job, tmp_path):
    from PIL import Image, ImageOps

    ground = town()
    for name, pixels in (("a", ground), ("b", built(ground, ROOF))):
        image = Image.fromarray(np.moveaxis(pixels, 0, -1))
        for turn in (3, 6, 8):
            exif = Image.Exif()
            exif[0x0112] = turn
            image.save(tmp_path / f"{name}{turn}.png", exif=exif)
            upright = ImageOps.exif_transpose(Image.open(tmp_path / f"{name}{turn}.png"))
            upright.save(tmp_path / f"{name}{turn}-upright.png")
    for turn in (3, 6, 8):
        one = job.predict(tmp_path / f"a{turn}.png", tmp_path / f"b{turn}.png")
        other = job.predict(tmp_path / f"a{turn}-upright.png", tmp_path / f"b{turn}-upright.png")
        assert np.array_equal(one.changed, other.changed) and changed(one).sum() == 3200
        assert "turned upright" in one.damage[0]


def test_a_damaged_photograph_is_said(job, tmp_path):
    write_picture(tmp_path / "before.jpg", pattern(256, 256))
    paths = tmp_path / "before.jpg", write_damaged_jpeg(tmp_path / "after.jpg")
    damage = open_scene(paths).damage
    assert any(one.startswith("after.jpg: part of the image is damaged") for one in damage)


def test_a_mask_for_a_date_is_said(tmp_path):
    mask = (town() > 90).astype("uint8") * 255
    from change_detect.scene.scene import stretch_scene

    scene = open_scene([made(tmp_path / "a.tif", town()), made(tmp_path / "b.tif", mask)])
    stretch_scene(scene, "auto")
    scene.close()
    assert scene.damage == ["b.tif holds 2 values only, as a mask does"]


def test_bands_can_be_named(job, tmp_path):
    ground = np.concatenate([town(), town(seed=5)])
    scene = open_scene([made(tmp_path / "a.tif", ground)] * 2, bands=(4, 5, 6))
    scene.close()
    assert scene.bands == (3, 4, 5) and not scene.reasons
    with pytest.raises(InputError, match="has 6 bands, and 7,8,9 were asked for"):
        open_scene([tmp_path / "a.tif"] * 2, bands=(7, 8, 9))


def test_south_up_and_rotated_grids(job, tmp_path):
    ground, after = town(), built(town(), ROOF)
    for name, place in {
        "south": Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000),
        "turned": Affine(0.4, 0.3, 500_000, 0.3, -0.4, 4_000_000),
    }.items():
        first = made(tmp_path / f"a-{name}.tif", ground, transform=place)
        second = made(tmp_path / f"b-{name}.tif", after, transform=place)
        result = job.predict(first, second)
        assert result.areas["changed"] == pytest.approx(800) and changed(result).sum() == 3200
    other = made(
        tmp_path / "c.tif", after, transform=Affine(0.4, 0.3, 500_000.2, 0.3, -0.4, 4_000_000.1)
    )
    result = job.predict(tmp_path / "a-turned.tif", other)
    assert changed(result).sum() == pytest.approx(3200, rel=0.05)


def test_another_cell_size(tmp_path, job):
    from change_detect.job import ChangeJob, Options

    from .fakes import network

    first, second = paths(tmp_path)
    result = ChangeJob(network(), Options(gsd=1.0), engine="eager").predict(first, second)
    assert result.mask.shape == (150, 170) and result.place.gsd == pytest.approx(1, rel=1e-3)
    assert result.areas["changed"] == pytest.approx(800, rel=0.05)
    coarse = made(tmp_path / "c.tif", town(), transform=Affine(10, 0, 500_000, 0, -10, 4_000_000))
    doubts = job.predict(coarse, coarse).reasons
    assert any(
        "a pixel covers 10 m, and 0.5 m in training; try --method irmad" in d for d in doubts
    )

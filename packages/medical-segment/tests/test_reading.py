"""Scans, series and images as they come: the traps of geometry, and what is refused with a
reason."""

import gzip
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from medical_segment.files.finding import case_of, find_cases
from medical_segment.files.reading import read_case, read_source
from medical_segment.files.volume import Kind
from vitrail.errors import InputError, MissingError
from vitrail.testing.beside import needs

from .fakes import MEDICAL, write_dicom_series


def save(path, data, affine=None, **header):
    image = nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64, np.uint16, np.int8]
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_types_of_numbers(tmp_path, blob, dtype, suffix):
    data = (blob % 100).astype(dtype)
    volume = read_case(save(tmp_path / f"a{suffix}", data))
    assert volume.kind is Kind.nifti and volume.data.shape == (1, *blob.shape)
    assert np.array_equal(volume.data[0], data)


def test_a_file_is_known_by_its_content(scan, tmp_path):
    other = tmp_path / "no suffix at all"
    other.write_bytes(gzip.decompress(scan.read_bytes()))
    assert np.array_equal(read_case(other).data, read_case(scan).data)


def test_big_endian_and_nifti_2(tmp_path, blob):
    for image in (
        nibabel.Nifti1Image(blob, np.eye(4), nibabel.Nifti1Header(endianness=">")),
        nibabel.Nifti2Image(blob, np.eye(4)),
    ):
        nibabel.save(image, tmp_path / "a.nii.gz")
        assert np.array_equal(read_case(tmp_path / "a.nii.gz").data[0], blob)


def test_slope_and_units(tmp_path, blob):
    path = tmp_path / "a.nii"
    image = nibabel.Nifti1Image(blob, np.diag([500.0, 500, 500, 1]))
    image.header.set_xyzt_units("micron")
    image.header.set_slope_inter(2, 10)
    nibabel.save(image, path)
    volume = read_case(path)
    assert np.allclose(volume.data[0], nibabel.load(path).get_fdata(), atol=1e-3)
    assert np.allclose(volume.spacing, 0.5)


def test_flat_and_four_dimensional_files(tmp_path, blob):
    assert read_case(save(tmp_path / "flat.nii", blob[..., 0])).shape == (20, 26)
    four = np.stack([blob, blob + 1, blob + 2], axis=-1)
    volume = read_case(save(tmp_path / "four.nii", four))
    assert volume.data.shape == (3, *blob.shape) and np.array_equal(volume.data[2], blob + 2)
    assert np.array_equal(read_case(tmp_path / "four.nii", volume=2).data[0], blob + 1)
    assert read_case(save(tmp_path / "one.nii", blob[..., None])).data.shape == (1, *blob.shape)
    with pytest.raises(InputError, match="no volume 4"):
        read_case(tmp_path / "four.nii", volume=4)


def test_what_is_not_finite_is_said(tmp_path, blob):
    data = blob.astype(np.float32)
    data[0, 0, :3] = np.nan
    volume = read_case(save(tmp_path / "a.nii", data))
    assert np.isfinite(volume.data).all() and "3 voxels" in volume.damage[0]
    with pytest.raises(InputError, match="no finite"):
        read_case(save(tmp_path / "b.nii", np.full((4, 4, 4), np.nan, np.float32)))


@pytest.mark.parametrize(
    "affine", [np.diag([0, 1, 1, 1.0]), np.diag([np.nan, 1, 1, 1]), np.diag([1e6, 1, 1, 1])]
)
def test_a_grid_that_is_none(tmp_path, blob, affine):
    image = nibabel.Nifti1Image(blob, None)
    image.header["sform_code"], image.header["pixdim"][1:4] = 1, 1
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        image.header[name] = affine[row]
    (tmp_path / "a.nii").write_bytes(image.header.binaryblock + bytes(4) + blob.tobytes(order="F"))
    with pytest.raises(InputError, match=r"grid|damaged"):
        read_case(tmp_path / "a.nii")


def test_a_bomb_and_an_impossible_size(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((800, 800, 600))
    header.set_data_dtype(np.float64)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["pixdim"][1:4] = 1
    with gzip.open(tmp_path / "bomb.nii.gz", "wb", compresslevel=9) as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(100):
            file.write(bytes(1_000_000))
    with pytest.raises(InputError, match=r"too large \(3.1 GB\)"):
        read_case(tmp_path / "bomb.nii.gz")
    header.set_data_shape((30000, 30000, 30000))
    (tmp_path / "huge.nii").write_bytes(header.binaryblock + bytes(400))
    with pytest.raises(InputError, match="too large"):
        read_case(tmp_path / "huge.nii")


def test_channels_of_a_case_must_lie_on_one_grid(tmp_path, blob):
    first = save(tmp_path / "a.nii", blob)
    assert read_case([first, save(tmp_path / "b.nii", blob + 1)]).data.shape == (2, *blob.shape)
    with pytest.raises(InputError, match="another size"):
        read_case([first, save(tmp_path / "c.nii", blob[1:])])
    moved = np.eye(4)
    moved[0, 3] = 0.5
    with pytest.raises(InputError, match="elsewhere"):
        read_case([first, save(tmp_path / "d.nii", blob, moved)])


def test_nnunet_names_make_a_case(tmp_path, blob):
    for number in range(3):
        save(tmp_path / f"case_000{number}.nii.gz", blob)
    (case,) = find_cases([str(tmp_path)], 3)
    assert case.name == str(tmp_path / "case_0000.nii.gz")
    assert [path.name[-8] for path in case.paths] == ["0", "1", "2"]
    assert len(find_cases([str(tmp_path)], 1)) == 3
    with pytest.raises(InputError, match="case_0003"):
        read_source(case_of(tmp_path / "case_0000.nii.gz", 4))


def test_a_dicom_series_is_sorted_by_position(series, blob):
    by_name = [pydicom.dcmread(path).ImagePositionPatient[2] for path in sorted(series.iterdir())]
    assert by_name != sorted(by_name)
    volume = read_case(series)
    assert volume.kind is Kind.dicom and np.array_equal(volume.data[0], blob * 2 - 100)
    assert nibabel.aff2axcodes(volume.affine) == ("L", "P", "S")
    assert np.allclose(volume.spacing, (1, 1, 2))


def test_an_oblique_series_knows_its_place(tmp_path, blob):
    angle = 0.4
    row, column = [1, 0, 0], [0, float(np.cos(angle)), float(np.sin(angle))]
    volume = read_case(write_dicom_series(tmp_path / "o", blob, orientation=[*row, *column]))
    down = np.diag([-1, -1, 1]) @ np.array(column)
    assert np.allclose(volume.affine[:3, 1], down, atol=1e-6)
    assert np.isclose(volume.voxel_ml, 0.002)


def test_series_that_are_not_one_volume(series, tmp_path, blob):
    shutil.copytree(series, tmp_path / "gap")
    (tmp_path / "gap" / "5.dcm").unlink()
    with pytest.raises(InputError, match="missing or unevenly"):
        read_case(tmp_path / "gap")
    shutil.copytree(series, tmp_path / "twice")
    shutil.copy(series / "5.dcm", tmp_path / "twice" / "again.dcm")
    with pytest.raises(InputError, match="at one place"):
        read_case(tmp_path / "twice")
    write_dicom_series(series, blob[:, :, :6], name="other-{}.dcm")
    with pytest.raises(InputError, match="--series"):
        read_case(series)
    sizes = {read_case(series, series=number).shape[2] for number in (1, 2)}
    assert sizes == {6, 18}
    with pytest.raises(InputError, match="no series 3"):
        read_case(series, series=3)


def test_a_compression_without_its_plugin(series, monkeypatch):
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "is_available", property(lambda self: False))
    for path in series.iterdir():
        found = pydicom.dcmread(path)
        found.file_meta.TransferSyntaxUID = JPEG2000Lossless
        found.PixelData = encapsulate([found.PixelData])  # never unpacked here
        found.save_as(path)
    with pytest.raises(MissingError, match=r"jpeg2000"):
        read_case(series)


@needs(MEDICAL)
def test_a_real_series_without_its_plugin(monkeypatch):
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "is_available", property(lambda self: False))
    with pytest.raises(MissingError, match=r"jpeg2000"):
        read_case(MEDICAL / "ct_totalseg" / "example_ct_dicom")


@needs(MEDICAL)
def test_jpeg_2000_in_hounsfield_units():
    pytest.importorskip("openjpeg")
    volume = read_case(MEDICAL / "ct_totalseg" / "example_ct_dicom")
    assert volume.data.shape == (1, 512, 512, 20)
    assert volume.data.min() == -1024 and 500 < volume.data.max() < 3100
    assert np.allclose(volume.spacing, (0.9765625, 0.9765625, 2))


@needs(MEDICAL)
def test_a_real_series_whose_names_lie():
    volume = read_case(MEDICAL / "dicom_mr_hippocrop" / "study1")
    assert [int(path.stem) for path in volume.files] == sorted(
        int(path.stem) for path in volume.files
    )
    assert volume.shape == (35, 51, 32)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "I;16"])
def test_images_of_any_mode(tmp_path, mode):
    values = np.random.default_rng(0).integers(0, 255, (12, 17), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16) * 200)
    else:
        image = Image.fromarray(values).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    volume = read_case(path)
    assert volume.kind is Kind.image and volume.shape == (12, 17)
    assert volume.data.dtype == (np.uint16 if mode == "I;16" else np.uint8)


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((12, 17), "YX", (1, 12, 17)),
        ((5, 12, 17), "ZYX", (1, 5, 12, 17)),
        ((12, 17, 3), "YXS", (3, 12, 17)),
        ((12, 17, 4), "YXS", (3, 12, 17)),
        ((2, 12, 17), "CYX", (2, 12, 17)),
        ((5, 2, 12, 17), "ZCYX", (2, 5, 12, 17)),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiffs_of_several_pages_and_channels(tmp_path, shape, axes, expected, dtype):
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    rgb = {"photometric": "rgb"} if axes.endswith("S") else {}
    tifffile.imwrite(tmp_path / "a.tif", values, metadata={"axes": axes}, compression="zlib", **rgb)
    volume = read_case(tmp_path / "a.tif")
    assert volume.data.shape == expected and volume.data.dtype == dtype


def test_a_folder_of_everything(tmp_path, scan, series):
    Image.new("L", (9, 9)).save(tmp_path / "cells.png")
    (tmp_path / "notes.txt").write_text("no case")
    assert {Path(case.name).name for case in find_cases([str(tmp_path)], 1)} == {
        "scan.nii.gz",
        "series",
        "cells.png",
    }

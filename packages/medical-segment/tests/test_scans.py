"""Scans as their writers make them, against readers that nobody here wrote: what a value means,
where a voxel lies, and that ITK and 3D Slicer open the label map on the scan."""

import gzip
import shutil

import nibabel
import numpy as np
import pydicom
import pytest

from medical_segment.files.reading import read_case
from medical_segment.writing import write
from vitrail.errors import InputError, MissingError
from vitrail.testing.mutants import mutate_bytes

from .fakes import small_job, write_dicom_series, write_multiframe

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def itk():
    return pytest.importorskip("SimpleITK")


def itk_affine(image) -> np.ndarray:
    """In nibabel's terms: voxels to right, anterior, superior."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return LPS @ affine


def itk_series(folder):
    reader = itk().ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def change(folder, edit) -> None:
    """Rewrites each slice, in the order of their numbers."""
    for number, path in enumerate(sorted(folder.iterdir(), key=lambda p: int(p.stem))):
        found = pydicom.dcmread(path)
        edit(found, number)
        found.save_as(path)


def labels_of(path, tmp_path, **options):
    """The label map that the job writes for ``path``."""
    result = small_job(overlap=0, **options).predict(path)
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    write(result, out)
    return out / "labels.nii.gz", result


# What a value means


def test_a_series_is_what_itk_reads(series, blob):
    volume, image = read_case(series), itk_series(series)
    assert np.array_equal(volume.data[0], itk().GetArrayFromImage(image).transpose(2, 1, 0))
    assert np.allclose(volume.affine, itk_affine(image))
    assert volume.damage == ()


def test_each_slice_is_scaled_by_its_own_slope(series, blob):
    """As PET has it."""

    def rescale(found, number):
        found.RescaleSlope, found.RescaleIntercept = 1.5 + number / 8, -number

    change(series, rescale)
    expected = blob * (1.5 + np.arange(18) / 8) - np.arange(18)
    assert np.allclose(read_case(series).data[0], expected)
    assert np.allclose(itk().GetArrayFromImage(itk_series(series)).transpose(2, 1, 0), expected)


def test_a_slope_that_only_some_slices_have(series):
    change(series, lambda found, number: number % 2 and delattr(found, "RescaleSlope"))
    with pytest.raises(InputError, match="rescale slope in some slices only"):
        read_case(series)


def test_white_as_the_lowest_value_is_turned_over_as_a_whole(series, blob):
    """Slice by slice, an empty one would become as bright as tissue."""
    change(series, lambda found, number: setattr(found, "PhotometricInterpretation", "MONOCHROME1"))
    values = blob * 2.0 - 100
    volume = read_case(series)
    assert np.allclose(volume.data[0], values.max() + values.min() - values)
    assert volume.damage == (
        "is stored with white as its lowest value, and was inverted as a whole",
    )
    change(series, lambda found, number: setattr(found, "Modality", "CT"))
    assert np.allclose(read_case(series).data[0], values)  # Hounsfield units are what they are
    change(series, lambda found, number: number or setattr(found, "Modality", "MR"))

    def mixed(found, number):
        found.PhotometricInterpretation = "MONOCHROME2" if number % 2 else "MONOCHROME1"

    change(series, mixed)
    with pytest.raises(InputError, match="different kinds of display"):
        read_case(series)


@pytest.mark.parametrize("written", [-2000, 63536])
def test_padding_is_not_tissue(series, blob, written):
    """A scanner's round field of view: what lies around it was never measured."""
    stored = blob.copy()
    stored[:3] = -2000

    def pad(found, number):
        found.PixelData = stored[:, :, number].T.astype("<i2").tobytes()
        vr = "US" if written > 0 else "SS"
        found.add_new("PixelPaddingValue", vr, written)

    change(series, pad)
    volume = read_case(series)
    values = blob * 2.0 - 100
    measured = values[3:]
    assert np.array_equal(volume.data[0, 3:], measured)
    fill = min(0.0, measured.min()) if measured.min() < 0 else 0.0
    assert (volume.data[0, :3] == fill).all()
    assert f"{3 * 26 * 18} voxels are padding" in volume.damage[0]


def test_a_range_of_padding(series, blob):
    stored = blob.copy()
    stored[:3] = -1990

    def pad(found, number):
        found.PixelData = stored[:, :, number].T.astype("<i2").tobytes()
        found.add_new("PixelPaddingValue", "SS", -2000)
        found.add_new("PixelPaddingRangeLimit", "SS", -1980)

    change(series, pad)
    assert read_case(series).data.min() >= 0


def test_a_file_without_preamble(series, blob):
    """As old archives keep them: ITK reads them too."""
    for path in series.iterdir():
        found = pydicom.dcmread(path)
        found.file_meta = pydicom.dataset.FileMetaDataset()
        found.preamble = None
        pydicom.dcmwrite(path, found, implicit_vr=True, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
    assert np.array_equal(read_case(series).data[0], blob * 2 - 100)


def test_what_a_series_lacks_is_said(series):
    change(series, lambda found, number: delattr(found, "PixelSpacing"))
    with pytest.raises(InputError, match="lacks its pixel spacing"):
        read_case(series)


# Multi-frame files


@pytest.fixture
def enhanced(series, tmp_path):
    pytest.importorskip("highdicom")
    (tmp_path / "enhanced").mkdir()
    return write_multiframe(tmp_path / "enhanced" / "whole.dcm", series)


def test_an_enhanced_file_is_the_series_it_was_made_of(enhanced, series):
    one, many = read_case(enhanced), read_case(series)
    assert np.array_equal(one.data, many.data) and np.allclose(one.affine, many.affine)
    assert np.array_equal(read_case(enhanced.parent).data, many.data)


def test_an_enhanced_file_without_its_reader(enhanced, monkeypatch):
    from medical_segment.files import multiframe

    monkeypatch.setattr(multiframe.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"highdicom reads; install .*dicom-seg"):
        read_case(enhanced)


def test_a_film_is_no_volume(series):
    pytest.importorskip("highdicom")
    film = series / "1.dcm"
    found = pydicom.dcmread(film)
    found.NumberOfFrames, found.PixelData = 2, found.PixelData * 2
    found.save_as(film)
    with pytest.raises(InputError, match="film of frames without places"):
        read_case(film)


# Where a voxel lies


def shifted(folder, millimetres) -> None:
    """Slice n is moved by ``millimetres(n)`` along its rows."""

    def edit(found, number):
        x, y, z = map(float, found.ImagePositionPatient)
        found.ImagePositionPatient = [x, y + float(millimetres(number)), z]

    change(folder, edit)


def test_a_tilted_gantry_is_said_and_its_label_map_opens(series, tmp_path):
    """ITK reads the slices of the series as straight ones, and so it must the label map; the affine
    for other programs is the true one."""
    shifted(series, lambda number: 0.6 * number)
    path, result = labels_of(series, tmp_path)
    assert any("16.7 degrees (a tilted gantry)" in text for text in result.damage)
    scan, made = itk_series(series), itk().ReadImage(str(path))
    assert made.GetSize() == scan.GetSize()
    assert np.allclose(itk_affine(made), itk_affine(scan), atol=1e-4)
    true = result.volume.affine
    assert np.allclose(nibabel.load(path).affine, true, atol=1e-5)
    assert np.allclose(LPS @ true @ [0, 0, 17, 1], [0, 17 * 0.6, 34, 1])


def test_rounded_positions_are_no_tilt(series, tmp_path):
    rng = np.random.default_rng(0)
    jitter = rng.uniform(-0.01, 0.01, 18)
    shifted(series, lambda number: jitter[number])
    path, result = labels_of(series, tmp_path)
    axes = result.volume.affine[:3, :3] / result.volume.spacing
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-12) and result.damage == ()
    made = itk().ReadImage(str(path))
    assert np.allclose(itk_affine(made), itk_affine(itk_series(series)), atol=1e-4)


def test_slices_that_lie_beside_each_other(series):
    shifted(series, lambda number: 0.2 * (number % 2))
    assert "up to 0.2 mm beside a straight line" in read_case(series).damage[0]
    shifted(series, lambda number: 4.0 * (number % 2))
    with pytest.raises(InputError, match=r"lie up to 4.0 mm beside each other"):
        read_case(series)


def test_a_rounded_orientation(tmp_path, blob):
    """Three digits, as some scanners write: ITK takes none but axes at right angles."""
    turn = nibabel.eulerangles.euler2mat(0.3, 0.2, 0.1)
    orientation = [float(n) for n in np.round([*turn[:, 0], *turn[:, 1]], 3)]
    folder = write_dicom_series(tmp_path / "s", blob, orientation=orientation)
    path, _ = labels_of(folder, tmp_path)
    assert np.allclose(
        itk_affine(itk().ReadImage(str(path))), itk_affine(itk_series(folder)), atol=2e-2
    )


def nifti(path, data, **header):
    """A file whose header says exactly what is given, over 1 x 1 x 2 mm in both forms."""
    image = nibabel.Nifti1Image(data, np.diag([1.0, 1, 2, 1]))
    image.set_qform(image.affine, 1)
    for name, value in header.items():
        if name == "pixdim":
            image.header["pixdim"][1:4] = value
        else:
            image.header[name] = value
    image.header["magic"], image.header["vox_offset"] = b"n+1", 352
    path.write_bytes(image.header.binaryblock + bytes(4) + data.tobytes(order="F"))
    return path


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_broken_sform_with_a_good_qform(tmp_path, blob, value):
    path = nifti(tmp_path / "a.nii", blob, srow_x=value, srow_y=value, srow_z=value)
    made, result = labels_of(path, tmp_path)
    assert np.allclose(result.volume.affine, np.diag([1, 1, 2, 1]))
    assert "its sform is no grid, and its qform was taken" in result.damage
    for affine in (nibabel.load(made).affine, itk_affine(itk().ReadImage(str(made)))):
        assert np.allclose(affine, np.diag([1, 1, 2, 1]))


def test_a_broken_qform_with_a_good_sform(tmp_path, blob):
    path = nifti(tmp_path / "a.nii", blob, quatern_b=np.nan)
    assert np.allclose(read_case(path).affine, np.diag([1, 1, 2, 1]))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"pixdim": 3}, "1 x 1 x 2 mm by its sform, 3 x 3 x 3 mm by its pixdim"),
        ({"qoffset_x": 50}, "its sform, which was taken, and its qform lie 50 mm apart"),
        ({"sform_code": 0, "qform_code": 0}, "left and right are a guess"),
    ],
)
def test_a_header_that_contradicts_itself(tmp_path, blob, header, said):
    """Both are said; ITK has the label map where it has the scan."""
    path = nifti(tmp_path / "a.nii", blob, **header)
    made, result = labels_of(path, tmp_path)
    assert any(said in text for text in result.damage), result.damage
    scan, labels = (itk().ReadImage(str(file)) for file in (path, made))
    assert np.array_equal(itk_affine(scan), itk_affine(labels))
    assert np.array_equal(nibabel.load(path).affine, nibabel.load(made).affine)


def test_axes_that_are_not_at_right_angles(tmp_path, blob):
    affine = np.diag([1.0, 1, 2, 1])
    affine[1, 2] = 0.6
    nibabel.save(nibabel.Nifti1Image(blob, affine), tmp_path / "a.nii.gz")
    assert "its axes are not at right angles" in read_case(tmp_path / "a.nii.gz").damage


@pytest.mark.parametrize("shape", [(20, 26, 18, 1), (20, 26, 18, 1, 1), (20, 26, 1, 1)])
def test_trailing_axes_come_back(tmp_path, blob, shape):
    data = np.ascontiguousarray(blob[:, :, : shape[2]]).reshape(shape)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii.gz")
    made, _ = labels_of(tmp_path / "a.nii.gz", tmp_path)
    assert nibabel.load(made).shape == shape


def test_nifti_2_is_written_again(tmp_path, blob):
    affine = np.diag([1 / 3, 1 / 3, 2 / 3, 1])  # which float32 cannot hold
    nibabel.save(nibabel.Nifti2Image(blob, affine), tmp_path / "a.nii.gz")
    made, _ = labels_of(tmp_path / "a.nii.gz", tmp_path, probabilities=True)
    found = nibabel.load(made)
    assert isinstance(found, nibabel.Nifti2Image) and np.array_equal(found.affine, affine)


def test_a_label_map_that_itk_packed_a_thousandfold(tmp_path):
    """One lesion in a large scan shrinks like a bomb; what counts is how much is read."""
    values = np.zeros((200, 512, 512), np.uint8)
    values[90:110, 200:230, 240:280] = 1
    itk().WriteImage(itk().GetImageFromArray(values), str(tmp_path / "a.nii.gz"), True)
    ratio = values.nbytes / (tmp_path / "a.nii.gz").stat().st_size
    assert ratio > 900
    assert read_case(tmp_path / "a.nii.gz").data.sum() == values.sum()


# NRRD and MetaImage


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_formats_of_slicer(tmp_path, blob, suffix, packed):
    image = itk().GetImageFromArray(blob.transpose(2, 1, 0))
    turn = nibabel.eulerangles.euler2mat(0.3, 0.2, 0.1)
    image.SetSpacing((1.0, 1.5, 2.0))
    image.SetOrigin((5.0, 6.0, -7.0))
    image.SetDirection(turn.ravel().tolist())
    itk().WriteImage(image, str(tmp_path / f"a{suffix}"), packed)
    path = (tmp_path / f"a{suffix}").rename(tmp_path / "no suffix")
    made, result = labels_of(path, tmp_path)
    assert np.array_equal(result.volume.data[0], blob) and result.damage == ()
    scan, labels = image, itk().ReadImage(str(made))
    assert labels.GetSize() == scan.GetSize()
    assert np.allclose(itk_affine(labels), itk_affine(scan), atol=1e-5)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_damaged_files_of_slicer(tmp_path, blob, suffix):
    """A result or a sentence, never a crash of the library."""
    good = tmp_path / f"good{suffix}"
    itk().WriteImage(itk().GetImageFromArray(blob[:8, :8, :8].copy()), str(good), True)
    failed, path = 0, tmp_path / f"a{suffix}"
    for damaged in mutate_bytes(good.read_bytes(), seed=5, count=200):
        path.write_bytes(damaged)
        try:
            assert np.isfinite(read_case(path).data).all()
        except InputError:
            failed += 1
    assert failed > 20


@pytest.mark.parametrize(
    ("suffix", "header"),
    [
        (
            ".nhdr",
            b"NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\ndata file: ../secret.raw\n\n",
        ),
        (
            ".mhd",
            b"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementDataFile = /etc/passwd\n",
        ),
    ],
)
def test_a_header_whose_numbers_lie_elsewhere(tmp_path, suffix, header):
    (tmp_path / f"a{suffix}").write_bytes(header)
    with pytest.raises(InputError, match="lie in another file"):
        read_case(tmp_path / f"a{suffix}")


def test_the_formats_of_slicer_without_their_reader(tmp_path, monkeypatch):
    from medical_segment.files import itk as room

    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\ntype: short\nencoding: raw\n\n" + bytes(99))
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"SimpleITK; install .*\[itk\]"):
        read_case(tmp_path / "a.nrrd")


def test_other_kinds_are_called_by_their_names(tmp_path, blob):
    nibabel.save(nibabel.MGHImage(blob.astype(np.int32), np.eye(4)), tmp_path / "a.mgz")
    nibabel.save(nibabel.AnalyzeImage(blob, np.eye(4)), tmp_path / "b.hdr")
    with pytest.raises(InputError, match="FreeSurfer volume; convert it: mri_convert"):
        read_case(tmp_path / "a.mgz")
    with pytest.raises(InputError, match="header of an Analyze file"):
        read_case(tmp_path / "b.hdr")
    assert gzip.decompress((tmp_path / "a.mgz").read_bytes())[:4] == b"\0\0\0\1"

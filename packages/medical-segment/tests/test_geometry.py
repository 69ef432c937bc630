"""Back on the file's grid, whatever its order, direction, tilt and voxel size."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch

from medical_segment import postprocess, preprocess
from medical_segment.plan import Plan
from medical_segment.preprocess import place
from medical_segment.writing import write_maps

from .fakes import PLAN_3D, small_job

CODES = ["RAS", "LPS", "PIR", "SLA", "ASR"]


def affine_of(codes: str, spacing=(1.0, 2.0, 3.0), tilt: float = 0.0) -> np.ndarray:
    """An affine whose voxel axes run towards ``codes``, turned by ``tilt`` radians about the third
    world axis."""
    turn = nibabel.orientations.inv_ornt_aff(nibabel.orientations.axcodes2ornt(codes), (5, 6, 7))
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    return rotation @ turn @ np.diag([*spacing, 1.0])


@pytest.mark.parametrize("codes", CODES)
def test_placing_and_turning_back_changes_no_bit(codes):
    plan = Plan(("MR",), ("background", "a"), (8, 8, 8))
    values = np.random.default_rng(0).normal(size=(2, 5, 6, 7)).astype(np.float32)
    affine = affine_of(codes)
    placed = place(values, affine, plan)
    assert np.array_equal(preprocess.back(placed, (5, 6, 7), affine, plan), values)


@pytest.mark.parametrize("codes", CODES)
def test_resampled_labels_come_back_to_their_place(codes):
    """A ball drawn in millimetres is found where it is, to a voxel's breadth, at another
    spacing."""
    plan = Plan(("MR",), ("background", "a"), (8, 8, 8), spacing=(1.5, 1.5, 1.5))
    affine, shape = affine_of(codes), (25, 14, 9)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    world = grid @ affine[:3, :3].T + affine[:3, 3]
    middle = world.reshape(-1, 3).mean(axis=0)
    ball = (np.linalg.norm(world - middle, axis=-1) < 9).astype(np.float32)
    placed = place(ball[None], affine, plan)
    found = preprocess.back(placed, shape, affine, plan)[0] > 0.5
    dice = 2 * (found & (ball > 0)).sum() / (found.sum() + ball.sum())
    assert dice > 0.9


@pytest.mark.parametrize(
    ("codes", "tilt"), [("RAS", 0.0), ("LPS", 0.3), ("PIR", 0.0), ("SLA", 0.3)]
)
def test_the_written_affine_is_the_read_one_bit_for_bit(codes, tilt, tmp_path, blob):
    """Also for oblique scans, whose affine lives in the sform, the qform or both."""
    for name, (sform, qform) in {"both": (2, 1), "sform": (1, 0), "qform": (0, 1)}.items():
        image = nibabel.Nifti1Image(blob, affine_of(codes, tilt=tilt))
        image.set_sform(image.affine, sform)
        image.set_qform(image.affine, qform)
        path = tmp_path / f"{name}.nii.gz"
        nibabel.save(image, path)
        result = small_job(overlap=0).predict(path)
        write_maps(result, tmp_path)
        given, made = nibabel.load(path), nibabel.load(tmp_path / "labels.nii.gz")
        assert made.shape == given.shape
        assert made.affine.tobytes() == given.affine.tobytes()
        for key in (
            "pixdim",
            "qform_code",
            "sform_code",
            "quatern_b",
            "qoffset_x",
            "srow_x",
            "srow_z",
            "xyzt_units",
        ):
            assert (
                np.asarray(made.header[key]).tobytes() == np.asarray(given.header[key]).tobytes()
            ), key


def test_the_order_of_the_axes_does_not_change_what_is_found(tmp_path, blob):
    """The same patient stored in two ways gives the same volumes and the same places."""
    first = nibabel.Nifti1Image(blob, np.eye(4))
    other = first.as_reoriented(nibabel.orientations.axcodes2ornt("PIR"))
    results = [
        small_job().predict(image.get_fdata(dtype=np.float32), image.affine)
        for image in (first, other)
    ]
    assert [s.voxels for s in results[0].structures] == [s.voxels for s in results[1].structures]
    back = nibabel.Nifti1Image(results[1].labels, other.affine)
    turned = nibabel.as_closest_canonical(back)
    assert np.array_equal(np.asarray(turned.dataobj), results[0].labels)


def test_most_likely_takes_the_first_of_equals():
    channels = np.array([[0.4, 0.2, 0.3], [0.4, 0.5, 0.3], [0.2, 0.3, 0.4]])
    assert postprocess.most_likely(iter(channels)).tolist() == [0, 1, 2]


def test_regions_are_painted_in_order():
    plan = replace(
        PLAN_3D, labels=("TC", "WT", "ET"), activation="sigmoid", values=(2, 1, 3), order=(1, 0, 2)
    )
    masks = np.array([[0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 0]], bool)
    assert postprocess.paint(masks, plan).tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("shape", "size"),
    [((5, 6, 7), (9, 4, 7)), ((256, 33), (101, 250)), ((1, 8, 3), (4, 1, 12)), ((7, 7), (7, 7))],
)
def test_resizing_is_that_of_pytorch(shape, size):
    values = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    batch, mode = torch.from_numpy(values)[None], ["bilinear", "trilinear"][len(shape) - 2]
    expected = torch.nn.functional.interpolate(batch, size, mode=mode, align_corners=False)[0]
    np.testing.assert_allclose(preprocess.resize(values, size), expected, atol=2e-6)
    labels = np.random.default_rng(1).integers(0, 9, (1, *shape), dtype=np.uint8)
    nearest = torch.nn.functional.interpolate(
        torch.from_numpy(labels)[None].float(), size, mode="nearest-exact"
    )[0]
    found = preprocess.resize(labels, size, labels=True)
    assert found.dtype == np.uint8 and np.array_equal(found, nearest)

"""The job from an array or a file to a result."""

import hashlib
from dataclasses import replace
from functools import partial

import nibabel
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import nn

from medical_segment import load
from medical_segment.files.finding import Case, case_of
from medical_segment.files.volume import Kind, Volume
from medical_segment.networks import load_network
from medical_segment.plan import Plan
from medical_segment.planes import cut
from vitrail.errors import InputError, UsageError
from vitrail.runner import run, solve
from vitrail.sources import Source, sha256

from .fakes import PLAN_2D, PLAN_3D, PLAN_REGIONS, job_of, network_of, small_job, small_network

FLAT = Plan(("MR",), ("background", "bright"), (16, 16), dims=2, orientation=None)


def test_from_python(tiny_weights, blob, scan):
    job = load(str(tiny_weights), engine="eager", device="cpu")
    from_file, from_array = job.predict(scan), job.predict(blob)
    assert from_file.labels.shape == blob.shape and from_file.labels.dtype == np.uint8
    assert np.array_equal(from_file.labels, from_array.labels)
    assert set(np.unique(from_file.labels)) <= {0, 1, 2}


def test_the_ball_is_found_with_its_volume(blob):
    plan = replace(PLAN_3D, labels=("background", "ball"), values=(), order=())
    result = small_job(plan).predict(blob, np.diag([1, 1, 2.0, 1]))
    (ball,) = result.structures
    true = int((blob > 300).sum())
    assert true <= ball.voxels < 1.5 * true and ball.ml == pytest.approx(ball.voxels * 0.002)
    assert result.to_dict()["structures"]["ball"]["voxels"] == ball.voxels


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3)), np.zeros(0), np.full((4, 4, 4), np.nan), np.array("x")]
)
def test_arrays_that_are_no_scan(array):
    with pytest.raises(InputError):
        small_job().predict(array)


def test_scans_of_different_size_share_batches(tmp_path, blob):
    """The runner fills batches with windows of several cases; each result is that of the case
    alone."""
    paths = []
    for number, data in enumerate((blob, blob[:, :10], np.concatenate([blob, blob]))):
        paths.append(tmp_path / f"{number}.nii")
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), paths[-1])
    job = small_job()
    engine, sizes = job.networks["small"], []
    job.networks["small"] = lambda batch: (sizes.append(len(batch)), engine(batch))[1]
    together = dict(run(job, map(Source.of, paths), batch_size=5))
    shared, sizes[:] = list(sizes), []
    for path in paths:
        ((_, alone),) = run(job, [Source.of(path)], batch_size=5)
        assert np.array_equal(together[Source.of(path)].labels, alone.labels)
    assert max(shared) == 5 and sum(shared) == sum(sizes) and len(shared) < len(sizes)


def test_one_bad_case_harms_no_other(tmp_path, scan):
    bad = tmp_path / "bad.nii"
    bad.write_bytes(b"nothing")
    sources = [Source.of(path) for path in (bad, scan, tmp_path / "missing.nii")]
    outcomes = dict(run(small_job(), sources, batch_size=4))
    assert [hasattr(outcome, "labels") for outcome in outcomes.values()] == [False, True, False]


class Lopsided(nn.Module):
    """Sees structures only in the upper half of a window: its mirrored views disagree."""

    def forward(self, image):
        ramp = torch.linspace(1, 0, image.shape[2]).view(1, 1, -1, *[1] * (image.ndim - 3))
        return torch.cat([torch.zeros_like(image), image * ramp], dim=1)


def test_mirrored_views_are_averaged(blob):
    plan = replace(PLAN_3D, labels=("background", "ball"), values=(), order=(), patch=(20, 26, 18))
    network = network_of(Lopsided, plan)
    job = job_of([network], mirror=True, probabilities=True)
    one = job.predict(blob).probabilities
    other = job.predict(blob[::-1].copy()).probabilities
    assert np.allclose(one, other[:, ::-1], atol=1e-4)
    plain = job_of([network], probabilities=True)
    assert not np.allclose(plain.predict(blob).probabilities, one, atol=1e-3)


def test_several_checkpoints_are_averaged(tiny_weights, blob):
    first = load_network(str(tiny_weights))
    torch.manual_seed(1)
    second = replace(first, build=partial(type(first.module), first.module.config))
    parts = [job_of([network], probabilities=True) for network in (first, second)]
    both = job_of([first, second], probabilities=True)
    single = [np.log(part.predict(blob).probabilities) for part in parts]
    mean = np.exp((single[0] + single[1]) / 2)
    assert np.allclose(both.predict(blob).probabilities, mean / mean.sum(axis=0), atol=1e-4)
    assert list(both.networks) == ["tiny.safetensors", "tiny.safetensors-1"]
    with pytest.raises(UsageError, match="average"):
        job_of([first, small_network(PLAN_REGIONS)])


def test_regions_and_their_three_numberings(blob):
    """WT, TC and ET overlap; the label map shows ET over TC over WT, by the numbers that were asked
    for."""

    class Nested(nn.Module):
        def forward(self, image):
            return torch.cat([image[:, :1] - limit for limit in (600, 300, 1000)], dim=1)

    plan = replace(PLAN_REGIONS, normalisation="none")
    network = network_of(Nested, plan)
    data = np.stack([blob.astype(float)] * 4)
    data[:, 6:11, 13:18, 8:13] += 300
    data[:, 8, 15, 10] += 900
    numbers = {"decathlon": (1, 2, 3), "brats": (2, 1, 4), "brats2023": (2, 1, 3)}
    for convention, (oedema, core, enhancing) in numbers.items():
        result = job_of([network], convention=convention).predict(data)
        tc, wt, et = result.regions
        assert (wt >= tc).all() and (tc >= et).all() and et.any() and (wt > tc).any()
        expected = np.select([et, tc, wt], [enhancing, core, oedema])
        assert np.array_equal(result.labels, expected)
        assert [s.voxels for s in result.structures] == [tc.sum(), wt.sum(), et.sum()]
    with pytest.raises(UsageError, match="TC, WT, ET"):
        small_job(convention="brats")


def test_channels_that_do_not_fit(tmp_path, blob, scan):
    with pytest.raises(InputError, match="4 \\(FLAIR"):
        small_job(PLAN_REGIONS).predict(scan)
    nibabel.save(nibabel.Nifti1Image(np.stack([blob] * 3, -1), np.eye(4)), tmp_path / "four.nii")
    with pytest.raises(InputError, match="--volume"):
        small_job().predict(tmp_path / "four.nii")
    assert small_job(volume=2).predict(tmp_path / "four.nii").labels.shape == blob.shape


def test_files_of_one_case(tmp_path, blob):
    files = []
    for name in PLAN_REGIONS.channels:
        files.append(tmp_path / f"{name}.nii")
        nibabel.save(nibabel.Nifti1Image(blob, np.eye(4)), files[-1])
    case = Case.of_inputs(str(files[0]), files)
    before = case.fingerprint
    lines = "".join(f"{path.name}\0{sha256(path)}\n" for path in files)
    assert before == hashlib.sha256(lines.encode()).hexdigest()
    assert small_job(PLAN_REGIONS).predict(case).regions.shape == (3, *blob.shape)
    files[3].write_bytes(files[3].read_bytes() + b"\0")
    assert Case.of_inputs(str(files[0]), files).fingerprint != before


def test_a_series_is_fingerprinted_by_its_slices(series):
    case = case_of(series, 1)
    lines = "".join(f"{n}.dcm\0{sha256(series / f'{n}.dcm')}\n" for n in range(1, 19))
    assert case.fingerprint == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flat_network_takes_the_slices_of_a_scan(blob, axis):
    """Cut across the widest distance between slices, and put together again."""
    spacing = np.ones(3)
    spacing[axis] = 5
    result = _slices(blob, spacing)
    assert result.labels.shape == blob.shape and result.structures[0].ml == pytest.approx(
        result.structures[0].voxels * 0.005
    )
    for number in (0, 7):
        alone = small_job(FLAT).predict(np.take(blob, number, axis))
        assert np.array_equal(np.take(result.labels, number, axis), alone.labels)


def _slices(blob, spacing):
    volume = Volume(blob[None], np.diag([*spacing, 1]), Kind.array)
    axis, planes = cut("array", volume, FLAT, 0.5)
    assert axis == int(np.argmax(spacing)) and len(planes) == blob.shape[axis]
    job = small_job(FLAT)
    return solve(job.networks, job._steps("array", volume))


def test_images_and_their_pages(tmp_path):
    rng = np.random.default_rng(0)
    pages = rng.integers(0, 30, (3, 40, 50)).astype(np.uint16)
    pages[:, 2:38, 2:15] = pages[:, 2:38, 20:34] = (
        60000  # half of a page: they lie one deviation above the mean
    )
    tifffile.imwrite(
        tmp_path / "stack.tif", pages, photometric="minisblack", metadata={"axes": "ZYX"}
    )
    result = small_job(PLAN_2D).predict(tmp_path / "stack.tif")
    assert result.instances.shape == (3, 40, 50) and result.instances.dtype == np.uint16
    assert sorted(np.unique(result.instances)) == list(range(len(result.things) + 1))
    assert [thing.page for thing in result.things] == [0, 0, 1, 1, 2, 2]
    grey = small_job(PLAN_2D).predict(np.stack([pages[1]] * 3, -1))
    assert grey.labels.shape == (40, 50)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (2, 2)])
def test_images_of_almost_nothing(tmp_path, shape):
    Image.fromarray(np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)).save(
        tmp_path / "a.png"
    )
    assert small_job(PLAN_2D).predict(tmp_path / "a.png").labels.shape == shape


def test_an_image_is_not_a_scan_and_the_other_way_round(tmp_path, scan):
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="is an image"):
        small_job().predict(tmp_path / "a.png")
    with pytest.raises(InputError, match="takes 3"):
        small_job(PLAN_2D).predict(scan)


def test_an_impossible_voxel_size_is_refused_before_any_memory(tmp_path, blob):
    nibabel.save(nibabel.Nifti1Image(blob, np.diag([900.0, 900, 900, 1])), tmp_path / "a.nii")
    with pytest.raises(InputError, match="voxel size"):
        small_job().predict(tmp_path / "a.nii")


def test_an_even_image_costs_no_network():
    job = small_job()
    result = job.predict(np.full((40, 40, 40), 7.0))
    assert result.skipped == result.windows > 1 and not result.labels.any()

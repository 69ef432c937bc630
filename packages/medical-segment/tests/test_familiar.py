"""What is unlike the training cases is said, and what is like them is not."""

import json
import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from medical_segment.familiar import figures, ranges, unlike
from medical_segment.show import montage, viewer
from vitrail.testing.commands import call

from .fakes import PLAN_2D, PLAN_3D, job_of, small_network

BALL = replace(PLAN_3D, labels=("background", "ball"), values=(), order=())


def ball(seed=0, radius=5, noise=10, sign=1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = np.mgrid[:20, :26, :18]
    inside = ((grid - np.array([8, 15, 10]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < radius**2
    return (sign * inside * 400 + rng.normal(100, noise, inside.shape)).astype(np.int16)


@pytest.fixture(scope="module")
def seen():
    job = job_of([small_network(BALL)])
    return ranges(figures(job.predict(ball(seed, 5 + seed % 2))) for seed in range(1, 7))


@pytest.fixture
def job(seen):
    return job_of([replace(small_network(BALL), seen=seen)])


def test_a_case_like_the_others_is_not_remarked(job):
    result = job.predict(ball())
    assert result.reasons == () and result.to_dict()["reasons"] == []
    assert 0.5 < result.confidence <= 1


@pytest.mark.parametrize(
    ("array", "spacing", "said"),
    [
        (ball(), (1, 1, 5), "its voxels measure 1 x 1 x 5 mm; training cases have 1 x 1 x 1 mm"),
        (ball()[:, :, :2], (1, 1, 1), "it covers 20 x 26 x 2 mm; training cases have"),
        (np.tile(ball(), (2, 2, 2)), (1, 1, 1), "it covers 40 x 52 x 36 mm"),
        (ball(sign=-1), (1, 1, 1), "its intensities are spread unlike"),
        (ball(noise=150), (1, 1, 1), "its intensities are spread unlike"),
        (ball(radius=2), (1, 1, 1), "ml of ball found; training cases hold"),
    ],
)
def test_what_is_unlike_them_is_said(job, array, spacing, said):
    reasons = job.predict(array, np.diag([*spacing, 1.0])).reasons
    assert any(said in reason for reason in reasons), reasons


def test_nothing_found_is_said(job):
    flat = job.predict(np.zeros((20, 26, 18)))
    assert flat.confidence is None
    assert any(reason.startswith("0 ml of ball found") for reason in flat.reasons)


def test_an_unsure_network(job, seen):
    result = job.predict(ball())
    doubtful = replace(result, confidence=0.2)
    assert any("unsure of what it found" in text for text in unlike(doubtful, seen))


def test_objects_of_another_size():
    image = np.full((80, 80, 3), 10, np.uint8)
    for row, column in ((5, 5), (5, 45), (45, 5), (45, 45)):
        image[row : row + 25, column : column + 25] = 250
    job = job_of([small_network(PLAN_2D)])
    seen = ranges([figures(job.predict(image))])
    assert unlike(job.predict(image), seen) == ()
    small = unlike(job.predict(image[::4, ::4]), seen)
    assert any("its objects measure" in text for text in small), small
    none = unlike(job.predict(np.full((80, 80, 3), 10, np.uint8)), seen)
    assert "no object was found, and each training case has some" in none


def test_files_whose_training_nobody_wrote_down():
    assert job_of([small_network(BALL)]).predict(ball()).reasons == ()


def test_remarks_stand_on_the_page_and_the_overview(job, tmp_path):
    result = job.predict(ball(), np.diag([1, 1, 5.0, 1]))
    page = viewer.html(result)
    assert "its voxels measure 1 x 1 x 5 mm" in page and '<ul class="remarks">' in page
    montage.draw(result, tmp_path / "with.png")
    montage.draw(replace(result, reasons=()), tmp_path / "without.png")
    from PIL import Image

    heights = [Image.open(tmp_path / f"{name}.png").height for name in ("with", "without")]
    assert heights[0] >= heights[1] + 18 * len(result.reasons)


def test_the_bundled_network_knows_its_kind(tmp_path, capsys):
    """The example is one of its kind; the same crop with slices of 5 mm is not."""
    from pathlib import Path

    example = Path(__file__).parents[1] / "examples" / "hippocampus.nii.gz"
    shutil.copy(example, tmp_path / "like.nii.gz")
    image = nibabel.load(example)
    thick = np.asarray(image.dataobj)[:, :, ::5]
    affine = image.affine @ np.diag([1, 1, 5, 1])
    nibabel.save(nibabel.Nifti1Image(thick, affine), tmp_path / "thick.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(-np.asarray(image.dataobj, np.int16), image.affine),
        tmp_path / "turned.nii.gz",
    )
    outcome = call("medical_segment", tmp_path, "--quiet")
    like, thick, turned = (json.loads(line)["reasons"] for line in outcome.stdout.splitlines())
    assert like == []
    assert any("5 mm" in text for text in thick) and turned

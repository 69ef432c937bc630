"""Detectors of others: a folder of transformers, an ONNX file."""

import numpy as np
import pytest
import torch

from pose_estimate import load
from pose_estimate.people.finder import load_finder
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.runner import solve
from vitrail.testing.detectors import detector_folder
from vitrail.testing.media import pattern

from .fakes import detector_onnx, pose_weights

IMAGES = [pattern(90, 60), pattern(64, 64, seed=1)]


def search(spec, **options):
    finder = load_finder(str(spec), device="cpu", **options)
    return solve(finder.networks, finder.find(IMAGES))


def test_a_folder_of_transformers_finds_people(tmp_path):
    everybody = search(detector_folder(tmp_path / "detector"), min_score=0.0)
    assert [rows.shape[1] for rows in everybody] == [5, 5]
    assert all((np.diff(rows[:, 4]) <= 0).all() and len(rows) for rows in everybody)
    limit = float(np.median(everybody[0][:, 4]))
    fewer = search(tmp_path / "detector", min_score=limit)
    assert 0 < len(fewer[0]) < len(everybody[0]) and (fewer[0][:, 4] >= limit).all()


@pytest.mark.parametrize("side", [None, 32])
def test_an_onnx_file_finds_people_in_pixels_of_the_image(tmp_path, side):
    """It tells a box of a tenth to nine tenths of its input, and a cat of the same place."""
    (first, second) = search(detector_onnx(tmp_path, side))
    np.testing.assert_allclose(first, [[9, 6, 72, 48, 0.75]], rtol=1e-5)
    np.testing.assert_allclose(second, [[6.4, 6.4, 51.2, 51.2, 0.75]], rtol=1e-5)


def test_the_job_takes_the_boxes_of_another_detector(tmp_path):
    path = detector_onnx(tmp_path)
    job = load(str(pose_weights(tmp_path)), detector=str(path), engine="eager")
    result = job.predict(IMAGES[0])
    assert [person.box for person in result.people] == [pytest.approx((9, 6, 72, 48))]
    assert job.options["detector"] == str(path)


def test_what_is_no_detector_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.onnx").write_bytes(b"no network")
    for spec, kind in ((tmp_path / "empty", InputError), (tmp_path / "no.onnx", InputError),
                       ("torchvision:no_such=x.pth", UsageError),
                       ("torchvision:ssd300_vgg16", UsageError),
                       (tmp_path / "none.safetensors", MissingError)):  # fmt: skip
        with pytest.raises(kind):
            load_finder(str(spec), device="cpu")


def test_an_onnx_file_that_gives_no_boxes_is_refused(tmp_path):
    path = tmp_path / "plain.onnx"
    torch.onnx.export(torch.nn.Flatten(), (torch.zeros(1, 3, 8, 8),), path, dynamo=False)
    with pytest.raises(InputError, match="no boxes"):
        search(path)

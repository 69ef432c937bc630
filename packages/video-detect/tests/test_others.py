"""Films through detectors of others: a folder of transformers, an ONNX file."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from video_detect import load
from vitrail.errors import InputError, UsageError
from vitrail.testing.commands import call
from vitrail.testing.detectors import detector_folder

from .fakes import film


class Square(torch.nn.Module):
    """Where the image is red, as a cat, and the whole image, which is none for sure."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        red = (image[0, 0] > 0.7) & (image[0, 1] < 0.4)
        rows, columns = red.any(1).float(), red.any(0).float()
        height, width = torch.arange(rows.shape[0]), torch.arange(columns.shape[0])
        left, right = width[columns > 0].min(), width[columns > 0].max() + 1
        top, bottom = height[rows > 0].min(), height[rows > 0].max() + 1
        box = torch.stack((left, top, right, bottom)).float()
        whole = torch.tensor([0.0, 0.0, 96.0, 64.0])
        return torch.stack((box, whole)), torch.tensor([0.9, 0.1]), torch.tensor([15, 2])


@pytest.fixture(scope="module")
def square(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "square.onnx"
    names = {"input_names": ["image"], "output_names": ["boxes", "scores", "labels"]}
    torch.onnx.export(Square(), (torch.rand(1, 3, 64, 96),), path, dynamo=False, **names)
    return path


def test_an_onnx_detector_is_followed_through_the_film(square):
    result = load(detector=str(square), device="cpu").predict(np.stack(film(8)))
    assert [len(frame.objects) for frame in result.frames] == [1] * 8
    for number, frame in enumerate(result.frames):
        (one,) = frame.objects
        assert (one.label, one.track) == ("cat", 1)
        assert one.box == pytest.approx((4 + 4 * number, 20, 24, 24), abs=0.01)


def test_the_command_writes_its_rows_and_goes_on_with_them(square, street, tmp_path):
    words = ("video_detect", street, "--detector", square, "-o", tmp_path / "out")
    outcome = call(*words)
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    assert row["model"] == "square.onnx" and row["objects"] == 12
    assert "1 of 1 done before" in call(*words, "--resume").stderr
    (rows,) = (tmp_path / "out").rglob("detections.jsonl")
    assert {one["label"] for line in rows.open() for one in json.loads(line)["objects"]} == {"cat"}


def test_what_a_detector_does_not_know_or_cannot_do_is_refused(square, tmp_path):
    (tmp_path / "empty").mkdir()
    for options, kind, said in (
        ({"detector": str(square), "classes": ["griffin"]}, UsageError, "griffin"),
        ({"detector": str(square), "net": "both"}, UsageError, "--net"),
        ({"detector": str(square), "weights": "tgbformer"}, UsageError, "--weights"),
        ({"detector": str(tmp_path / "empty")}, InputError, "empty"),
        ({"detector": "torchvision:ssd300_vgg16"}, UsageError, "NAME=FILE"),
    ):
        with pytest.raises(kind, match=said):
            load(**options)


class Nameless(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        box = torch.stack((image.min(), image.min(), image.min() + 9, image.min() + 9))
        return box[None], torch.tensor([0.9]), torch.tensor([90])


def test_a_label_without_name_is_refused(tmp_path):
    path = tmp_path / "nameless.onnx"
    names = {"input_names": ["image"], "output_names": ["boxes", "scores", "labels"]}
    torch.onnx.export(Nameless(), (torch.rand(1, 3, 64, 96),), path, dynamo=False, **names)
    with pytest.raises(InputError, match="tells label 90, but only 80 labels are named"):
        load(detector=str(path), device="cpu").predict(np.stack(film(2)))
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"names": "{0: 'Ash', 90: 'Griffin'}"})
    onnx.save(model, path)
    result = load(detector=str(path), device="cpu").predict(np.stack(film(2)))
    assert {one.label for frame in result.frames for one in frame.objects} == {"griffin"}


def test_a_folder_of_transformers_names_its_own_labels(tmp_path):
    detector_folder(tmp_path / "rtdetr", ("Griffin", "Cat"))
    result = load(detector=str(tmp_path / "rtdetr"), score=0.0, device="cpu").predict(
        np.stack(film(3))
    )
    assert result.labels == ("griffin", "cat")
    assert {one.label for frame in result.frames for one in frame.objects} <= {"griffin", "cat"}
    assert all(frame.objects for frame in result.frames)

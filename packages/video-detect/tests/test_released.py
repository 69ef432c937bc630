"""Released checkpoints of Deformable DETR and TransVOD through the command's tracks and files."""

import argparse

import numpy as np
import pytest
import torch

from video_detect import load, official
from video_detect.models import Config, TGBFormer
from video_detect.released import PARTS, fitted
from vitrail.errors import InputError

from .fakes import film

SMALL = Config(
    backbone="resnet50",
    embed_dim=32,
    num_heads=1,
    encoder_layers=1,
    decoder_layers=2,
    mlp_dim=32,
    num_queries=7,
    num_classes=31,
    temporal_layers=0,
    graph_blocks=0,
)


@pytest.fixture(scope="module")
def network() -> TGBFormer:
    torch.manual_seed(0)
    return TGBFormer(SMALL).eval()


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    """The network as a release has it: other names, heads once more under the decoder, what its
    training was called with, and a temporal part."""
    state = {}
    for name, value in network.state_dict().items():
        if name.split(".")[0] not in PARTS or name.endswith("num_batches_tracked"):
            continue
        old = next(
            (o + name.removeprefix(n) for o, n in official.RENAMED if name.startswith(n)), ""
        )
        state[old or name] = value
        if old.startswith(("class_embed.", "bbox_embed.")):
            state[f"transformer.decoder.{old}"] = value
    del state["transformer.level_embed"]
    state["temp_class_embed.weight"] = torch.zeros(3)
    path = tmp_path_factory.mktemp("released") / "transvod.pth"
    torch.save({"model": state, "epoch": 7, "args": argparse.Namespace(lr=1e-4)}, path)
    return path


def test_the_job_tells_what_the_network_finds(network, checkpoint):
    job = load(detector=str(checkpoint), score=0.0, track=False, device="cpu")
    frame = film(1)[0]
    (row,) = job.predict(frame).frames
    seen = torch.from_numpy(fitted(frame, 600, 1000)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(part)[:, None, None] for part in (official.MEAN, official.STD))
    network.encoder.level_embed.data.zero_()  # which the file did not hold
    with torch.no_grad():
        tokens = network.encode(network.features(((seen - mean) / std)[None]))
        found = network.decoder(tokens)
    scores, labels = found.logits[-1, 0].sigmoid().max(dim=1)
    told = {(one.label, round(one.score, 4)) for one in row.objects}
    names = official.class_names(31)
    known = {(names[n], round(float(s), 4)) for s, n in zip(scores, labels, strict=True)}
    assert told and told <= known
    assert job.model == "transvod.pth" and set(job.labels) > {"domestic cat", "watercraft"}


def test_what_is_no_release_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="Deformable DETR"):
        load(detector=str(path), device="cpu")


def test_a_release_with_a_strange_tensor_is_refused(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=False)
    content["model"]["surprise"] = torch.zeros(2)
    path = tmp_path / "strange.pth"
    torch.save(content, path)
    with pytest.raises(InputError, match="surprise"):
        load(detector=str(path), device="cpu")


def test_cocos_numbers_have_its_names():
    names = official.class_names(91)
    assert (names[1], names[13], names[18], names[90]) == (
        "person",
        "stop sign",
        "dog",
        "toothbrush",
    )


@pytest.mark.parametrize(("size", "fit"), [((480, 640), (800, 1067)), ((300, 1000), (400, 1333))])
def test_images_are_brought_to_the_releases_size(size, fit):
    assert fitted(np.zeros((*size, 3), np.uint8), 800, 1333).shape[:2] == fit

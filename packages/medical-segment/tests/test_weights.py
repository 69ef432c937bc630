"""Weights files whose description is damaged: refused with one line that names the file."""

import pytest
import torch

from medical_segment import system
from medical_segment.networks import load_network
from vitrail.errors import MAX_LINE, VitrailError
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import read_state, save


@pytest.fixture(scope="module")
def bundled():
    return read_state(resolve(system, "hippocampus").path)


def refused(path) -> None:
    with pytest.raises(VitrailError) as caught:
        _ = load_network(str(path)).module
    said = str(caught.value)
    assert len(said) <= MAX_LINE and "\n" not in said and path.name in said


@pytest.mark.parametrize("part", ["channels", "labels", "patch", "spacing", "values", "instances"])
@pytest.mark.parametrize("value", [0, "x", [-1, -1, -1], {}, [10**9] * 3])
def test_a_plan_that_is_none(tmp_path, bundled, part, value):
    state, metadata = bundled
    path = tmp_path / "a.safetensors"
    save(path, state, metadata | {"plan": metadata["plan"] | {part: value}}, torch.float16)
    refused(path)


@pytest.mark.parametrize("axes", ["RA", "RAR", "XYZ", 3])
def test_an_orientation_that_is_none(tmp_path, bundled, axes):
    state, metadata = bundled
    path = tmp_path / "a.safetensors"
    save(path, state, metadata | {"plan": metadata["plan"] | {"orientation": axes}}, torch.float16)
    refused(path)


@pytest.mark.parametrize(
    "changes",
    [
        None,
        {"decoder_dim": 10**9},
        {"decoder_dim": "wide"},
        {"embed_dims": [32]},
        {"num_heads": [0, 2, 4, 8]},
        {"patch_stride": None},
        {"colour": 3},
    ],
)
def test_options_of_which_no_network_can_be_made(tmp_path, bundled, changes):
    state, metadata = bundled
    path = tmp_path / "a.safetensors"
    config = changes if changes is None else metadata["config"] | changes
    save(path, state, metadata | {"config": config}, torch.float16)
    refused(path)

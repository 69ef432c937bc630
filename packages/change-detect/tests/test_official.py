"""Files of the release: every form that its training writes, and what is none."""

import pytest
import torch

from change_detect import official
from change_detect.checkpoint import read_checkpoint
from change_detect.models import build_model
from change_detect.models.config import RELEASED
from change_detect.networks import load_network
from vitrail.errors import InputError
from vitrail.testing.beside import PARITY, needs
from vitrail.testing.parity import main
from vitrail.weights.files import save

CONFIG = {
    "embed_dim": 48,
    "depth": 2,
    "num_heads": 6,
    "grid": [16, 16],
    "detail_dims": [8, 16, 32],
    **RELEASED,
}


def stored() -> dict[str, torch.Tensor]:
    """A state dict under the release's names, dead tensors and all."""
    torch.manual_seed(1)
    state = build_model("changevit", CONFIG).state_dict()
    for theirs, ours in reversed(official.NAMES):
        state = {
            theirs + key.removeprefix(ours) if key.startswith(ours) else key: value
            for key, value in state.items()
        }
    state["encoder.vit.mask_token"] = torch.zeros(1, 48)
    state["encoder.resnet.layer4.0.conv1.weight"] = torch.zeros(64, 32, 3, 3)
    state["encoder.resnet.fc.bias"] = torch.zeros(1000)
    return state


def wrapped(state: dict) -> dict:
    return {"epoch": 3, "arch": "ChangeViT", "state_dict": state, "lr": 1e-4}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrap", [dict, wrapped])
@torch.no_grad()
def test_every_form_of_an_official_file(tmp_path, prefix, wrap):
    state = {prefix + key: value for key, value in stored().items()}
    torch.save(wrap(state), tmp_path / "best_model.pth")
    checkpoint = read_checkpoint(tmp_path / "best_model.pth")
    assert {key: checkpoint.config[key] for key in CONFIG} == CONFIG
    model = checkpoint.build()
    images = torch.randn(2, 1, 3, 32, 32)
    torch.manual_seed(1)
    assert torch.equal(model(*images), build_model("changevit", CONFIG).eval()(*images))
    network = load_network(str(tmp_path / "best_model.pth"))
    assert (network.threshold, network.gsd) == (0.5, None)


def test_missing_and_unexpected_keys_are_named(tmp_path):
    state = stored()
    del state["decoder.up_c3.1.bias"]
    state["decoder.new"] = torch.zeros(1)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"1 missing, 1 unexpected; decoder.up_c3.1.bias"):
        read_checkpoint(tmp_path / "a.pth").build()


def test_another_networks_file_is_refused(tmp_path):
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="holds no ChangeViT"):
        load_network(str(tmp_path / "a.pth"))
    state = {"x": torch.zeros(1)}
    save(
        tmp_path / "b.safetensors", state, {"system": "change-detect", "architecture": "changevit"}
    )
    with pytest.raises(InputError, match=r"threshold|config|metadata"):
        load_network(str(tmp_path / "b.safetensors"))


@needs(PARITY / "change")
def test_goldens(capsys):
    assert main(["change_detect", str(PARITY / "change")]) == 0
    assert "67 passed, 0 failed" in capsys.readouterr().out

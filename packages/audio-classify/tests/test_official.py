"""The bridge to the official release: goldens, and checkpoints of all three formats."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from audio_classify import official, parity
from audio_classify.checkpoint import initial_trunk
from audio_classify.models import build_model
from audio_classify.models.config import SSASTConfig
from audio_classify.models.ssast import WithEmbedding
from audio_classify.networks import load_network
from audio_classify.official import convert, read_config
from vitrail.errors import InputError, UsageError
from vitrail.testing.beside import PARITY, needs

PACK = PARITY / "audio"
TINY = {"embed_dim": 32, "depth": 2, "heads": 2, "fshape": 16, "tshape": 16, "input_fdim": 128}
CLASSIFIER = TINY | {"fstride": 10, "tstride": 10, "input_tdim": 64, "label_dim": 5}
PRETRAINED = TINY | {"fstride": 16, "tstride": 16, "input_tdim": 128}


def failed(folder: Path) -> list[str]:
    return [str(comparison) for comparison in parity.check(folder) if not comparison.passed]


@needs(PACK)
def test_parity_packs():
    assert len(parity.check(PACK)) > 90
    assert failed(PACK) == []


def ours_under_official_keys(config: dict, seed: int = 0) -> dict[str, torch.Tensor]:
    """A random network's tensors, named as the release names them."""
    torch.manual_seed(seed)
    model = official.build(config)
    names = {
        "trunk.": "v.",
        "head.": "mlp_head.",
        "discriminative.": "cpredlayer.",
        "generative.": "gpredlayer.",
    }
    state = {}
    for key, value in model.state_dict().items():
        for ours, theirs in names.items():
            key = theirs + key.removeprefix(ours) if key.startswith(ours) else key
        state[f"module.{key}"] = torch.randn_like(value) * 0.1
    dead = {"module.v.head.weight": torch.zeros(10, 32), "module.v.head_dist.bias": torch.zeros(10)}
    return state | dead


def write_golden(folder: Path) -> Path:
    """A golden in the packs' format: a classifier with random weights under the official keys, dead
    ones among them."""
    state = ours_under_official_keys(CLASSIFIER)
    model = official.build(CLASSIFIER).eval()
    model.load_state_dict(convert(state))
    image = torch.randn(2, 64, 128)
    with torch.inference_mode():
        tensors = {
            "input.fbank": image,
            "output.logits_avgtok": model(image),
            "mid.tokens": model.trunk(image),
        }
    tensors |= {f"weight.{key}": value for key, value in state.items()}
    save_file({key: value.clone() for key, value in tensors.items()}, folder / "one.safetensors")
    case = {"file": "one.safetensors", "config": CLASSIFIER | {"base": "one"}, "full_weights": True}
    spec = {"cases": {"one": case}, "tolerance": {"rtol": 1e-4, "atol": 1e-4}}
    (folder / "tiny.json").write_text(json.dumps(spec))
    return folder / "one.safetensors"


def test_a_golden_of_other_sizes_passes_and_a_changed_one_fails(tmp_path):
    path = write_golden(tmp_path)
    assert failed(tmp_path) == []
    tensors = load_file(path)
    tensors["weight.module.v.norm.weight"] += 0.1
    save_file(tensors, path)
    assert any("output.logits_avgtok" in line for line in failed(tmp_path))


def test_a_value_that_nothing_answers_to_fails(tmp_path):
    path = write_golden(tmp_path)
    save_file(load_file(path) | {"mid.attention": torch.zeros(1)}, path)
    assert any("mid.attention has no counterpart" in line for line in failed(tmp_path))


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_convert_takes_both_prefixes_and_leaves_out_what_is_dead(prefix):
    state = {
        prefix + key.removeprefix("module."): v
        for key, v in ours_under_official_keys(CLASSIFIER).items()
    }
    official.build(CLASSIFIER).load_state_dict(convert(state))


def test_unknown_and_foreign_keys_are_refused():
    extra = {f"module.w.{number}": torch.zeros(1) for number in range(5)}
    with pytest.raises(InputError, match=r"has 5 keys that no AST or SSAST has: w\.0, w\.1, w\.2"):
        convert(ours_under_official_keys(CLASSIFIER) | extra)
    with pytest.raises(InputError, match="neither SSAST nor AST"):
        read_config({"v.cls_token": torch.zeros(1, 1, 32)})
    with pytest.raises(UsageError, match="is not an official option"):
        official.build({"fshap": 16})


@pytest.mark.parametrize("size", ["tiny", "small", "base", "base_nokd"])
@pytest.mark.parametrize(
    "patch, stride, frames", [((16, 16), 10, 1024), ((16, 16), 10, 512), ((128, 2), 1, 128)]
)
def test_config_is_read_from_the_shapes(size, patch, stride, frames):
    config = {
        "model_size": size,
        "fshape": patch[0],
        "tshape": patch[1],
        "fstride": 128 if patch[0] == 128 else stride,
        "tstride": stride,
        "input_fdim": 128,
        "input_tdim": frames,
        "label_dim": 7,
    }
    with torch.device("meta"):
        model = official.build(config)
        state = {
            key.replace("trunk.", "v.").replace("head.", "mlp_head."): v
            for key, v in model.state_dict().items()
        }
    assert SSASTConfig(**read_config(state)) == model.config


def test_a_pretrained_checkpoint_gives_embeddings(tmp_path):
    path = tmp_path / "ssast.safetensors"
    save_file(ours_under_official_keys(PRETRAINED | {"embed_dim": 64, "heads": 1}), path)
    network = load_network(str(path))
    assert network.labels == () and network.module(torch.randn(1, 128, 128)).shape == (1, 64)


def test_labels_come_from_a_file(tmp_path):
    path, names = tmp_path / "ast.pth", tmp_path / "names.csv"
    torch.save(ours_under_official_keys(CLASSIFIER | {"embed_dim": 64, "heads": 1}), path)
    names.write_text(
        "index,mid,display_name\n" + "".join(f'{n},/m/{n},"Sound, {n}"\n' for n in range(5))
    )
    assert load_network(str(path)).labels[0] == "class 0"
    assert load_network(str(path), names).labels == tuple(f"Sound, {n}" for n in range(5))
    names.write_text("one\ntwo\n")
    with pytest.raises(InputError, match="2 names for 5 classes"):
        load_network(str(path), names)


def test_a_trunk_to_start_from_is_resized(tmp_path):
    path = tmp_path / "ssast.safetensors"
    state = ours_under_official_keys(PRETRAINED | {"embed_dim": 64, "heads": 1})
    save_file(state, path)
    config = {"embed_dim": 64, "depth": 2, "num_heads": 1, "num_frames": 300, "num_classes": 3}
    model = build_model("ssast", config)
    model.trunk.load_state_dict(initial_trunk(str(path), SSASTConfig(**config)))
    assert torch.equal(model.trunk.norm.weight, state["module.v.norm.weight"])


def test_the_port_of_transformers_gives_the_same_numbers(tmp_path):
    """AST as the library transformers saves it, computed by that library."""
    transformers = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "intermediate_size": 256,
    }
    config = transformers.ASTConfig(**sizes, max_length=64, num_labels=527)
    torch.manual_seed(0)
    port = transformers.ASTForAudioClassification(config).eval()
    for parameter in port.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    port.save_pretrained(tmp_path)
    network = load_network(str(tmp_path / "model.safetensors"))
    image = torch.randn(2, 64, 128)
    with torch.inference_mode():
        expected, ours = port(image).logits, WithEmbedding(network.module)(image)
    assert (ours[:, :527] - expected).abs().max() < 1e-3 * expected.abs().max()
    assert network.multi_label and network.module.config.pooling == "class"

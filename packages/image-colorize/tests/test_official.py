"""The architecture against the release: goldens where they lie, and its checkpoints' form."""

import json
import shutil
from argparse import Namespace

import pytest
import torch

from image_colorize import official, parity
from image_colorize.checkpoint import read
from image_colorize.model import Config, build_model, planes, relative_index
from image_colorize.networks import load_network
from vitrail.errors import InputError
from vitrail.testing.beside import PARITY, needs

FULL = "icolorit_tiny_4ch_patch16_224"
SMALL = {
    "image_size": 64,
    "embed_dim": 64,
    "depth": 2,
    "num_heads": 1,
}


def release(tmp_path, **more):
    """A checkpoint in the release's form."""
    model = build_model(SMALL)
    state = model.state_dict() | {
        f"blocks.{n}.{official.INDEX}": relative_index(4) for n in range(2)
    }
    path = tmp_path / "icolorit.pth"
    content = {"model": state, "epoch": 3, "args": Namespace(model="tiny", lr=5e-4)} | more
    torch.save(content, path)
    return model.eval(), path


def test_a_release_loads_by_its_own_keys(tmp_path):
    model, path = release(tmp_path)
    options, state = read(path)
    assert options == vars(Config(**SMALL))
    assert not [key for key in state if key.endswith("index")]
    network = load_network(str(path))
    seen = torch.rand(2, 4, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.module(seen), model(seen))


def test_another_index_is_refused(tmp_path):
    model = build_model(SMALL)
    wrong = model.state_dict() | {f"blocks.0.{official.INDEX}": relative_index(4).T}
    torch.save({"model": wrong}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="another index"):
        read(tmp_path / "a.pth")


def test_objects_of_other_types_are_refused(tmp_path):
    _, path = release(tmp_path, args=torch.nn.Linear(1, 1))
    with pytest.raises(InputError, match="can run code"):
        read(path)
    torch.save({"fc.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="holds no iColoriT"):
        read(path)


def test_missing_keys_are_named(tmp_path):
    model, path = release(tmp_path)
    state = model.state_dict()
    del state["norm.weight"]
    torch.save({"model": state}, path)
    with pytest.raises(InputError, match="1 missing; norm"):
        _ = load_network(str(path)).module


@pytest.mark.parametrize("head", ["cnn", "linear", "locattn"])
@pytest.mark.parametrize("rel_pos", [True, False])
def test_every_head_gives_chroma(head, rel_pos):
    model = build_model(SMALL | {"head": head, "rel_pos": rel_pos}).eval()
    with torch.no_grad():
        made = model(torch.rand(1, 4, 64, 64))
    assert made.shape == (1, 2, 64, 64) and made.abs().max() < 1


def test_a_part_of_the_image_takes_its_positions():
    model = build_model(SMALL).eval()
    seen = torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        assert not torch.equal(
            model(seen[..., :32, :32], (0, 0)), model(seen[..., :32, :32], (2, 1))
        )
        torch.testing.assert_close(model(seen, (0, 0)), model(seen))


def test_rollout_is_a_distribution():
    flow = build_model(SMALL).eval().rollout(torch.rand(1, 4, 64, 64))
    torch.testing.assert_close(flow.sum(-1), torch.ones(1, 16))


def test_planes_hide_what_is_not_hinted():
    lab = torch.rand(1, 3, 8, 8)
    mask = torch.ones(1, 16, dtype=torch.bool)
    mask[0, 5] = False
    seen = planes(lab, mask)
    assert seen[0, 3].sum() == 4 and seen[0, 1, 2:4, 2:4].std() < 1e-6
    assert seen[0, 1:3].count_nonzero() == 8
    torch.testing.assert_close(seen[0, 1, 2, 2], lab[0, 1, 2:4, 2:4].mean())
    assert planes(lab, mask, centre=True)[0, 3].min() == -0.5


@needs(PARITY / "colorize")
@pytest.mark.parametrize("pack", ["tiny", "preproc", "manifest", "fullsize_formula"])
def test_goldens(pack, tmp_path):
    """All that is small, and the tiny network at full size: ``vitrail.testing.parity`` checks the
    larger ones too."""
    for path in (PARITY / "colorize").glob(f"{pack}.*"):
        shutil.copy(path, tmp_path)
    if pack == "fullsize_formula":
        spec = json.loads((PARITY / f"colorize/{pack}.json").read_text())
        spec["cases"] = {FULL: spec["cases"][FULL]}
        (tmp_path / f"{pack}.json").chmod(0o644)
        (tmp_path / f"{pack}.json").write_text(json.dumps(spec))
    comparisons = parity.check(tmp_path)
    assert comparisons and [str(one) for one in comparisons if not one.passed] == []

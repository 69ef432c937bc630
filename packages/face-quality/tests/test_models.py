"""The network: its variants, what scoring leaves out, masking, losses, and the goldens."""

import numpy as np
import pytest
import torch

from face_quality.models import build_model
from face_quality.models.vit_fiqa import Scorer
from face_quality.networks import load_network
from face_quality.official import SIZES, read_config
from face_quality.parity import check
from face_quality.training.loss import MarginSoftmax, certainty_ratio
from vitrail.errors import InputError, UsageError
from vitrail.testing.beside import PARITY, needs

TINY = {"img_size": 40, "embed_dim": 32, "depth": 3, "num_heads": 4}


@needs(PARITY / "face-quality")
def test_goldens(tmp_path):
    """All but the full sizes, which take a minute and 450 MB: python -m vitrail.testing.parity
    face_quality ../shared/parity/face-quality."""
    for path in (PARITY / "face-quality").iterdir():
        if not path.name.startswith("fullsize"):
            (tmp_path / path.name).symlink_to(path)
    comparisons = check(tmp_path)
    assert len(comparisons) > 60
    assert [str(one) for one in comparisons if not one.passed] == []


@pytest.mark.parametrize("mode", ["token", "crfiqa", "full"])
def test_a_checkpoint_tells_its_variant(mode):
    with torch.device("meta"):
        for size in SIZES.values():
            state = build_model(size | {"mode": mode}).state_dict()
            read = read_config(state)
            assert read["mode"] == mode
            assert {key: read[key] for key in size} == size


def test_what_is_no_checkpoint_of_it():
    with pytest.raises(InputError, match="no ViT-FIQA"):
        read_config({"conv.weight": torch.zeros(3)})


@pytest.mark.parametrize("mode", ["token", "crfiqa", "full"])
def test_the_scorer_gives_the_networks_quality(mode):
    torch.manual_seed(0)
    model = build_model(TINY | {"mode": mode}).eval()
    crops = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
    with torch.inference_mode():
        embedding, quality = model(crops.float() / 127.5 - 1)
        whole = Scorer(build_copy(model), embeds=True).eval()(crops)
        alone = Scorer(build_copy(model)).eval()(crops)
    torch.testing.assert_close(alone, quality)
    torch.testing.assert_close(whole[:, :1], quality)
    torch.testing.assert_close(whole[:, 1:], torch.nn.functional.normalize(embedding))


@pytest.mark.parametrize("views", [2, 4])
def test_a_score_is_the_mean_over_its_views(views):
    """A crop and its mirror have the same one, and one number out of several."""
    torch.manual_seed(0)
    model = build_model(TINY | {"views": views}).eval()
    torch.nn.init.normal_(model.qs_token)
    crops = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
    with torch.inference_mode():
        rows = Scorer(build_copy(model), embeds=True).eval()(crops)
        mirrored = Scorer(build_copy(model), embeds=True).eval()(crops.flip(3))
        single = [model(one.float() / 127.5 - 1)[1] for one in (crops, crops.flip(3))]
    torch.testing.assert_close(rows, mirrored)
    assert torch.allclose(rows[:, :1], sum(single) / 2, atol=1e-5) == (views == 2)
    assert rows[:, 1:].norm(dim=1).tolist() == pytest.approx([1, 1])
    with pytest.raises(UsageError, match="views 3"):
        build_model(TINY | {"views": 3})


def build_copy(model):
    copy = build_model(vars(model.config))
    copy.load_state_dict(model.state_dict())
    return copy


def test_a_score_needs_neither_the_large_layer_nor_later_blocks():
    scorer = Scorer(build_model(TINY), exit_block=2)
    names = scorer.state_dict()
    assert not any(".feature." in name or ".blocks.2." in name for name in names)
    assert any(".blocks.1." in name for name in names)
    # The quality of the embedding needs it, whatever is read out.
    assert any(
        ".feature." in name for name in Scorer(build_model(TINY | {"mode": "full"})).state_dict()
    )


def test_a_large_layer_that_no_score_needs_stays_in_the_file(tmp_path):
    """Values that nobody reads cannot spoil a score; those that are read are looked at."""
    state = build_model(TINY).state_dict()
    state["feature.0.weight"][0, 0] = float("nan")
    torch.save(state, tmp_path / "a.pt")
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 40, 40), np.uint8)
    scores = load_network(str(tmp_path / "a.pt")).module(torch.from_numpy(images))
    assert scores.shape == (2, 1) and scores.isfinite().all()
    with pytest.raises(InputError, match=r"NaN or infinity in feature\.0"):
        _ = load_network(str(tmp_path / "a.pt"), embeds=True).module
    state["blocks.0.norm1.weight"][0] = float("nan")
    torch.save(state, tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"NaN or infinity in blocks\.0\.norm1"):
        _ = load_network(str(tmp_path / "b.pt")).module


def test_the_quality_token_is_never_dropped_unless_as_released():
    torch.manual_seed(0)
    model = build_model(TINY).eval()
    images = torch.randn(1, 3, 40, 40)
    noise = torch.rand(1, 17)
    noise[0, 0] = 1.0  # the first to be dropped
    with torch.inference_mode():
        kept = model(images, noise)[1]
        dropped = model(images, noise, keep_token=False)[1]
        constant = model.head_qs(model.mask_token[:, 0])
    torch.testing.assert_close(dropped, constant)
    assert not torch.allclose(kept, constant)


def test_a_conv_stem_makes_patches_of_its_strides():
    model = build_model({"stem": "conv", "embed_dim": 32, "depth": 1, "num_heads": 2})
    assert model.config.num_patches == 49
    assert model.embed(torch.zeros(2, 3, 112, 112)).shape == (2, 50, 32)


@pytest.mark.parametrize(
    "options", [{"mode": "both"}, {"num_heads": 5}, {"stem": "none"}, {"depth": 0}, {"colour": 1}]
)
def test_sizes_that_do_not_go_together(options):
    with pytest.raises(UsageError):
        build_model(TINY | options)


def test_the_ratio_looks_at_all_classes():
    cosines = torch.tensor([[0.8, 0.1, 0.6], [0.2, -0.5, 0.1]])
    ratios = certainty_ratio(cosines, torch.tensor([0, 1]))
    torch.testing.assert_close(ratios, torch.tensor([[0.8 / 1.6], [-0.5 / 1.2]]))


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
def test_a_margin_makes_the_right_class_harder(kind):
    softmax = MarginSoftmax(4, 8, kind=kind, margin=0.4)
    cosines = torch.full((1, 4), 0.5)
    changed = softmax.with_margin(cosines, torch.tensor([2]))
    assert changed[0, 2] < 0.5 and changed[0, 0] == 0.5

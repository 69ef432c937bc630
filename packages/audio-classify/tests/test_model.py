"""The network: shapes, lengths, positions, and what padding does."""

import pytest
import torch

from audio_classify.models import build_model
from audio_classify.models.config import SSASTConfig
from audio_classify.models.ssast import resize_positions
from vitrail.errors import UsageError

SMALL = {"num_classes": 5, "num_frames": 96, "embed_dim": 32, "depth": 2, "num_heads": 2}
CONV = {"stem": "conv", "stem_widths": (4, 8, 8), "patch": (16, 16), "stride": (16, 16)}
SPEECH = {"stem": "speech", "patch": (128, 8), "stride": (128, 8)}
VARIANTS = [
    {},
    {"patch": (128, 2), "stride": (128, 1)},
    {"class_tokens": 1},
    {"pooling": "class"},
    CONV,
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_length_up_to_the_longest(variant):
    model = build_model("ssast", SMALL | variant).eval()
    for frames in (16, 37, 96):
        assert model(torch.randn(2, frames, 128)).shape == (2, 5)


def test_a_row_does_not_depend_on_the_others():
    model = build_model("ssast", SMALL | CONV).eval()
    batch = torch.randn(4, 50, 128)
    with torch.inference_mode():
        assert torch.allclose(model(batch)[2:3], model(batch[2:3]), atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_parameters_learn(variant):
    model = build_model("ssast", SMALL | variant)
    model(torch.randn(2, 96, 128)).square().sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for parameter in model.parameters()
    )


def test_what_the_stem_hears_is_judged_as_the_whole_is():
    model = build_model("ssast", SMALL | SPEECH).eval()
    clip = torch.randn(2, 96, 128)
    with torch.inference_mode():
        heard = model.trunk.patch_embed.hear(clip.transpose(1, 2).unsqueeze(1))
        rows, columns = model.config.grid(96)
        assert heard.shape[2:] == (rows, columns)
        assert torch.allclose(model.judge(heard), model(clip), atol=1e-5)


def test_each_token_of_the_speech_stem_is_a_moment():
    # Random convolutions one behind the other leave little, so in double precision.
    model = build_model("ssast", SMALL | SPEECH).eval().double()
    torch.nn.init.uniform_(model.trunk.patch_embed.fold)
    quiet = torch.full((1, 1, 128, 800), -12.0, dtype=torch.float64)
    loud = quiet.clone()
    loud[..., 400:440] = 0.0
    with torch.inference_mode():
        stem = model.trunk.patch_embed
        apart = (stem.hear(loud) - stem.hear(quiet)).abs().amax((0, 1, 2))
    # What lies before and behind the clip is as quiet as it may be beside its loudest moment.
    inside = apart[5:-5]
    columns = (inside > 1e-3 * inside.max()).nonzero().flatten() + 5
    assert inside.max() > 0
    assert columns.min() >= 400 // 8 - 5 and columns.max() <= 440 // 8 + 5


def test_the_speech_stem_has_patches_of_its_own():
    with pytest.raises(UsageError, match="this speech stem makes patches of"):
        SSASTConfig(stem="speech")


def test_frames_after_the_last_whole_patch_are_not_seen():
    model = build_model("ssast", SMALL).eval()
    clip = torch.randn(1, 45, 128)  # patches of 16 each 10: the third ends at 36
    with torch.inference_mode():
        assert torch.equal(model(clip), model(clip[:, :36]))


def test_positions_of_a_shorter_clip_are_the_first_ones():
    model = build_model("ssast", SMALL).eval()
    with torch.inference_mode():
        tokens = model.trunk.encode(torch.zeros(1, 12, 3, 32))
        model.trunk.pos_embed[:, 2:].unflatten(1, (12, 9))[:, :, 3:] += 1.0
        assert torch.equal(tokens, model.trunk.encode(torch.zeros(1, 12, 3, 32)))


def test_without_classes_it_gives_embeddings():
    model = build_model("ssast", SMALL | {"num_classes": 0}).eval()
    clip = torch.randn(2, 40, 128)
    assert torch.equal(model(clip), model.embedding(clip)) and model(clip).shape == (2, 32)


@pytest.mark.parametrize(
    "config, problem",
    [
        ({"depht": 2}, "no option depht"),
        ({"num_heads": 5}, "does not divide"),
        ({"pooling": "max"}, "neither mean nor class"),
        ({"stem": "conv"}, "makes patches of"),
        ({"num_frames": 8}, "less than a patch"),
    ],
)
def test_options_that_do_not_work(config, problem):
    with pytest.raises(UsageError, match=problem):
        build_model("ssast", {"embed_dim": 32, "num_heads": 2} | config)


def test_an_architecture_that_is_none():
    with pytest.raises(UsageError, match="ssast, cnn"):
        build_model("resnet", {})


@pytest.mark.parametrize("new", [(8, 5), (12, 24), (4, 20), (1, 1)])
def test_positions_of_another_grid(new):
    old = torch.randn(1, 2 + 8 * 8, 16)
    resized = resize_positions(old, (8, 8), new, 2)
    assert resized.shape == (1, 2 + new[0] * new[1], 16)
    assert torch.equal(resized[:, :2], old[:, :2])


def test_positions_of_the_same_grid_are_kept_and_shorter_ones_are_the_middle():
    old = torch.randn(1, 1 + 3 * 9, 4)
    assert torch.equal(resize_positions(old, (3, 9), (3, 9), 1), old)
    middle = old[:, 1:].unflatten(1, (3, 9))[:, :, 2:7].flatten(1, 2)
    assert torch.equal(resize_positions(old, (3, 9), (3, 5), 1)[:, 1:], middle)


def test_the_official_sizes():
    assert SSASTConfig().grid(1024) == (12, 101)
    assert SSASTConfig(patch=(128, 2), stride=(128, 1)).grid(128) == (1, 127)

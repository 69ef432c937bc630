"""LoLA-SpecViT against what is known of it, without the goldens."""

import pytest
import torch
from torch import nn

from hsi_classify import official
from hsi_classify.models import build_model
from hsi_classify.models.conv import ConvNet
from hsi_classify.models.layers import AdaptedLinear, SwiGLU, WindowAttention
from hsi_classify.models.specvit import SpecViT, SpecViTConfig, set_adapter_scale, streamline
from vitrail.errors import InputError, UsageError

TINY = {
    "components": 6,
    "num_classes": 3,
    "embed_dim": 8,
    "depths": (1, 1, 1),
    "num_heads": (1, 2, 2),
    "mlp_ratio": 1.0,
    "rank": 2,
    "alpha": 4.0,
    "spectral_widths": (2, 3),
}


def tiny(**more) -> SpecViT:
    torch.manual_seed(0)
    model = build_model("specvit", TINY | more)
    assert isinstance(model, SpecViT)
    return model.eval()


def naive_attention(layer: WindowAttention, x: torch.Tensor, side: int, window: int):
    """The release's order: pad with zeros, attend over all tokens, take the real ones."""
    batch, _, dim = x.shape
    padded = torch.zeros(batch, window, window, dim)
    padded[:, :side, :side] = x.view(batch, side, side, dim)
    tokens = padded.flatten(1, 2)
    qkv = layer.qkv(tokens).reshape(batch, window**2, 3, layer.heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    bias = layer.relative_position_bias_table[layer.relative_position_index].permute(2, 0, 1)
    mixed = ((q * layer.scale) @ k.transpose(-1, -2) + bias).softmax(-1) @ v
    out = layer.proj(mixed.transpose(1, 2).reshape(batch, window**2, dim))
    return out.view(batch, window, window, dim)[:, :side, :side].flatten(1, 2)


@pytest.mark.parametrize("side", [7, 4, 2])
def test_padding_as_one_key_equals_padding_as_tokens(side):
    torch.manual_seed(1)
    layer = WindowAttention(12, 3, side, 7, rank=2, alpha=4.0)
    nn.init.normal_(layer.relative_position_bias_table)
    nn.init.normal_(layer.qkv.linear.bias)
    x = torch.randn(2, side * side, 12)
    torch.testing.assert_close(layer(x), naive_attention(layer, x, side, 7), rtol=1e-5, atol=1e-5)


def test_streamlined_gives_the_same_numbers():
    model, x = tiny(), torch.randn(3, 6, 15, 15)
    before = model(x)
    products = sum(isinstance(m, nn.Linear) for m in model.modules())
    after = streamline(model)
    torch.testing.assert_close(after(x), before, rtol=1e-5, atol=1e-5)
    assert sum(isinstance(m, nn.Linear) for m in after.modules()) < products


def test_an_adapter_is_what_the_paper_says():
    torch.manual_seed(0)
    layer, x = AdaptedLinear(5, 4, 2, 6.0), torch.randn(7, 5)
    low = layer.lora_up(layer.lora_down(x)) * 3.0
    wanted = layer.linear(x) + torch.sigmoid(layer.lora_gate(x)) * low + layer.lora_residual(x)
    torch.testing.assert_close(layer(x), wanted)
    layer.scale = 0.0
    torch.testing.assert_close(layer(x), layer.linear(x))
    layer.scale = 0.5
    torch.testing.assert_close(layer(x), (layer.linear(x) + wanted) / 2)


def test_the_gate_forbids_merging_and_the_head_has_none():
    gated, free = AdaptedLinear(5, 5, 2, 4.0), AdaptedLinear(5, 5, 2, 4.0, gated=False)
    x = torch.randn(4, 5)
    wanted = gated(x), free(x)
    gated.fold()
    free.fold()
    torch.testing.assert_close((gated(x), free(x)), wanted)
    assert gated.rank == 2 and free.rank == 0


def test_swiglu_fused():
    layer, x = SwiGLU(6), torch.randn(3, 6)
    torch.testing.assert_close(layer.fused()(x), layer(x))


def test_scale_reaches_every_adapter():
    model, x = tiny(), torch.randn(2, 6, 15, 15)
    whole = model(x)
    set_adapter_scale(model, 0.0)
    bare = model(x)
    assert not torch.allclose(whole, bare)
    set_adapter_scale(model, 1.0)
    torch.testing.assert_close(model(x), whole)


@pytest.mark.parametrize("patch", [5, 7, 9, 11, 15])
def test_every_patch_that_is_allowed(patch):
    model = tiny(patch=patch, rank=0, shortcut=True)
    assert model(torch.randn(2, 6, patch, patch)).shape == (2, 3)


def test_a_patch_that_does_not_fit_the_window():
    with pytest.raises(UsageError, match="8 tokens a side in a window of 7"):
        SpecViTConfig(patch=17)


def test_a_checkpoint_of_the_release_tells_its_options():
    model = tiny()
    wrapped = {f"module.{key}": value for key, value in model.state_dict().items()}
    found = official.read_config(wrapped)
    assert found["depths"] == [1, 1, 1] and found["num_heads"] == [1, 2, 2]
    assert found["patch"] == 15 and found["rank"] == 2 and found["spectral_widths"] == [2, 3]
    assert official.is_official(wrapped)
    with pytest.raises(InputError, match="is not a LoLA-SpecViT"):
        official.read_config({"pos_embed": torch.zeros(1, 7, 7, 8)})


def test_an_option_that_the_release_does_not_have():
    with pytest.raises(UsageError, match="is not an official option"):
        official.build({"dimension": 96})


def test_an_image_gives_what_its_patches_give():
    torch.manual_seed(0)
    model = build_model("conv", {"components": 3, "num_classes": 4, "width": 8}).eval()
    assert isinstance(model, ConvNet)
    image = torch.randn(3, 12, 14)
    patches = image.unfold(1, 9, 1).unfold(2, 9, 1).permute(1, 2, 0, 3, 4)
    wanted = model(patches.flatten(0, 1)).view(4, 6, 4)
    torch.testing.assert_close(model.forward_image(image), wanted, rtol=1e-5, atol=1e-5)

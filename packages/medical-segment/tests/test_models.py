"""Both networks: any size, anisotropic strides, the folded decoder, gradients, and what they
refuse."""

import sys

import pytest
import torch

from medical_segment.models import build_model
from medical_segment.models.segformer3d import DepthwiseConv
from vitrail.errors import MissingError, UsageError

SEGFORMER = {
    "in_channels": 1,
    "num_classes": 3,
    "embed_dims": [8, 16, 16, 16],
    "num_heads": [1, 2, 2, 2],
    "depths": [1] * 4,
    "mlp_ratios": [2] * 4,
    "decoder_dim": 12,
}
XLSTM = {"num_classes": 3, "features": [4, 8, 12], "strides": [1, 2, 2], "kernels": [3, 3, 3]}


def segformer(**options):
    torch.manual_seed(0)
    return build_model("segformer3d", SEGFORMER | options)


def xlstm(**options):
    torch.manual_seed(0)
    return build_model("xlstm-unet", XLSTM | options)


@pytest.mark.parametrize("size", [(32, 32, 32), (17, 40, 25), (5, 64, 9), (1, 1, 1)])
@pytest.mark.parametrize("stride", [4, 2, [2, 4, 4]])
def test_segformer_takes_any_size(size, stride):
    model = segformer(patch_stride=[stride, 2, 2, 2]).eval()
    assert model(torch.randn(2, 1, *size)).shape == (2, 3, *size)


def test_folded_decoder_gives_the_same_logits():
    model = segformer(patch_stride=[2, 2, 2, 2])
    volume = torch.randn(2, 1, 24, 16, 32)
    model(volume)  # in training, so that BatchNorm has seen something
    model.eval()
    maps = model.segformer_encoder(volume)
    decoder = model.segformer_decoder
    assert torch.allclose(decoder._folded(maps), decoder._plain(maps), atol=1e-5)


def test_attention_scales_differ():
    one, other = (
        segformer(attn_scale=s, patch_stride=[2, 2, 2, 2]).eval() for s in ("head_dim", "num_heads")
    )
    for parameter in one.segformer_encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # fresh weights attend evenly at any scale
    other.load_state_dict(one.state_dict())
    volume = torch.randn(1, 1, 32, 32, 32)  # several keys: of one alone the scale does not matter
    assert not torch.allclose(one(volume), other(volume))


def test_depthwise_gradient_is_pytorchs():
    torch.manual_seed(0)
    conv = DepthwiseConv(6)
    x = torch.randn(2, 4, 5, 3, 6, requires_grad=True)
    inputs = [x, conv.dwconv.weight, conv.dwconv.bias]
    plain = conv.bn(conv.dwconv(x.permute(0, 4, 1, 2, 3))).permute(0, 2, 3, 4, 1)
    ours, direction = conv(x), torch.randn(2, 4, 5, 3, 6)
    assert torch.equal(ours, plain)
    for one, other in zip(
        *(torch.autograd.grad(y, inputs, direction) for y in (ours, plain)), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("variant", ["bot", "enc"])
@pytest.mark.parametrize("dims", [2, 3])
def test_deep_supervision_only_in_training(variant, dims):
    model = xlstm(variant=variant, dims=dims, patch_size=[16] * dims)
    image = torch.randn(2, 1, *[16] * dims)
    outputs = model(image)
    assert [tuple(o.shape[2:]) for o in outputs] == [(16,) * dims, (8,) * dims]
    assert model.eval()(image).shape == (2, 3, *[16] * dims)
    assert torch.is_tensor(
        xlstm(variant=variant, dims=dims, patch_size=[16] * dims, deep_supervision=False)(image)
    )


def test_every_parameter_gets_a_gradient():
    model = xlstm(
        variant="enc",
        dims=2,
        patch_size=[16, 16],
        bidirectional=True,
        features=[4, 8, 12, 16],
        strides=[1, 2, 2, 2],
        kernels=[3, 3, 3, 3],
    )
    sum(output.square().mean() for output in model(torch.randn(2, 1, 16, 16))).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert all(".norm." in name and "vil" not in name for name in without)  # ViLLayer's unused norm


def test_configuration_lists_are_left_alone():
    blocks = [2, 2, 2]
    xlstm(encoder_convs=blocks)
    assert blocks == [2, 2, 2]


def test_bot_takes_what_divides_and_enc_its_patch():
    assert xlstm(dims=2).eval()(torch.randn(1, 1, 8, 20)).shape == (1, 3, 8, 20)
    with pytest.raises(UsageError, match="does not divide by"):
        xlstm(dims=2)(torch.randn(1, 1, 8, 18))
    with pytest.raises(UsageError, match=r"takes \(16, 16\) only"):
        xlstm(dims=2, variant="enc", patch_size=[16, 16])(torch.randn(1, 1, 32, 32))


@pytest.mark.parametrize(
    "architecture, options, fault",
    [
        ("segformer3d", {"embed_dims": [8, 8]}, "four values"),
        ("segformer3d", {"num_heads": [3, 3, 3, 3]}, "do not divide"),
        ("segformer3d", {"attn_scale": "none"}, "neither head_dim"),
        ("segformer3d", {"depth": 2}, "has no option depth"),
        ("xlstm-unet", {"dims": 4}, "neither 2 nor 3"),
        ("xlstm-unet", {"strides": [1, 2]}, "differ in length"),
        ("xlstm-unet", {"variant": "enc"}, "needs a patch_size"),
        ("resnet", {}, "no such architecture"),
    ],
)
def test_what_does_not_go_together_is_refused(architecture, options, fault):
    with pytest.raises(UsageError, match=fault):
        build_model(architecture, options)


def test_monai_is_named_where_it_is_missing(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "monai"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(MissingError, match=r"vitrail-medical-segment\[train\]"):
        build_model("unet", {})

"""The two networks and their backbone alone: shapes, sizes, the order of the head's halves, and the
noise."""

import pytest
import torch

from deepfake_detect.model import ARCHITECTURES, build_model
from vitrail.errors import UsageError

TINY = {
    "img_size": 64,
    "backbone_options": {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 20]},
    "embedding": 6,
    "hidden": 5,
}
NARROW = {
    "genconvit-ed": {"encoder_widths": [4, 6, 8, 10, 12]},
    "genconvit-vae": {"encoder_widths": [4, 6, 8, 10], "latent_channels": 4},
    "genconvit-backbone": {},
}


def network(architecture: str, **options):
    torch.manual_seed(0)
    model = build_model(architecture, TINY | NARROW[architecture] | options).eval()
    for (
        parameter
    ) in model.parameters():  # fresh layer scales of 1e-6 would hide the backbone's blocks
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_row_of_two_logits_an_image(architecture, image):
    assert network(architecture)(image).shape == (2, 2)


@pytest.mark.parametrize(
    "architecture, count", [("genconvit-ed", 30_157_753), ("genconvit-vae", 344_481_049)]
)
def test_official_size(architecture, count):
    with torch.device("meta"):
        model = build_model(architecture, {})
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_row_does_not_depend_on_its_batch(architecture, image):
    model = network(architecture)
    torch.testing.assert_close(model(image)[1:], model(image[1:]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_is_trained(architecture, image):
    model = network(architecture).train()
    model(image).square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_exports_with_a_free_batch_size(architecture, image):
    model = network(architecture)
    program = torch.export.export(
        model, (image,), dynamic_shapes={"image": {0: torch.export.Dim("batch")}}
    )
    five = torch.randn(5, 3, 64, 64)
    torch.testing.assert_close(program.module()(five), model(five), rtol=1e-5, atol=1e-5)


def test_ed_puts_the_reconstruction_first(image):
    model = network("genconvit-ed")
    embedding = torch.cat((model.backbone(model.reconstruct(image)), model.backbone(image)), dim=1)
    gelu = torch.nn.functional.gelu
    torch.testing.assert_close(
        model(image), model.fc2(gelu(model.fc(gelu(embedding)))), rtol=1e-5, atol=1e-5
    )


def test_vae_puts_the_image_first(image):
    model = network("genconvit-vae")
    embedding = torch.cat((model.backbone(image), model.backbone(model.reconstruct(image))), dim=1)
    torch.testing.assert_close(
        model(image), model.fc2(model.fc(embedding.relu()).relu()), rtol=1e-5, atol=1e-5
    )


def test_ed_redraws_any_size_and_never_below_zero():
    model = network("genconvit-ed")
    image = torch.randn(1, 3, 96, 32)
    reconstruction = model.reconstruct(image)
    assert reconstruction.shape == image.shape and reconstruction.min() >= 0
    assert model(image).shape == (1, 2)


def test_vae_redraws_at_half_the_side(image):
    assert network("genconvit-vae").reconstruct(image).shape == (2, 3, 32, 32)


def test_vae_is_deterministic_unless_noise_is_asked_for(image):
    model = network("genconvit-vae")
    assert torch.equal(model(image), model(image))
    assert torch.equal(model(image), model(image, torch.zeros(2, 4 * 2 * 2)))


def test_vae_noise_from_a_seeded_generator_repeats(image):
    model = network("genconvit-vae")
    first, again = (model(image, torch.Generator().manual_seed(7)) for _ in range(2))
    other = model(image, torch.Generator().manual_seed(8))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other) and not torch.allclose(first, model(image))


def test_vae_takes_the_deviation_from_the_mean():
    model = network("genconvit-vae")
    mu, noise = torch.tensor([[0.0, 2.0, -2.0]]), torch.tensor([[1.0, 1.0, -1.0]])
    expected = [1.0, 2 + 2.718281828, -2 - 0.367879441]
    assert model.sample(mu, noise)[0].tolist() == pytest.approx(expected)


def test_vae_size_of_the_latent():
    options = {"img_size": 128, "encoder_widths": (8, 16, 24, 32), "latent_channels": 16}
    model = build_model("genconvit-vae", TINY | options)
    assert (model.encoder.mu.in_features, model.encoder.mu.out_features) == (2048, 256)
    assert model.encoder.latent_shape == (16, 4, 4)


def test_vae_mean_may_be_kept_in_16_bits(image):
    model = network("genconvit-vae")
    expected = model.encoder(image)
    model.encoder.mu.bfloat16()
    got = model.encoder(image)
    assert got.dtype == torch.float32
    error = (got - expected).norm() / expected.norm()
    assert 0 < error < 0.02


@pytest.mark.parametrize(
    "backbone, options",
    [
        ("resnet18", {"channels": [8, 12, 16, 20]}),
        ("convnext_atto", {"depths": [1] * 4, "dims": [8, 12, 16, 20]}),
    ],
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_other_backbones(architecture, backbone, options, image):
    assert network(architecture, backbone=backbone, backbone_options=options)(image).shape == (2, 2)


@pytest.mark.parametrize(
    "architecture, config, said",
    [
        (
            "genconvit-swin",
            {},
            "genconvit-swin: no such architecture; use one of genconvit-ed, genconvit-vae",
        ),
        ("genconvit-ed", {"latent_channels": 16}, "genconvit-ed: has no option latent_channels"),
        ("genconvit-ed", {"backbone": "convnext_tiy"}, "did you mean convnext_tiny?"),
    ],
)
def test_wrong_options_are_named(architecture, config, said):
    with pytest.raises(UsageError, match=said):
        build_model(architecture, config)

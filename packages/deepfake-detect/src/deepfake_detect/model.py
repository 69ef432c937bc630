"""GenConViT's two networks: each looks at a face and at its own reconstruction of the face with one
classifier.

Wodajo Deressa et al., "Deepfake Video Detection Using Generative Convolutional Vision Transformer",
2023 (arXiv 2307.07036). The paper draws a ConvNeXt-Swin hybrid; in the official release the Swin
half is stored but never called, so it is not built here. Parameter names are those of the official
checkpoints.

Images are ImageNet-normalised RGB; logits have two columns: 0 = fake, 1 = real.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitrail.architectures import build
from vitrail.backbones import create_backbone
from vitrail.backbones.base import Backbone

FAKE, REAL = 0, 1


@dataclass(frozen=True)
class BackboneConfig:
    """The options of the backbone and the head; the defaults are the official ones.

    ``embedding`` is the width of the backbone's output, ``hidden`` that of the head between its two
    layers.
    """

    img_size: int = 224
    backbone: str = "convnext_tiny"
    backbone_options: Mapping = field(default_factory=dict)
    embedding: int = 1000
    hidden: int = 500


@dataclass(frozen=True)
class EDConfig(BackboneConfig):
    """The options of network A. Each width of the encoder halves the image once; the decoder
    mirrors them."""

    encoder_widths: Sequence[int] = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class VAEConfig(EDConfig):
    """The options of network B; ``latent_channels`` are the channels of the map that is sampled."""

    encoder_widths: Sequence[int] = (16, 32, 64, 128)
    latent_channels: int = 256


class BackboneClassifier(nn.Module):
    """The backbone without any reconstruction: what networks A and B are to be better than, and
    what they start from when they are trained on little data."""

    def __init__(self, config: BackboneConfig):
        super().__init__()
        self.config = config
        self.backbone = create_backbone(
            config.backbone, num_classes=config.embedding, **config.backbone_options
        )
        self.fc = nn.Linear(config.embedding, config.hidden)
        self.fc2 = nn.Linear(config.hidden, 2)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, 2)."""
        return self.head(self.backbone(image))

    def head(self, of_image: Tensor) -> Tensor:
        """Logits (B, 2) from the backbone's output."""
        return self.fc2(F.gelu(self.fc(F.gelu(of_image))))


class ConvEncoder(nn.Module):
    """Halves the image once per width: 3x3 convolution, ReLU, max pooling."""

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        layers = [
            (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
            for a, b in pairwise((3, *widths))
        ]
        self.features = nn.Sequential(*(layer for group in layers for layer in group))

    def forward(self, image: Tensor) -> Tensor:
        return self.features(image)


class VariationalEncoder(nn.Module):
    """Strided convolutions, then one linear layer to the mean of the latent.

    The release also holds ``var``, a second layer of the same size. It feeds only a KL term that is
    never added to the loss, so it is not built.
    """

    def __init__(self, config: VAEConfig):
        super().__init__()
        widths = config.encoder_widths
        layers = [
            (nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.LeakyReLU())
            for a, b in pairwise((3, *widths))
        ]
        self.features = nn.Sequential(*(layer for group in layers for layer in group))
        side = config.img_size // 2 ** len(widths)
        self.latent_shape = (config.latent_channels, side // 2, side // 2)
        self.mu = nn.Linear(widths[-1] * side**2, config.latent_channels * (side // 2) ** 2)

    def forward(self, image: Tensor) -> Tensor:
        flat = self.features(image).flatten(1)  # (B, C * h * w)
        # The layer may be kept in 16 bits: at full size it holds nine tenths of all parameters.
        mu = self.mu(flat.to(self.mu.weight.dtype)).to(flat.dtype)
        return mu.unflatten(1, self.latent_shape)  # (B, latent_channels, h / 2, w / 2)


class Decoder(nn.Module):
    """Doubles the side once per step with 2x2 transposed convolutions, down to three channels.

    The activation follows the last layer too: network A's reconstruction is never negative.
    """

    def __init__(self, widths: Sequence[int], activation: type[nn.Module]):
        super().__init__()
        layers = [
            (nn.ConvTranspose2d(a, b, 2, stride=2), activation()) for a, b in pairwise((*widths, 3))
        ]
        self.features = nn.Sequential(*(layer for group in layers for layer in group))

    def forward(self, latent: Tensor) -> Tensor:
        return self.features(latent)


class GenConViTED(nn.Module):
    """Network A: a plain autoencoder and one backbone for the image and its reconstruction."""

    def __init__(self, config: EDConfig):
        super().__init__()
        self.config = config
        widths = config.encoder_widths
        self.encoder = ConvEncoder(widths)
        self.decoder = Decoder(widths[::-1], nn.ReLU)
        self.backbone = create_backbone(
            config.backbone, num_classes=config.embedding, **config.backbone_options
        )
        self.fc = nn.Linear(2 * config.embedding, config.hidden)
        self.fc2 = nn.Linear(config.hidden, 2)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), sides multiples of 2 ** len(encoder_widths) -> logits (B, 2)."""
        return self.classify(image, self.reconstruct(image))

    def reconstruct(self, image: Tensor) -> Tensor:
        """The autoencoder's reconstruction of ``image``, of the same shape and at least zero."""
        return self.decoder(self.encoder(image))

    def classify(self, image: Tensor, reconstruction: Tensor) -> Tensor:
        if (
            self.training
        ):  # batch norms must learn from both together the statistics that both will share
            both = self.backbone(torch.cat((reconstruction, image)))
            return self.head(both[len(image) :], both[: len(image)])
        # One call for both, with twice the batch, needs more memory and up to a quarter more time
        # on a CPU.
        return self.head(self.backbone(image), self.backbone(reconstruction))

    def head(self, of_image: Tensor, of_reconstruction: Tensor) -> Tensor:
        """Logits (B, 2) from the backbone's outputs; network A puts the reconstruction first."""
        embedding = torch.cat((of_reconstruction, of_image), dim=1)
        return self.fc2(F.gelu(self.fc(F.gelu(embedding))))


class GenConViTVAE(nn.Module):
    """Network B: a variational autoencoder whose reconstruction, of half the side, the backbone
    sees as it is."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.encoder = VariationalEncoder(config)
        self.decoder = Decoder(
            (config.latent_channels, *config.encoder_widths[-2::-1]), nn.LeakyReLU
        )
        self.convnext_backbone = create_backbone(
            config.backbone, num_classes=config.embedding, **config.backbone_options
        )
        self.fc = nn.Linear(2 * config.embedding, config.hidden)
        self.fc2 = nn.Linear(config.hidden, 2)

    @property
    def backbone(self) -> Backbone:
        """The backbone under the name it has in network A (the checkpoints know it by its longer
        one)."""
        return self.convnext_backbone

    def forward(self, image: Tensor, noise: Tensor | torch.Generator | None = None) -> Tensor:
        """(B, 3, img_size, img_size) -> logits (B, 2); ``noise`` as in ``sample``."""
        return self.classify(image, self.reconstruct(image, noise))

    def reconstruct(self, image: Tensor, noise: Tensor | torch.Generator | None = None) -> Tensor:
        """The autoencoder's reconstruction of ``image``: (B, 3, img_size / 2, img_size / 2)."""
        return self.decoder(self.sample(self.encoder(image), noise))

    def sample(self, mu: Tensor, noise: Tensor | torch.Generator | None = None) -> Tensor:
        """The latent: ``mu`` itself, or with ``noise`` (of mu's element count, or a generator to
        draw it) around it.

        The deviation is exp(mu / 2), taken from the mean and not from a variance, as the released
        weights were trained.
        """
        if noise is None:
            return mu
        if isinstance(noise, torch.Generator):
            noise = torch.randn(mu.shape, generator=noise, device=noise.device, dtype=mu.dtype)
        return mu + noise.to(mu).reshape(mu.shape) * torch.exp(0.5 * mu)

    def classify(self, image: Tensor, reconstruction: Tensor) -> Tensor:
        return self.head(self.backbone(image), self.backbone(reconstruction))

    def head(self, of_image: Tensor, of_reconstruction: Tensor) -> Tensor:
        """Logits (B, 2) from the backbone's outputs; network B puts the image first."""
        embedding = torch.cat((of_image, of_reconstruction), dim=1)
        return self.fc2(F.relu(self.fc(F.relu(embedding))))


GenConViT = GenConViTED | GenConViTVAE | BackboneClassifier
ARCHITECTURES: Mapping[str, tuple[Callable[..., GenConViT], type]] = {
    "genconvit-ed": (GenConViTED, EDConfig),
    "genconvit-vae": (GenConViTVAE, VAEConfig),
    "genconvit-backbone": (BackboneClassifier, BackboneConfig),
}


def build_model(architecture: str, config: Mapping) -> GenConViT:
    """The network of ``ARCHITECTURES`` with fresh weights; options left out are the official ones.

    Raises UsageError for an architecture or an option that does not exist.
    """
    return build(ARCHITECTURES, architecture, config)

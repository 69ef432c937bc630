"""Learning without labels: a part of a date is hidden, and the encoder learns to paint it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from change_detect.data import Pair, tiles
from change_detect.models.changevit import ChangeViT
from change_detect.models.config import PATCH
from change_detect.scene.pixels import normalise
from change_detect.training.recipe import Recipe
from change_detect.training.task import VAL_BATCH, VAL_SIDE, NetworkTask
from vitrail.errors import UsageError
from vitrail.training.loading import Numbers, loader


class MaskedTask(NetworkTask):
    """Patches of 16 x 16 pixels become the mean colour; from the ViT's map with the details in it
    one linear layer paints them, as SimMIM does (Xie et al. 2022, section 3). ``val/error`` is the
    mean absolute error on hidden pixels, in deviations of ImageNet's."""

    network: ChangeViT

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        if not isinstance(self.network, ChangeViT):
            raise UsageError("masked", "teaches ChangeViT's encoder", "leave it out")
        self.head = nn.Linear(self.network.config.embed_dim, 3 * PATCH**2)

    def train_dataloader(self) -> DataLoader:
        optim, recipe = self.recipe.optim, self.recipe
        count = recipe.epoch * optim.batch_size
        images = Images(self.pairs[0], recipe.data.side, count, self.masked, recipe.seed)
        return loader(images, optim.batch_size, sampler=Numbers(count), drop_last=True)

    def val_dataloader(self) -> DataLoader:
        rng = np.random.default_rng(self.recipe.seed)
        dates = [
            date for pair in self.pairs[1] for tile in tiles(pair, VAL_SIDE) for date in tile[:2]
        ]
        parts = [hidden(date, self.masked, rng) for date in dates]
        return loader(parts, VAL_BATCH)  # pyright: ignore[reportArgumentType] - a list is a dataset

    @property
    def masked(self) -> float:
        assert self.recipe.masked
        return self.recipe.masked

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        loss = self.error(*batch)
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        self.log("val/error", self.error(*batch), batch_size=len(batch[0]))

    def error(self, image: Tensor, mask: Tensor) -> Tensor:
        """Of images (B, 3, S, S) whose patches ``mask`` (B, S/16, S/16) are hidden."""
        pixels = mask.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)[:, None]
        seen = image.masked_fill(pixels, 0).to(memory_format=torch.channels_last)
        features = self.network.encoder(seen)[-1].permute(0, 2, 3, 1)
        painted = self.head(features[mask])  # (hidden patches, 3 * 16 * 16)
        patches = image.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH))  # B, 3, h, 16, w, 16
        return (painted - patches.permute(0, 2, 4, 1, 3, 5)[mask].flatten(1)).abs().mean()


class Images(Dataset):
    """Crops of single dates, ``side`` pixels wide, turned and mirrored, each drawn from its number:
    images (3, side, side), and which patches are hidden (side / 16, side / 16)."""

    def __init__(self, pairs: Sequence[Pair], side: int, count: int, masked: float, seed: int):
        self.pairs, self.side, self.count = list(pairs), side, count
        self.masked, self.seed = masked, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, number))
        areas = np.array([np.prod(pair.images[0].shape[:2]) for pair in self.pairs], float)
        pair = self.pairs[rng.choice(len(self.pairs), p=areas / areas.sum())]
        date = pair.images[rng.integers(2)]
        top, left = (rng.integers(max(1, length - self.side + 1)) for length in date.shape[:2])
        crop = np.rot90(date[top : top + self.side, left : left + self.side], int(rng.integers(4)))
        return hidden(crop[:, :: rng.choice((-1, 1))], self.masked, rng)


def hidden(image: np.ndarray, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """An image (S, S, 3) uint8 normalised, and a mask that hides ``share`` of its patches."""
    shape = tuple(side // PATCH for side in image.shape[:2])
    mask = np.zeros(shape, bool)
    mask.flat[rng.permutation(mask.size)[: max(1, round(share * mask.size))]] = True
    pixels = normalise(np.ascontiguousarray(np.moveaxis(image, -1, 0)))
    return torch.from_numpy(pixels), torch.from_numpy(mask)

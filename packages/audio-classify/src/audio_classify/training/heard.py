"""Sounds as a stem that stays as it is hears them: computed once, and kept for the next run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from audio_classify.data import collate, excerpt, spectrograms
from audio_classify.models.speech import SpeechStem
from audio_classify.sound.features import Features
from audio_classify.training.augment import Augment
from vitrail.cache import cache_folder
from vitrail.output import atomic_file


class Heard(Dataset):
    """Sample n: what was heard of one of the copies of clip n, (dim, rows, columns), and its class
    number.

    ``clips`` are (copies, dim, rows, columns) each, in half precision; one is drawn by chance.
    """

    def __init__(self, clips: Sequence[Tensor], classes: Sequence[int]):
        self.clips, self.classes = list(clips), list(classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        clip = self.clips[number]
        # From the global state, which the training loop sets at each epoch
        copy = int(torch.randint(len(clip), ())) if len(clip) > 1 else 0
        return clip[copy].float(), self.classes[number]


@dataclass(frozen=True)
class Hearing:
    """``stem`` hears each clip as it is, and then changed by ``augment`` at one of ``levels``."""

    stem: SpeechStem
    features: Features
    augment: Augment
    levels: tuple[float, ...]
    seed: int

    def hear(self, paths: Sequence[Path], copies: int) -> list[Tensor]:
        """(1 + copies, dim, rows, columns) of each clip, from the cache where it lies there."""
        folder = cache_folder("heard") / self._mark
        folder.mkdir(parents=True, exist_ok=True)
        heard = []
        for path in paths:
            name = hashlib.sha256(path.read_bytes()).hexdigest()
            kept = folder / f"{name}-{copies}.npy"
            if not kept.exists():
                with atomic_file(kept) as temporary, temporary.open("wb") as file:
                    np.save(file, self._hear(path, copies, int(name[:8], 16)).numpy())
            heard.append(torch.from_numpy(np.load(kept)))
        return heard

    @torch.inference_mode()
    def _hear(self, path: Path, copies: int, number: int) -> Tensor:
        rng = torch.Generator().manual_seed(self.seed + number)
        plain = spectrograms([path], self.features)
        others = [spectrograms([path], self.features, gain)[0] for gain in self.levels if copies]
        longest = self.features.num_frames
        rows = [excerpt(plain[0], longest)]
        for _ in range(copies):
            level = int(torch.randint(1 + len(others), (), generator=rng))
            rows.append(excerpt(self.augment([*plain, *others][level], rng), longest, rng))
        image, _ = collate([(row, 0) for row in rows], self.features, longest)
        return self.stem.hear(image.transpose(1, 2).unsqueeze(1)).half()

    @property
    def _mark(self) -> str:
        """Of all that changes what is heard, the clip apart."""
        said = repr((self.features, self.augment, self.levels, self.seed))
        digest = hashlib.sha256(said.encode())
        for key, value in self.stem.state_dict().items():
            if not key.startswith("proj."):
                digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

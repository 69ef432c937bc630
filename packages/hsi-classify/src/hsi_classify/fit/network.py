"""A network fitted to the labelled pixels of one scene, in a plain loop."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hsi_classify.fit.methods import softmax
from hsi_classify.fit.presets import Preset
from hsi_classify.scene.components import Components, fit_components
from hsi_classify.scene.patches import standardised, windows
from hsi_classify.scene.scene import REACH, Block, Scene
from vitrail.errors import InputError

CHUNK = 512  # patches that are computed together
WARMUP = 0.15  # of the steps


def components_of(scene: Scene, preset: Preset) -> Components:
    """What the preset makes of a spectrum: principal components, or the standardised bands."""
    if preset.components is None:
        mean, std = scene.moments.mean.astype(np.float32), scene.std
        share = scene.moments.std**2
        return Components(mean, np.diag(1 / std), share / share.sum())
    count = min(preset.components, len(scene.moments.mean))
    return fit_components(
        scene.moments, count, whitening=preset.whitening, standardise=preset.standardise
    )


def patches_of(
    block: Block, rows: np.ndarray, columns: np.ndarray, axes: np.ndarray, size: int
) -> np.ndarray:
    """Patches (N, K, size, size) float32 around pixels of a block: its spectra by ``axes``."""
    off = REACH - size // 2
    height, width = block.valid.shape
    image = block.spectra[off : height - off, off : width - off] @ axes
    view = windows(np.moveaxis(image, -1, 0), size)
    return np.ascontiguousarray(view[rows, columns])


class FittedNetwork:
    """A method (``methods.Method``) by a network of a preset; ``initial`` are tensors to start
    from, ``adapt`` changes the network before it learns, such as by adapters."""

    def __init__(
        self,
        scene: Scene,
        preset: Preset,
        name: str = "network",
        seed: int = 0,
        initial: Mapping[str, Any] | None = None,
        adapt: Callable[[Any], None] | None = None,
    ):
        self.name, self.preset, self.seed = name, preset, seed
        self.initial, self.adapt = initial, adapt
        self.components = components_of(scene, preset)
        self.module: Any = None

    def features(self, block: Block, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        found = patches_of(block, rows, columns, self.components.axes, self.preset.patch)
        return standardised(found) if self.preset.per_patch else found

    def fit(self, features: np.ndarray, targets: np.ndarray) -> None:
        self.module = fit_module(
            features, targets, self.preset, self.seed, self.initial, self.adapt
        )

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        import torch

        found = []
        with torch.inference_mode():
            for start in range(0, len(features), CHUNK):
                part = torch.from_numpy(features[start : start + CHUNK])
                found.append(self.module(part).numpy())
        return softmax(np.concatenate(found))

    @property
    def config(self) -> dict[str, Any]:
        return {
            **self.preset.config,
            "components": self.components.axes.shape[1],
            "num_classes": self.module.config.num_classes,
        }


def fit_module(
    features: np.ndarray,
    targets: np.ndarray,
    preset: Preset,
    seed: int = 0,
    initial: Mapping[str, Any] | None = None,
    adapt: Callable[[Any], None] | None = None,
) -> Any:
    """A network fitted to patches (N, K, size, size) and their targets, in evaluation mode: numbers
    0..K-1, or probabilities (N, K) of a teacher.

    Patches are turned and mirrored, their gain changed and noise added. The caller's random state
    is left as it was. InputError where the loss is no number.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from hsi_classify.models import build_model

    rng = np.random.default_rng(seed)
    # It may be called by who computes without gradients.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        count = targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1
        sizes = {"components": features.shape[1], "num_classes": count}
        module = build_model(preset.architecture, {**preset.config, **sizes}).train()
        start_from(module, initial or {})
        if adapt is not None:
            adapt(module)
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            learning, preset.lr, weight_decay=preset.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, preset.lr, total_steps=preset.steps, pct_start=WARMUP
        )
        images, wanted = torch.from_numpy(features), torch.from_numpy(targets)
        wanted = wanted.float() if targets.ndim == 2 else wanted.long()
        likeliest = targets.argmax(1) if targets.ndim == 2 else targets
        for _ in range(preset.steps):
            chosen = torch.from_numpy(_draw(likeliest, preset.batch_size, rng))
            batch = changed(images[chosen], preset, rng)
            loss = cross_entropy(module(batch), wanted[chosen], label_smoothing=preset.smoothing)
            if not torch.isfinite(loss):
                raise InputError("network", "its loss is no number", "use --method svm")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            schedule.step()
    return module.eval()


def _draw(targets: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of a batch in which every class is as likely, whatever number of labels it has."""
    counts = np.bincount(targets)
    weights = 1 / counts[targets]
    size = min(size, len(targets))
    return rng.choice(len(targets), size, replace=False, p=weights / weights.sum())


def changed(batch: Any, preset: Preset, rng: np.random.Generator) -> Any:
    """A batch of patches (N, K, size, size), turned or mirrored, with other gains and noise."""
    import torch

    batch = torch.rot90(batch, int(rng.integers(4)), (2, 3))
    batch = batch.flip(3) if rng.random() < 0.5 else batch
    if preset.gain:
        batch = batch * (1 + preset.gain * torch.randn(len(batch), 1, 1, 1))
    return batch + preset.noise * torch.randn_like(batch) if preset.noise else batch


def start_from(module: Any, initial: Mapping[str, Any]) -> list[str]:
    """Takes the tensors that fit by name and shape; the head and the like start fresh. The names of
    those that do not fit."""
    own = module.state_dict()
    fitting = {k: v for k, v in initial.items() if k in own and own[k].shape == v.shape}
    module.load_state_dict({**own, **fitting})
    return [name for name in initial if name not in fitting]

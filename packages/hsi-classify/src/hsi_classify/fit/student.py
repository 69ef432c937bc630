"""A patch-free student: a small convolutional network taught by what another method says of some
pixels, which then labels a scene in one go (Hinton et al. 2015)."""

from dataclasses import replace

import numpy as np

from hsi_classify.fit.methods import softmax
from hsi_classify.fit.network import fit_module, patches_of
from hsi_classify.fit.presets import PRESETS
from hsi_classify.scene.canvas import Canvas
from hsi_classify.scene.scene import REACH, Scene
from hsi_classify.scene.whole import Answer, chunks
from vitrail.job import Steps

TAUGHT = 2000  # pixels that the teacher is asked for
STEPS = 400


def by_student(scene: Scene, canvas: Canvas, answer: Answer, axes: np.ndarray) -> Steps:
    """Fills ``canvas`` by a network that sees spectra along ``axes`` (bands, C) and was taught by
    ``answer`` on pixels from anywhere. Gives their flat numbers."""
    import torch

    preset = replace(PRESETS["conv"], steps=STEPS)
    pixels = _drawn(scene)
    drawn = np.zeros(scene.size, bool)
    drawn.flat[pixels] = True
    patches, shares = [], []
    for block in scene.blocks():
        for rows, columns in chunks(drawn[block.top : block.top + block.inner.shape[0]]):
            shares.append((yield from answer(block, rows, columns)))
            patches.append(patches_of(block, rows, columns, axes, preset.patch))
    student = fit_module(np.concatenate(patches), np.concatenate(shares), preset)
    off = REACH - preset.patch // 2
    for block in scene.blocks():
        height, width = block.valid.shape
        image = block.spectra[off : height - off, off : width - off] @ axes
        with torch.inference_mode():
            seen = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0)))
            found = softmax(student.forward_image(seen).numpy())
        rows, columns = np.nonzero(block.inner)
        canvas.put(block.top + rows, columns, found[rows, columns])
    return pixels


def _drawn(scene: Scene) -> np.ndarray:
    """Flat numbers of the pixels that teach, sorted."""
    valid = np.flatnonzero(np.concatenate([block.inner for block in scene.blocks()]))
    rng = np.random.default_rng(1)
    # Half of a small scene at most: the others tell how well it learned.
    return np.sort(rng.choice(valid, min(TAUGHT, -(-len(valid) // 2)), replace=False))

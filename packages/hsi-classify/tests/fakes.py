"""Made scenes: three materials in stripes with noise, and a network that knows them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hsi_classify.fit import presets
from hsi_classify.scene.labels import Labels

ROWS, COLUMNS, BANDS = 24, 30, 12
QUICK = replace(
    presets.PRESETS["small"],
    config={
        "patch": 5,
        "embed_dim": 8,
        "depths": (1, 1),
        "num_heads": (1, 2),
        "mlp_ratio": 1.0,
        "rank": 0,
        "spectral_widths": (2, 2),
        "shortcut": True,
    },
    components=4,
    patch=5,
    steps=40,
    lr=1e-2,
    batch_size=8,
)
QUICK_CONV = replace(
    presets.PRESETS["conv"],
    config={"patch": 9, "width": 16},
    steps=40,
    lr=1e-2,
    batch_size=16,
)


def made_scene(seed: int = 0, noise: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """A cube (ROWS, COLUMNS, BANDS) int16 and its labels uint8 of the classes 2, 5 and 9, each in
    a third of the columns; the first row is not labelled."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 3, BANDS)
    spectra = 1000 + 400 * np.stack([np.sin(x), np.cos(x), x / 2])
    places = np.minimum(np.arange(COLUMNS) // (COLUMNS // 3), 2)
    cube = spectra[places][None].repeat(ROWS, 0) + rng.normal(0, noise, (ROWS, COLUMNS, BANDS))
    labels = np.array([2, 5, 9], np.uint8)[places][None].repeat(ROWS, 0)
    labels[0] = 0
    return cube.round().astype(np.int16), labels


def few_labels(labels: np.ndarray, count: int = 4, seed: int = 0) -> np.ndarray:
    """``count`` of each class, far from each other."""
    rng, kept = np.random.default_rng(seed), np.zeros_like(labels)
    for value in (2, 5, 9):
        rows, columns = np.nonzero((labels == value) & (np.arange(ROWS) % 6 == 3)[:, None])
        chosen = rng.choice(len(rows), count, replace=False)
        kept[rows[chosen], columns[chosen]] = value
    return kept


def as_labels(ids: np.ndarray) -> Labels:
    return Labels(ids.astype(np.int32))


def write_envi(
    folder: Path, cube: np.ndarray, stored: str = "bsq", order: str = "<", **fields: object
) -> Path:
    """An ENVI header with its data beside it; ``fields`` replace or add lines, None leaves one
    out."""
    axes = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[stored]
    codes = {"i2": 2, "u1": 1, "f4": 4, "u2": 12}
    kind = cube.dtype.str[1:]
    offset = int(str(fields.get("header_offset", 0)))
    data = bytes(offset) + cube.transpose(axes).astype(order + kind).tobytes()
    (folder / "scene.img").write_bytes(data)
    lines: dict[str, object] = {
        "samples": cube.shape[1],
        "lines": cube.shape[0],
        "bands": cube.shape[2],
        "header offset": offset,
        "data type": codes[kind],
        "interleave": stored,
        "byte order": 0 if order == "<" else 1,
    }
    lines |= {key.replace("_", " "): value for key, value in fields.items()}
    text = "\n".join(f"{key} = {value}" for key, value in lines.items() if value is not None)
    (folder / "scene.hdr").write_text(f"ENVI\n{text}\n")
    return folder / "scene.hdr"

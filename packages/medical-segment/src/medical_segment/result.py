"""What the job gives back for one case."""

from dataclasses import dataclass

import numpy as np

from medical_segment.files.volume import Kind, Volume
from medical_segment.plan import Plan
from medical_segment.postprocess import Thing

NOTICE = "Not a medical device: for research and teaching, not for diagnosis or treatment."


@dataclass(frozen=True)
class Structure:
    """One label: its name, its number in the label map, its size; for scans with three dimensions
    in millilitres too, with the voxel size that they come from."""

    name: str
    value: int
    voxels: int
    ml: float | None
    voxel_mm: str | None


@dataclass(frozen=True)
class Result:
    """``labels`` (spatial…) lie on the file's own grid; so do ``regions`` (K, spatial…), the masks
    of labels that overlap, ``probabilities`` (K, spatial…) where they were kept, and ``instances``
    (spatial…), objects by number. ``confidence`` is the mean probability of what was found, None
    where nothing was; ``reasons`` say how the case is unlike those of the training. ``dicom_seg``
    and ``outlines`` are wanted too."""

    source: str
    volume: Volume
    plan: Plan
    labels: np.ndarray
    regions: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    instances: np.ndarray | None = None
    things: tuple[Thing, ...] = ()
    confidence: float | None = None
    reasons: tuple[str, ...] = ()
    dicom_seg: bool = False
    outlines: bool = False
    windows: int = 0
    skipped: int = 0

    @property
    def damage(self) -> tuple[str, ...]:
        wanted = {"DICOM-SEG": self.dicom_seg, "file of outlines": self.outlines}
        missed = [f"no {name}" for name, asked in wanted.items() if asked]
        if not missed or any(structure.voxels for structure in self.structures):
            return self.volume.damage
        said = f"no structure was found, so that there is {' and '.join(missed)}"
        return (*self.volume.damage, said)

    @property
    def remarks(self) -> tuple[str, ...]:
        """All that people should know beside the figures."""
        return self.damage + self.reasons

    @property
    def structures(self) -> list[Structure]:
        """All labels but the background, in the network's order."""
        counts = np.bincount(self.labels.ravel(), minlength=max(self.plan.values) + 1)
        found, voxel = [], self.volume.voxel_ml
        size = " x ".join(f"{n:.5g}" for n in self.volume.spacing)
        for channel, (name, value) in enumerate(
            zip(self.plan.labels, self.plan.values, strict=True)
        ):
            if self.plan.activation == "softmax" and channel == 0:
                continue
            voxels = (
                int(counts[value]) if self.regions is None else int(self.regions[channel].sum())
            )
            measured = (None, None) if voxel is None else (voxels * voxel, size)
            found.append(Structure(name, value, voxels, *measured))
        return found

    def to_dict(self) -> dict:
        """The domain's part of the row, as JSON values."""
        return {
            "kind": self.volume.kind.value,
            "shape": list(self.volume.shape),
            "spacing_mm": [round(n, 5) for n in self.volume.spacing]
            if self.volume.has_millimetres
            else None,
            "structures": {
                s.name: {
                    "value": s.value,
                    "voxels": s.voxels,
                    "ml": None if s.ml is None else round(s.ml, 4),
                }
                for s in self.structures
            },
            "voxel_ml": self.volume.voxel_ml,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "reasons": list(self.reasons),
            "objects": None if self.instances is None else len(self.things),
            "windows": self.windows,
            "windows_without_content": self.skipped,
            "notice": NOTICE,
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        return {
            "found": f"{len(self.things)} objects"
            if self.instances is not None
            else ", ".join(self.legend().values()),
            "size": " x ".join(map(str, self.volume.shape)),
            "unlike the training cases": "; ".join(self.reasons),
            "damage": "; ".join(self.damage),
        }

    def legend(self) -> dict[str, str]:
        """Each structure's name, and in words how much of it there is."""
        unit = "voxels" if len(self.volume.shape) == 3 else "pixels"
        return {
            s.name: f"{s.name} {s.voxels} {unit}" if s.ml is None else f"{s.name} {s.ml:.2f} ml"
            for s in self.structures
        }

    @property
    def is_image(self) -> bool:
        return self.volume.kind is Kind.image

    def mask(self, name: str) -> np.ndarray:
        """The bool mask (spatial…) of the structure ``name``."""
        channel = self.plan.labels.index(name)
        if self.regions is not None:
            return self.regions[channel].astype(bool)
        return self.labels == self.plan.values[channel]

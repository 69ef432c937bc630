"""How to look at a pair of dates and what to keep."""

from dataclasses import dataclass

from vitrail.errors import UsageError

METHODS = ("network", "cva", "irmad")


@dataclass(frozen=True)
class Options:
    """How to look and what to keep; all of it changes the result, so all of it stands there.

    ``method`` is the network, change vectors (cva) or iteratively reweighted MAD (irmad).
    ``threshold`` in 0..1, None: that of the weights, or Otsu's. ``bands`` (from 1) are the red,
    green and blue ones. ``stretch``: auto, always or never. ``overlap`` of neighbouring windows.
    ``min_area`` of an object, in square metres, or pixels without a place. ``smooth``: by how many
    pixels outlines are simplified. ``gsd``: metres per pixel at which to look. ``align``: a
    shift between the dates on which several windows agree is taken back. ``float32``: the
    probability is kept as it is, not in 200 steps.
    """

    method: str = "network"
    threshold: float | None = None
    bands: tuple[int, ...] = ()
    stretch: str = "auto"
    overlap: float = 0.25
    min_area: float = 0.0
    smooth: float = 0.7
    gsd: float | None = None
    align: bool = True
    float32: bool = False

    def __post_init__(self):
        """Raises UsageError for values that do not exist."""
        faults = {
            f"method {self.method}": self.method not in METHODS,
            f"stretch {self.stretch}": self.stretch not in ("auto", "always", "never"),
            f"threshold {self.threshold}": self.threshold is not None
            and not 0 < self.threshold < 1,
            f"bands {self.bands}": len(self.bands) not in (0, 1, 3),
            f"overlap {self.overlap}": not 0 <= self.overlap < 1,
            f"gsd {self.gsd}": self.gsd is not None and not self.gsd > 0,
        }
        for fault, found in faults.items():
            if found:
                raise UsageError("options", f"there is no {fault}", "see change-detect --help")

"""What a user may choose that changes the map."""

from dataclasses import dataclass

from vitrail.errors import UsageError

METHODS = ("auto", "network", "svm", "svm-mean", "angle", "conv")


@dataclass(frozen=True)
class Options:
    """How files are taken and how labels are used; all of it changes the map, so all stands there.

    ``method`` is one of ``METHODS``; ``per_class`` labels of each class are learned from, drawn by
    ``seed``, and the others test the map; None learns from all. ``bad_bands`` is that of
    ``scene.bands.usable``; ``variable``, ``shape`` and ``bands`` are those of ``Layout``, ``field``
    names the labels' variable or column of classes. ``preset`` is that of the network.

    At most one of these saves time, and the row says how far the map agrees with the exact one:
    ``stride`` computes every n-th row and column, ``superpixels`` one pixel in about so many alike,
    ``student`` lets a small network learn from the answers to a few.
    """

    method: str = "auto"
    per_class: int | None = None
    seed: int = 0
    bad_bands: str = "auto"
    variable: str | None = None
    shape: tuple[int, int] | None = None
    bands: str | None = None
    field: str | None = None
    preset: str = "small"
    stride: int | None = None
    superpixels: int | None = None
    student: bool = False

    def __post_init__(self):
        if self.method not in METHODS:
            problem, remedy = "is not a method", f"one of {', '.join(METHODS)}"
            raise UsageError(f"--method {self.method}", problem, remedy)
        faster = [self.stride is not None, self.superpixels is not None, self.student]
        if sum(faster) > 1:
            raise UsageError("--stride, --superpixels, --student", "exclude each other", "take one")
        for name, value in (("stride", self.stride), ("superpixels", self.superpixels)):
            if value is not None and value < 2:
                raise UsageError(f"--{name} {value}", "saves nothing", "take 2 or more")

    @property
    def is_exact(self) -> bool:
        return not (self.stride or self.superpixels or self.student)

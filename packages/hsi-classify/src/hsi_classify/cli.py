"""The ``hsi-classify`` command."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail import command
from vitrail.errors import UsageError
from vitrail.options import Answering, BatchSize, Computing, Sources, bundled

COMMAND = "hsi-classify"


class Method(StrEnum):
    auto = "auto"
    network = "network"
    svm = "svm"
    svm_mean = "svm-mean"
    angle = "angle"
    conv = "conv"


class BandsWhere(StrEnum):
    first = "first"
    last = "last"


@dataclass(frozen=True)
class ManyAtOnce(Answering):
    """Patches are small, so that many make a batch."""

    batch_size: BatchSize = 256


@dataclass(frozen=True)
class Learning:
    """What labels are, and what is made of them."""

    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Learn from these: raster, .mat, .npy, CSV points, GeoPackage or GeoJSON.",
        ),
    ] = None
    method: Annotated[
        Method,
        typer.Option(help="What makes the map; auto chooses by cross-validation."),
    ] = Method.auto
    per_class: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Learn from N labels a class; the others test."),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Of the draw and of the fitting.")] = 0
    field: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The labels' variable, or their column of classes."),
    ] = None
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the fitted network as weights.")
    ] = None


@dataclass(frozen=True)
class Reading:
    """How a cube is taken that does not say so itself."""

    bad_bands: Annotated[
        str, typer.Option(metavar="auto|none|LIST", help="Left out, such as 1-10,108.")
    ] = "auto"
    variable: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which variable of a file is the cube.")
    ] = None
    shape: Annotated[
        str | None,
        typer.Option(metavar="ROWS,COLUMNS", help="Of a matrix of bands by pixels."),
    ] = None
    bands: Annotated[
        BandsWhere | None, typer.Option(help="Which axis of an array are the bands.")
    ] = None

    def to_dict(self) -> dict[str, Any]:
        """As ``job.Options`` takes them."""
        bands = self.bands and self.bands.value
        return asdict(self) | {"shape": _shape(self.shape), "bands": bands}


@dataclass(frozen=True)
class Saving:
    """Ways to compute only some pixels; the row says how far the map agrees with the exact one."""

    stride: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, help="Compute every N-th row and column; upsample."),
    ] = None
    superpixels: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, help="Compute one of about N pixels that are alike."),
    ] = None
    student: Annotated[
        bool, typer.Option("--student", help="Teach a small network with a few pixels' answers.")
    ] = False


@bundled
def classify(
    sources: Sources,
    learning: Learning,
    reading: Reading,
    saving: Saving,
    answering: ManyAtOnce,
    computing: Computing,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="For a scene without labels: saved, trained or official weights.",
        ),
    ] = None,
) -> int:
    """Which material is each pixel of this hyperspectral scene?

    Each SOURCE is a cube: ENVI (header or data file), GeoTIFF, MATLAB or NumPy. With --labels it is
    learned from them, in some minutes, and every pixel gets a class; without, it must be like a
    scene that the weights know. With -o it writes a class map (GeoTIFF, ENVI, PNG), probabilities,
    areas and a report.
    """
    from hsi_classify import load
    from hsi_classify.files.finding import find_cubes
    from hsi_classify.writing import write
    from vitrail.answers import Answers

    found = find_cubes(sources, quiet=answering.quiet)
    if learning.save and len(found) > 1:
        problem = f"keeps one network, and {len(found)} cubes were named"
        raise UsageError("--save", problem, "name one cube")
    given = asdict(learning) | {"method": learning.method.value}
    job = load(weights, **given, **reading.to_dict(), **asdict(saving), **computing.to_dict())
    return Answers(COMMAND, job, answering, write).run(found)


def _shape(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        rows, columns = (int(part) for part in text.split(","))
    except ValueError:
        rows = columns = 0
    if rows < 1 or columns < 1:
        raise UsageError(f"--shape {text}", "is not two numbers", "write it as 100,120")
    return rows, columns


def main() -> None:
    command.run(classify, COMMAND)


if __name__ == "__main__":
    main()

"""The ``change-detect`` command."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail import command
from vitrail.errors import UsageError
from vitrail.options import Answering, BatchSize, Computing, bundled

COMMAND = "change-detect"


@dataclass(frozen=True)
class FewAtOnce(Answering):
    """Windows are large, so that few make a batch."""

    batch_size: BatchSize = 4


class Method(StrEnum):
    network = "network"
    cva = "cva"
    irmad = "irmad"


class StretchName(StrEnum):
    auto = "auto"
    always = "always"
    never = "never"


@dataclass(frozen=True)
class Looking:
    """How to look, and what to keep."""

    method: Annotated[
        Method,
        typer.Option(help="network; cva: change vectors; irmad: for scenes of several bands."),
    ] = Method.network
    threshold: Annotated[
        float | None,
        typer.Option(metavar="0..1", help="From where on a pixel counts as changed."),
    ] = None
    bands: Annotated[
        str,
        typer.Option(metavar="R,G,B", help="Which bands are red, green and blue, from 1."),
    ] = ""
    stretch: Annotated[
        StretchName, typer.Option(help="Of the levels of both dates; auto: all but 8 bits.")
    ] = StretchName.auto
    gsd: Annotated[
        float | None, typer.Option(metavar="METRES", help="Look at this size of a pixel.")
    ] = None
    no_align: Annotated[
        bool,
        typer.Option("--no-align", help="Tell a shift between the dates, but leave it."),
    ] = False
    float32: Annotated[
        bool, typer.Option("--float32", help="The probability as float32, not in 200 steps.")
    ] = False
    overlap: Annotated[float, typer.Option(min=0, max=0.9, help="Of neighbouring windows.")] = 0.25
    min_area: Annotated[
        float,
        typer.Option(metavar="M2", min=0, help="Drop smaller objects (pixels without a place)."),
    ] = 0.0
    smooth: Annotated[
        float, typer.Option(metavar="PIXELS", min=0, help="By how much outlines are simplified.")
    ] = 0.7

    def to_dict(self) -> dict[str, Any]:
        """As ``job.load`` takes them."""
        values = asdict(self) | {"method": self.method.value, "stretch": self.stretch.value}
        values["align"] = not values.pop("no_align")
        return values | {"bands": _numbers(self.bands)}


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        numbers = (0,)
    if len(numbers) not in (0, 1, 3) or any(number < 1 for number in numbers):
        raise UsageError(f"--bands {text}", "names no bands", "give three numbers, such as 3,2,1")
    return numbers


@bundled
def detect(
    looking: Looking,
    answering: FewAtOnce,
    computing: Computing,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BEFORE AFTER",
            help="Images of one place in their order, or TIFFs with a date on each page.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Many pairs: columns before, after and perhaps name."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="nano, a file of your own training, or official."),
    ] = None,
) -> int:
    """What changed between two images of one place?

    Takes two GeoTIFFs, ENVI files or pictures (PNG, JPEG, WebP, BMP) of any size. With -o it writes
    a mask and a probability on the first one's grid, polygons with their areas (GeoJSON,
    GeoPackage), a quick look and a map for the browser. Which date is the later one cannot be known
    from the files: in the wrong order the mask is almost the same.
    """
    from change_detect import load
    from change_detect.answering import SeriesAnswers
    from change_detect.scene.sources import find_scenes, read_pairs
    from change_detect.writing import write

    if not sources and pairs is None:
        raise UsageError("change-detect", "was given no image", f"see '{COMMAND} --help'")
    job = load(weights, **computing.to_dict(), **looking.to_dict())
    found = (find_scenes(sources) if sources else []) + (read_pairs(pairs) if pairs else [])
    return SeriesAnswers(COMMAND, job, answering, write).run(found)


def main() -> None:
    command.run(detect, COMMAND)


if __name__ == "__main__":
    main()

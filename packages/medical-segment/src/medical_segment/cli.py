"""The ``medical-segment`` command."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from vitrail import command
from vitrail.errors import UsageError
from vitrail.options import Answering, BatchSize, Computing, Sources, bundled


@dataclass(frozen=True)
class FewAtOnce(Answering):
    """Windows are large, so that few make a batch."""

    batch_size: BatchSize = 4


class ConventionName(StrEnum):
    decathlon = "decathlon"
    brats = "brats"
    brats2023 = "brats2023"


@dataclass(frozen=True)
class Looking:
    """How to look at a case, and what to do with what was found."""

    mirror: Annotated[
        bool, typer.Option("--mirror", help="Mean over all mirrored views: slower, often better.")
    ] = False
    overlap: Annotated[float, typer.Option(min=0, max=0.9, help="Of neighbouring windows.")] = 0.5
    largest: Annotated[
        bool, typer.Option("--largest", help="Keep only the largest piece of each structure.")
    ] = False
    fill_holes: Annotated[
        bool, typer.Option("--fill-holes", help="Fill the holes in each structure.")
    ] = False
    min_area: Annotated[
        int, typer.Option(metavar="PIXELS", min=1, help="Smaller cells are not counted.")
    ] = 10
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write them too.")] = False
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Write a DICOM-SEG too, for DICOM series.")
    ] = False
    series: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Which DICOM series of a folder.")
    ] = None
    volume: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Which volume of a four-dimensional file."),
    ] = None
    convention: Annotated[
        ConventionName | None,
        typer.Option(help="Whose numbers the label map of tumour regions uses."),
    ] = None

    def to_dict(self) -> dict[str, Any]:
        """As ``job.Options`` takes them."""
        values = asdict(self) | {"convention": self.convention and self.convention.value}
        return values | {"fill": values.pop("fill_holes")}


@bundled
def segment(
    sources: Sources,
    looking: Looking,
    answering: FewAtOnce,
    computing: Computing,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="hippocampus, hippocampus-xlstm, nuclei or a file; several: their mean.",
        ),
    ] = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="The sources are the channels of one case, in the network's order."
        ),
    ] = False,
) -> int:
    """Which part of this scan is what? Not a medical device.

    Outlines structures in each SOURCE: a NIfTI file, a folder with a DICOM series, a microscope's
    image (PNG, TIFF), or a folder of such. With -o it writes the label map on the file's own grid,
    volumes, an overview and a page to look through. For research and teaching only, not for
    diagnosis or treatment.
    """
    from medical_segment import load
    from medical_segment.files.reading import Case, find_cases
    from medical_segment.writing import write
    from vitrail.answers import Answers
    from vitrail.sources import expand_sources

    job = load(weights, **computing.to_dict(), **looking.to_dict())
    channels = job.plan.channels
    if together:
        named = expand_sources(sources)
        for one in named:
            one.require_found()
        files = [one.path for one in named]
        if len(files) != len(channels):
            problem = f"has {len(files)} files for {len(channels)} channels"
            raise UsageError("--together", problem, f"give {', '.join(channels[:4])}")
        cases = [Case.of_inputs(str(files[0]), files)]
    else:
        cases = find_cases(sources, len(channels))
    return Answers("medical-segment", job, answering, write).run(cases)


def main() -> None:
    command.run(segment, "medical-segment")


if __name__ == "__main__":
    main()

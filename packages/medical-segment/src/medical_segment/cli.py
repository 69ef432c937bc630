"""The ``medical-segment`` command."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitrail import command
from vitrail.errors import InputError, UsageError
from vitrail.options import Answering, BatchSize, Computing, Sources, bundled

if TYPE_CHECKING:
    from medical_segment.files.finding import Case


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
    outlines: Annotated[
        bool,
        typer.Option(
            "--outlines", help="Write RTSTRUCT too for DICOM series, ImageJ's ROIs for images."
        ),
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
    list_series: Annotated[
        bool,
        typer.Option(
            "--list-series", help="Only say which DICOM series there are, for --series N."
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
    from medical_segment.files.finding import Case, find_cases
    from medical_segment.writing import write
    from vitrail.answers import Answers
    from vitrail.sources import expand_sources

    if list_series:
        return _list_series(find_cases(sources, 1, quiet=answering.quiet), json=answering.json)
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
        cases = find_cases(sources, len(channels), quiet=answering.quiet)
    return Answers("medical-segment", job, answering, write).run(cases)


def _list_series(cases: "list[Case]", *, json: bool) -> int:
    """A row for each series; the exit status is 1 where a source holds none that can be read."""
    from vitrail.say import say_rows, warn

    rows, failed = [], False
    for case in cases:
        try:
            case.require_found()
            rows += _series_in(case)
        except InputError as error:
            failed = True
            warn("medical-segment", str(error))
    if rows:
        say_rows(rows, list(rows[0]), json=json)
    return int(failed)


def _series_in(case: "Case") -> list[dict[str, Any]]:
    (part,) = case.inputs
    if not part.slices:
        raise InputError(case.name, "is no DICOM series", "name a folder of series")
    from medical_segment.files.dicom import list_series

    return list_series(part.path, part.slices)


def main() -> None:
    command.run(segment, "medical-segment")


if __name__ == "__main__":
    main()

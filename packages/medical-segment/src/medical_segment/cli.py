"""The ``medical-segment`` command."""

from enum import StrEnum
from typing import Annotated

import typer

from vitrail import command
from vitrail.errors import UsageError
from vitrail.options import (
    BatchSize,
    Debug,
    Device,
    DeviceOption,
    EngineName,
    EngineOption,
    Json,
    Output,
    Quiet,
    Resume,
    Sources,
)


class ConventionName(StrEnum):
    decathlon = "decathlon"
    brats = "brats"
    brats2023 = "brats2023"


def segment(
    sources: Sources,
    output: Output = None,
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
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Mean over all mirrored views: slower, often better.")
    ] = False,
    overlap: Annotated[float, typer.Option(min=0, max=0.9, help="Of neighbouring windows.")] = 0.5,
    largest: Annotated[
        bool, typer.Option("--largest", help="Keep only the largest piece of each structure.")
    ] = False,
    fill_holes: Annotated[
        bool, typer.Option("--fill-holes", help="Fill the holes in each structure.")
    ] = False,
    min_area: Annotated[
        int, typer.Option(metavar="PIXELS", min=1, help="Smaller cells are not counted.")
    ] = 10,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write them too.")] = False,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Write a DICOM-SEG too, for DICOM series.")
    ] = False,
    series: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Which DICOM series of a folder.")
    ] = None,
    volume: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Which volume of a four-dimensional file."),
    ] = None,
    convention: Annotated[
        ConventionName | None,
        typer.Option(help="Whose numbers the label map of tumour regions uses."),
    ] = None,
    device: DeviceOption = Device.auto,
    engine: EngineOption = EngineName.auto,
    batch_size: BatchSize = 4,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Which part of this scan is what? Not a medical device.

    Outlines structures in each SOURCE: a NIfTI file, a folder with a DICOM series, a microscope's
    picture (PNG, TIFF), or a folder of such. With -o it writes the label map on the file's own
    grid, volumes, a picture and a page to look through. For research and teaching only, not for
    diagnosis or treatment.
    """
    from medical_segment.pipeline import Options, load
    from medical_segment.reading import find_sources
    from vitrail.answers import Batch
    from vitrail.sources import expand_sources

    options = Options(
        overlap, mirror, largest, fill_holes, min_area, series, volume,
        convention.value if convention else None, probabilities, dicom_seg,
    )  # fmt: skip
    pipeline = load(
        weights or ["hippocampus"], options=options, engine=engine.value, device=device.value
    )
    channels = len(pipeline.plan.channels)
    if together:
        files = expand_sources(sources)
        if len(files) != channels:
            names = ", ".join(pipeline.plan.channels[:4])
            raise UsageError(
                "--together", f"has {len(files)} files for {channels} channels", f"give {names}"
            )
        pipeline.cases[files[0]] = files
        found = files[:1]
    else:
        found = find_sources(sources, channels)
    return Batch("medical-segment", pipeline, batch_size, output, resume, json, quiet).run(found)


def main() -> None:
    command.run(segment, "medical-segment")


if __name__ == "__main__":
    main()

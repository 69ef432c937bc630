"""The ``image-colorize`` command: colours files; ``serve`` opens the page."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from vitrail import command
from vitrail.options import (
    Answering,
    BatchSize,
    Computing,
    Debug,
    Json,
    Quiet,
    Serving,
    Sources,
    bundled,
)

if TYPE_CHECKING:
    from image_colorize.result import Result
    from vitrail.keeping import Keeper, Write
    from vitrail.sources import Source

COMMAND = "image-colorize"


class Upsampling(StrEnum):
    bicubic = "bicubic"
    guided = "guided"


class Format(StrEnum):
    jpeg = "jpeg"
    png = "png"
    tiff = "tiff"
    webp = "webp"


Strength = Annotated[float, typer.Option(min=0, max=3, help="Factor of the chroma: 0 is grey.")]
Pin = Annotated[bool, typer.Option("--pin", help="The wished colour exactly at each hint.")]
NetworkAlone = Annotated[
    bool, typer.Option("--network-alone", help="Do not make up for what it missed at the hints.")
]

UpsamplingOption = Annotated[
    Upsampling, typer.Option(help="guided: the colours' edges follow the lightness's.")
]


@dataclass(frozen=True)
class FewAtOnce(Answering):
    """Images are kept at full size while they wait."""

    batch_size: BatchSize = 4


@dataclass(frozen=True)
class Colouring:
    """How to colour."""

    strength: Strength = 1.0
    pin: Pin = False
    network_alone: NetworkAlone = False
    upsampling: UpsamplingOption = Upsampling.bicubic
    keep_tone: Annotated[
        bool, typer.Option("--keep-tone", help="Add the tone of a toned scan again.")
    ] = False
    skip_coloured: Annotated[
        bool, typer.Option("--skip-coloured", help="Leave images alone that have colours.")
    ] = False
    format: Annotated[
        Format | None, typer.Option(help="Of the coloured files (default: the source's).")
    ] = None

    def to_dict(self) -> dict[str, Any]:
        """As ``job.Options`` takes them."""
        values = asdict(self)
        values["follow"] = not values.pop("network_alone")
        values["format"] = self.format and self.format.value.upper()
        return values | {"upsampling": self.upsampling.value}


WeightsOption = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="tiny, your own or an official checkpoint."),
]


@bundled
def colorize(
    sources: Sources,
    colouring: Colouring,
    answering: FewAtOnce,
    computing: Computing,
    hints: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For every image; else NAME.hints.json beside it."),
    ] = None,
    colours: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Whence hints take colours that name only places."),
    ] = None,
    palette: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Colours of this one, where it is alike."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there, but never a source.")
    ] = False,
    weights: WeightsOption = None,
) -> int:
    """Colours grey photographs from a few hints: a colour at a place.

    Each SOURCE, at its full size, becomes NAME.colorized.EXT beside it, or with -o FOLDER a file of
    its own name there. Hints lie beside an image as NAME.hints.json, which the page writes:

    image-colorize serve PHOTO opens it in the browser; image-colorize video FILM colours a film;
    image-colorize reach PHOTO shows what the last hint changed.
    """
    from image_colorize import load
    from image_colorize.finding import find_sources, require_option_file
    from image_colorize.placing import ResultFiles
    from image_colorize.writing import write, write_beside
    from vitrail.answers import Answers

    for path, option in ((hints, "--hints"), (colours, "--colours"), (palette, "--palette")):
        require_option_file(path, option)
    job = load(
        weights,
        colours=str(colours) if colours else None,
        palette=str(palette) if palette else None,
        **colouring.to_dict(),
        **computing.to_dict(),
    )
    places = find_sources(sources, hints, COMMAND, quiet=answering.quiet)

    def keeper(output: Path, write: "Write", _: "Sequence[Source]") -> "Keeper":
        return ResultFiles(output, write, places, overwrite, renew=answering.resume)

    def beside(result: "Result") -> None:
        path = write_beside(result, overwrite=overwrite)
        if path and not answering.quiet:
            print(f"{COMMAND}: {path}", file=sys.stderr)

    on_result = None if answering.output else beside
    answers = Answers(COMMAND, job, answering, write, on_result, keeper=keeper)
    return answers.run(list(places))


@bundled
def serve(
    computing: Computing,
    serving: Serving,
    image: Annotated[Path | None, typer.Argument(metavar="[IMAGE]", help="Opened at once.")] = None,
    weights: WeightsOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Opens a page where a click colours an image. Needs the extra serve.

    The address that it prints holds a token, made anew each time unless VITRAIL_TOKEN holds one.
    """
    from image_colorize.service.app import run

    return run(image, weights, computing.to_dict(), serving)


@bundled
def reach(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image with hints.")],
    computing: Computing,
    hints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Else NAME.hints.json beside it.")
    ] = None,
    colours: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Whence hints take colours that name only places."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The picture, as PNG.")
    ] = Path("reach.png"),
    attention: Annotated[
        bool,
        typer.Option("--attention", help="Instead: how much each place drew on the hint's patch."),
    ] = False,
    weights: WeightsOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Shows where and how far the last hint changed the colours."""
    import json

    from PIL import Image

    from image_colorize import load
    from image_colorize.hints import HintFile
    from image_colorize.job import source_of
    from image_colorize.reach import STRONG, attended, overlay, reach_of
    from vitrail.output import atomic_file

    job = load(weights, colours=str(colours) if colours else None, **computing.to_dict())
    after = job.predict(source_of(image, hints))
    before = job.predict(after.image, HintFile(after.wanted.hints[:-1]))
    found = reach_of(before, after, job.shape)
    strength = (found.distance / STRONG).clip(0, 1)
    if attention:
        strength = attended(job.network, after)
    with atomic_file(output) as temporary:
        Image.fromarray(overlay(after, strength)).save(temporary, "PNG")
    print(json.dumps({"source": str(image), **found.to_dict(), "picture": str(output)}))
    return 0


@bundled
def video(
    sources: Sources,
    computing: Computing,
    hints: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For every film; else NAME.hints.json beside it."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Else beside the film."),
    ] = None,
    strength: Strength = 1.0,
    pin: Pin = False,
    network_alone: NetworkAlone = False,
    upsampling: UpsamplingOption = Upsampling.bicubic,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip films whose result is in the output folder.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace films that are there, but never a source.")
    ] = False,
    weights: WeightsOption = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Colours films from hints on any of their frames. Needs the extra video.

    A hint's "time" in seconds says on which frame it was made. It is carried to the frames before
    and behind as far as it stays in sight, and not across cuts. Each film becomes
    NAME.colorized.mp4, with its times and its sound; with -o results.jsonl lies beside them.
    """
    from image_colorize import load
    from image_colorize.film.job import FilmJob
    from image_colorize.finding import find_films, require_option_file
    from image_colorize.placing import FilmRows
    from vitrail.answers import Answers

    require_option_file(hints, "--hints")
    colouring = Colouring(
        strength=strength, pin=pin, network_alone=network_alone, upsampling=upsampling
    )
    places = find_films(sources, hints, COMMAND, quiet=quiet)
    rows = FilmRows(output, _no_more, places, renew=resume) if output else None
    job = FilmJob(
        load(weights, **colouring.to_dict(), **computing.to_dict()),
        lambda source: (output or source.paths[0].parent) / places[source],
        overwrite=overwrite,
        barred=[path for source in places for path in source.paths],
        renewable=rows.renewable if rows else lambda source: None,
    )
    answering = Answering(
        output=output, resume=resume, batch_size=8, json=json, quiet=quiet, debug=debug
    )
    answers = Answers(
        f"{COMMAND} video", job, answering, _no_more, keeper=lambda *_: cast("FilmRows", rows)
    )
    return answers.run(list(places))


def _no_more(result: object, folder: Path) -> None:
    """The film is written already."""


VERBS = {"reach": reach, "serve": serve, "video": video}


def main() -> None:
    verb = VERBS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if verb is None:
        command.run(colorize, COMMAND)
    else:
        del sys.argv[1]
        command.run(verb, f"{COMMAND} {verb.__name__}")


if __name__ == "__main__":
    main()

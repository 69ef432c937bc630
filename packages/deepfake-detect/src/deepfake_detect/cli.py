"""The ``deepfake-detect`` command."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vitrail import command
from vitrail.errors import UsageError
from vitrail.options import Answering, Computing, Sources, bundled
from vitrail.say import warn, warn_left_out

MOMENTS = 6


class Net(StrEnum):
    ed = "ed"
    vae = "vae"
    both = "both"
    cascade = "cascade"


class Scoring(StrEnum):
    person = "person"
    official = "official"


class Noise(StrEnum):
    off = "off"
    seeded = "seeded"
    official = "official"


@bundled
def detect(
    sources: Sources,
    answering: Answering,
    computing: Computing,
    net: Annotated[
        Net | None,
        typer.Option(
            help="Network A, network B, both (the default), or B only where A is unsure.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Other weights than the bundled ones; once per network.",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[
        str,
        typer.Option(metavar="N|all", help="Frames to look at, spread evenly over each source."),
    ] = "15",
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="FPS", min=0.001, help="So many per second instead.", show_default=False
        ),
    ] = None,
    scoring: Annotated[
        Scoring,
        typer.Option(
            help="One score per person, or the official pooled mean that knows only REAL and FAKE."
        ),
    ] = Scoring.person,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="One limit between REAL and FAKE, leaving no score UNDECIDED.",
            show_default=False,
        ),
    ] = None,
    noise: Annotated[
        Noise, typer.Option(help="Latent noise of network B; the official code always draws it.")
    ] = Noise.off,
    seed: Annotated[int, typer.Option(help="For seeded noise.")] = 0,
    face_detector: Annotated[
        str,
        typer.Option(
            metavar="bundled|dlib|FILE", help="Who finds the faces; FILE is a YuNet model (.onnx)."
        ),
    ] = "bundled",
) -> int:
    """Is the face in this video REAL or FAKE?

    Looks at the faces of each SOURCE (a video, an image, or a folder of them) and gives one
    verdict: REAL, FAKE, or UNDECIDED with the reason. With -o it also writes a report page, a table
    of all faces, and the result as JSON.
    """
    number = _frame_number(frames)
    from vitrail.sources import expand_sources, open_folders

    inside = partial(_inside, quiet=answering.quiet)
    found = open_folders(expand_sources(sources), inside)
    from deepfake_detect.job import load
    from deepfake_detect.writing import write
    from vitrail.answers import Answers

    job = load(
        weights,
        net=net and net.value,
        frames=number,
        rate=rate,
        scoring=scoring.value,
        threshold=threshold,
        noise=noise.value,
        seed=seed,
        face_detector=face_detector,
        moments=MOMENTS if answering.output else 0,
        **computing.to_dict(),
    )
    return Answers("deepfake-detect", job, answering, write).run(found)


def _inside(folder: Path, quiet: bool) -> list[Path]:
    """The sources of a folder; lines say which images are taken for one clip's frames, and which
    files are no source."""
    from vitrail.preprocess.frames import find_sources, left_out
    from vitrail.sources import image_files, natural_sorted

    found = find_sources(folder)
    if not quiet:
        places = {path if path.is_dir() else path.parent for path in found}
        for place in natural_sorted(places):
            number = len(image_files(place))
            how = "as frames of one clip" if place in found else "each for itself"
            if number > 1:
                warn("deepfake-detect", f"{place}: {number} images, taken {how}")
        others = left_out(folder, found)
        warn_left_out("deepfake-detect", folder, others, "not named as media")
    return found


def _frame_number(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(
            f"--frames {text}",
            "is neither a number of frames nor 'all'",
            "give for example --frames 15",
        )
    return int(text)


def main() -> None:
    command.run(detect, "deepfake-detect")


if __name__ == "__main__":
    main()

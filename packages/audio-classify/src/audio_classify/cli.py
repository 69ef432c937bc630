"""The ``audio-classify`` command."""

from pathlib import Path
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
)


def classify(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Sound files, videos, folders, patterns; - is a live stream on standard input.",
        ),
    ] = None,
    output: Output = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="sounds, digits, pretrained, your own or an official checkpoint.",
        ),
    ] = "sounds",
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Class names of an official checkpoint, which brings none."
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0.1, help="Looked at together (default: all that fits)."
        ),
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0.01, help="Between windows (default: a fifth of one)."
        ),
    ] = None,
    begin: Annotated[
        float, typer.Option(min=0, max=1, help="Probability at which an event begins.")
    ] = 0.5,
    keep: Annotated[
        float, typer.Option(min=0, max=1, help="Probability above which it lasts.")
    ] = 0.3,
    gap: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Gaps up to this are bridged.")
    ] = 0.0,
    exact: Annotated[
        bool, typer.Option("--exact", help="Pad each window as the official release does.")
    ] = False,
    channel: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="One channel, from 1 (default: their mean)."),
    ] = None,
    embed: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the windows' embeddings (.npy or .parquet)."),
    ] = None,
    search: Annotated[
        Path | None,
        typer.Option(metavar="CLIP", help="Instead: rank the sources by likeness to this clip."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many --search names.")] = 10,
    microphone: Annotated[
        bool, typer.Option("--microphone", help="Listen to the microphone until ctrl-C.")
    ] = False,
    rate: Annotated[
        int, typer.Option(metavar="HZ", min=1000, max=768000, help="Of raw standard input.")
    ] = 16000,
    device: DeviceOption = Device.auto,
    engine: EngineOption = EngineName.auto,
    batch_size: BatchSize = 16,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Which sounds does this recording hold, and when?

    Gives each SOURCE's likeliest classes and its events with start and end. With -o it also writes
    the events as JSON lines, CSV and Audacity labels, and a picture. A live stream is raw 16-bit
    mono sound: ffmpeg -i ... -f s16le -ac 1 -ar 16000 - | audio-classify -
    """
    live = microphone or sources == ["-"]
    if microphone == bool(sources) or ("-" in (sources or []) and not live):
        raise UsageError(
            "SOURCE", "give files, or - alone, or --microphone alone", "see 'audio-classify --help'"
        )
    if keep > begin:
        raise UsageError(f"--keep {keep:g}", "is above --begin", "give a lower one")
    if resume and embed:
        raise UsageError("--resume", "leaves sources out that --embed needs", "give one of both")
    from audio_classify import jobs
    from audio_classify.events import Rule
    from audio_classify.pipeline import Options, load

    wanted = bool(embed or search)
    options = Options(
        window, hop, exact, None if channel is None else channel - 1, wanted, Rule(begin, keep, gap)
    )
    pipeline = load(
        weights, labels=labels, options=options, engine=engine.value, device=device.value
    )
    if live:
        return jobs.listen_live(pipeline, None if microphone else rate)
    found = jobs.find_sources(sources)
    if search:
        return jobs.search(pipeline, search, found, top, batch_size, json)
    return jobs.classify(pipeline, found, embed, batch_size, output, resume, json, quiet)


def main() -> None:
    command.run(classify, "audio-classify")


if __name__ == "__main__":
    main()

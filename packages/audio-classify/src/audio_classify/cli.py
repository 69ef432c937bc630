"""The ``audio-classify`` command: classify, search, or listen."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail import command
from vitrail.errors import InputError, UsageError
from vitrail.options import Answering, Computing, bundled
from vitrail.say import warn_left_out

if TYPE_CHECKING:
    from audio_classify.job import AudioJob
    from audio_classify.result import Result
    from vitrail.sources import Source

COMMAND = "audio-classify"


@bundled
def classify(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Sound files, videos, folders, patterns; - is a live stream on standard input.",
        ),
    ] = None,
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
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME[=P]",
            help="Events of this class alone (again for more), from P in place of --begin.",
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Pad as the official release does, and raise nothing.")
    ] = False,
    channel: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="One channel, from 1 (default: their mean)."),
    ] = None,
    track: Annotated[
        int, typer.Option(metavar="N", min=1, help="One of a file's sound tracks, from 1.")
    ] = 1,
    silence_level: Annotated[
        float,
        typer.Option(metavar="DB", max=0, help="Quieter windows, below full scale, are silence."),
    ] = -90.0,
    embed: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the windows' embeddings (.npy or .parquet)."),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all classes' scores in time (.csv or .parquet)."),
    ] = None,
    search: Annotated[
        Path | None,
        typer.Option(metavar="CLIP", help="Instead: rank the sources by likeness to this clip."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many --search names.")] = 10,
    microphone: Annotated[
        bool, typer.Option("--microphone", help="Listen to the microphone until ctrl-C.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When the sound begins, as 2024-05-18T04:30:00 (default: what the file says).",
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option(metavar="HZ", min=1000, max=768000, help="Of raw standard input.")
    ] = 16000,
    *,
    answering: Answering,
    computing: Computing,
) -> int:
    """Which sounds does this recording hold, and when?

    Gives each SOURCE's likeliest classes and its events with start and end. With -o it also writes
    the events as JSON lines, CSV and Audacity labels, and the spectrogram. A live stream is raw
    16-bit mono sound: ffmpeg -i ... -f s16le -ac 1 -ar 16000 - | audio-classify -
    """
    live = microphone or sources == ["-"]
    if microphone == bool(sources) or ("-" in (sources or []) and not live):
        raise UsageError(
            "SOURCE", "give files, or - alone, or --microphone alone", "see 'audio-classify --help'"
        )
    if keep > begin:
        raise UsageError(f"--keep {keep:g}", "is above --begin", "give a lower one")
    found = [] if live else find_sources(sources or (), quiet=answering.quiet)
    if start and len(found) > 1:
        raise UsageError("--start", "is the time of one recording", "give one SOURCE")
    for option, file in (("--embed", embed), ("--frames", frames)):
        if answering.resume and file:
            raise UsageError(
                "--resume", f"leaves sources out that {option} needs", "give one of both"
            )
    from audio_classify import load

    job = load(
        weights,
        labels=labels,
        window=window,
        hop=hop,
        exact=exact,
        channel=None if channel is None else channel - 1,
        track=track - 1,
        silence_level=silence_level,
        embed=bool(embed or search),
        begin=begin,
        keep=keep,
        gap=gap,
        start=start,
        classes=tuple(classes or ()),
        frames=bool(frames),
        **computing.to_dict(),
    )
    if live:
        return _listen(job, None if microphone else rate, answering.output)
    if search:
        return _search(job, search, found, top, answering)
    return _classify(job, found, embed, frames, answering)


def find_sources(arguments: Sequence[str], *, quiet: bool = False) -> "list[Source]":
    """Files as they are named; of a folder each sound file and video below it, and a line about the
    others. A folder without any has a ``fault``."""
    from vitrail.preprocess.audio import other_files, sound_files
    from vitrail.sources import VIDEO_SUFFIXES, expand_sources, open_folders

    def inside(folder: Path) -> list[Path]:
        found = sound_files(folder, VIDEO_SUFFIXES)
        if not found:
            raise InputError(
                folder, "the folder holds no sound file", "name a folder of recordings"
            )
        if not quiet:
            others = other_files(folder, VIDEO_SUFFIXES)
            warn_left_out(COMMAND, folder, others, "not named as sound")
        return found

    return open_folders(expand_sources(arguments), inside)


def _classify(
    job: "AudioJob",
    sources: "list[Source]",
    embed: Path | None,
    frames: Path | None,
    answering: Answering,
) -> int:
    from audio_classify.writing import (
        EVENTS_FILE,
        check_target,
        write,
        write_embeddings,
        write_frames,
        write_table,
    )
    from vitrail.answers import Answers

    output = answering.output
    on_rows = partial(write_table, output / EVENTS_FILE) if output else None
    if embed:
        check_target(embed)
    if frames:
        check_target(frames, "scores over time", ".csv")
    vectors, scores = [], []

    def keep(result: "Result") -> None:
        vectors.append(result.embeddings)
        scores.append(result.frames)

    wanted = keep if embed or frames else None
    status = Answers(COMMAND, job, answering, write, wanted, on_rows).run(sources)
    if embed and vectors:
        write_embeddings(embed, [one for one in vectors if one is not None])
    if frames and scores:
        write_frames(frames, [one for one in scores if one is not None], job.network.labels)
    return status


def _search(
    job: "AudioJob", query: Path, sources: "list[Source]", top: int, answering: Answering
) -> int:
    """Prints the sources most like ``query``."""
    from rich.console import Console

    from audio_classify.result import nearest
    from vitrail.job import Failure
    from vitrail.report import Table
    from vitrail.runner import run

    wanted, found, status = job.predict(query), [], 0
    for source, outcome in run(job, sources, batch_size=answering.batch_size):
        if isinstance(outcome, Failure):
            command.report_failure(COMMAND, source.name, outcome)
            status = 1
        elif outcome.embeddings is not None:
            found.append(outcome.embeddings)
    rows = nearest(wanted, found, top)
    if answering.json or not sys.stdout.isatty():
        for row in rows:
            print(json.dumps(row))
    else:
        cells = [tuple(row.values()) for row in rows]
        table = Table(f"Most like {query.name}", ("source", "start", "similarity"), cells)
        Console().print(table.to_rich())
    return status


def _listen(job: "AudioJob", rate: int | None, output: Path | None) -> int:
    """Prints a JSON line when an event begins and one when it is over, and keeps them in
    ``output``: from raw standard input of ``rate``, or from the microphone without one."""
    from audio_classify.result import with_time
    from audio_classify.sound.events import Begun
    from audio_classify.sound.live import microphone_blocks, pcm_blocks, until_stopped
    from audio_classify.writing import LIVE_FILE

    if not job.network.labels:
        problem = "has no classes to listen for"
        raise UsageError(job.network.name, problem, "take fine-tuned weights")
    wanted = job.network.features.sample_rate
    if rate:
        # Standard input is buffered, which its declared type leaves open.
        blocks = pcm_blocks(sys.stdin.buffer, rate, wanted)  # pyright: ignore[reportArgumentType]
    else:
        blocks = microphone_blocks(wanted)
    began = job.started or datetime.now().astimezone()
    if output:
        output.mkdir(parents=True, exist_ok=True)
    with until_stopped(blocks) as heard:
        for event in job.listen(heard):
            kind = "begin" if isinstance(event, Begun) else "end"
            line = json.dumps({"event": kind} | with_time(event.to_dict(), began))
            print(line, flush=True)
            if output:
                with (output / LIVE_FILE).open("a") as file:
                    file.write(line + "\n")
    return 0


def main() -> None:
    command.run(classify, COMMAND)


if __name__ == "__main__":
    main()

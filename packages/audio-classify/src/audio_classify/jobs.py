"""What the command does with its sources: classify, search, or listen."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from audio_classify import search as searching
from audio_classify.data import sound_files
from audio_classify.pipeline import AudioPipeline
from audio_classify.result import Result
from audio_classify.stream import listen, microphone_blocks, pcm_blocks
from vitrail.answers import Batch
from vitrail.command import report_failure
from vitrail.errors import InputError, UsageError
from vitrail.pipeline import Failure, run
from vitrail.report import Table
from vitrail.sources import VIDEO_SUFFIXES, expand_sources, natural_sorted

COMMAND = "audio-classify"


def find_sources(arguments: Sequence[str]) -> list[Path]:
    """Files as they are named; of a folder each sound file and video below it. InputError for a
    folder without any."""
    found: list[Path] = []
    for path in expand_sources(arguments):
        inside = _in_folder(path) if path.is_dir() else [path]
        if not inside:
            raise InputError(path, "the folder holds no sound file", "name a folder of recordings")
        found += inside
    return list(dict.fromkeys(found))


def classify(
    pipeline: AudioPipeline,
    sources: list[Path],
    embed: Path | None,
    batch_size: int,
    output: Path | None,
    resume: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Classifies each source; returns the exit status."""
    results: list[Result] = []
    if embed:
        searching.check_target(embed)
        pipeline.on_result = results.append
    status = Batch(COMMAND, pipeline, batch_size, output, resume, as_json, quiet).run(sources)
    if results:
        searching.write_embeddings(embed, results)
    return status


def search(
    pipeline: AudioPipeline,
    query: Path,
    sources: list[Path],
    top: int,
    batch_size: int,
    as_json: bool,
) -> int:
    """Prints the sources most like ``query``; returns the exit status."""
    wanted = pipeline.predict(query)
    results, status = [], 0
    for source, outcome in run(pipeline, sources, batch_size=batch_size):
        if isinstance(outcome, Failure):
            report_failure(COMMAND, source, outcome)
            status = 1
        else:
            results.append(outcome)
    rows = searching.nearest(wanted, results, top)
    if as_json or not sys.stdout.isatty():
        for row in rows:
            print(json.dumps(row))
    else:
        cells = [tuple(row.values()) for row in rows]
        Console().print(
            Table(f"Most like {query.name}", ("source", "start", "similarity"), cells).to_rich()
        )
    return status


def listen_live(pipeline: AudioPipeline, rate: int | None) -> int:
    """Prints an event a line as JSON: from raw standard input of ``rate``, or from the microphone
    without one."""
    if not pipeline.network.labels:
        raise UsageError(
            pipeline.network.name, "has no classes to listen for", "take fine-tuned weights"
        )
    sample_rate = pipeline.network.features.sample_rate
    blocks = (
        pcm_blocks(sys.stdin.buffer, rate, sample_rate) if rate else microphone_blocks(sample_rate)
    )
    with suppress(KeyboardInterrupt):  # how one ends it
        for event in listen(pipeline, blocks):
            print(json.dumps(event.to_dict()), flush=True)
    return 0


def _in_folder(folder: Path) -> list[Path]:
    videos = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
    )
    return natural_sorted([*sound_files(folder), *videos])

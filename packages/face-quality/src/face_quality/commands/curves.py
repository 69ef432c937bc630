"""What scores are worth on the user's own pairs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from face_quality.commands.options import COMMAND, Cropping, Judging, find_pictures, load_job
from vitrail.errors import InputError, UsageError
from vitrail.options import Computing, Debug, Json, Quiet, Sources, bundled
from vitrail.say import say, say_rows, warn

PairsFile = Annotated[
    Path,
    typer.Option(
        "--pairs", metavar="FILE", help="CSV: path_a, path_b, same (1 or 0), and similarity."
    ),
]
Fmr = Annotated[float, typer.Option(metavar="RATE", help="False match rate, such as 0.001.")]


class Threshold(StrEnum):
    fixed = "fixed"
    recompute = "recompute"


def edc(
    pairs: PairsFile,
    scores: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV that 'score --csv' wrote, or path and score.")
    ],
    embeddings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON lines of 'score --embed', for the similarities."),
    ] = None,
    fmr: Annotated[
        list[float] | None,
        typer.Option(metavar="RATE", help="False match rate; may be given several times."),
    ] = None,
    threshold: Annotated[
        Threshold,
        typer.Option(help="Keep the threshold of all pairs, or find it anew at each step."),
    ] = Threshold.fixed,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Write edc.csv and edc.png here."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """How many errors of a matcher does discarding the worst pictures save?

    Pairs are discarded by the lower score of their two pictures; of the rest it is counted how many
    genuine ones the matcher misses.
    """
    from face_quality.pairs import read_embeddings, read_pairs, read_scores, write_curves
    from face_quality.show import draw_curves

    vectors = read_embeddings(embeddings) if embeddings else None
    found, left_out = read_pairs(pairs, read_scores(scores), vectors)
    if left_out and not quiet:
        warn(COMMAND, f"{pairs}: {left_out} pairs without a score for both pictures, left out")
    curves, rows = {}, []
    for rate in fmr or [0.01]:
        curve = found.curve(rate, threshold.value)
        low, high = found.area_interval(rate, threshold.value)
        curves[f"FMR {rate:g}"] = curve
        at = dict(zip((round(100 * share) for share in curve.shares), curve.fnmr, strict=True))
        rows.append(
            {
                "fmr": rate,
                "threshold": threshold.value,
                "similarity": round(curve.threshold, 6),
                "genuine_pairs": int(curve.genuine[0]),
                "impostor_pairs": int(curve.impostors[0]),
                "fnmr": _rounded(at[0]),
                "fnmr_20": _rounded(at[20]),
                "fnmr_40": _rounded(at[40]),
                "area_ratio": _rounded(curve.area_ratio),
                "from": _rounded(low),
                "to": _rounded(high),
            }
        )
    if output:
        write_curves(output / "edc.csv", curves)
        draw_curves(output / "edc.png", curves)
    if not quiet:
        say_rows(rows, list(rows[0]), json=json)
    return 0


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if value == value else None


@bundled
def calibrate(
    sources: Sources,
    judging: Judging,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The calibration to write.")
    ],
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV of pairs, to find the lowest score that will do."),
    ] = None,
    fmr: Fmr = 0.001,
    max_fnmr: Annotated[
        float, typer.Option(metavar="RATE", help="Genuine pairs that may be missed above it.")
    ] = 0.05,
    *,
    cropping: Cropping,
    computing: Computing,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Make scores mean ranks among your own pictures, and find the lowest score that will do.

    With --pairs: above the written limit, at most --max-fnmr of the genuine pairs are missed at the
    threshold that lets in --fmr of the impostors. The similarities are those of the file, or else
    of the network's own embedding.
    """
    from dataclasses import replace

    from face_quality.collecting import collect
    from face_quality.pairs import read_pairs
    from face_quality.scale import Calibration, write_calibration

    if not 0 < max_fnmr < 1:
        raise UsageError(f"--max-fnmr {max_fnmr:g}", "is not between 0 and 1", "take 0.05")
    job = load_job(judging, computing, cropping, embed=pairs is not None)
    faces, failed = collect(job, find_pictures(sources, quiet=quiet), COMMAND)
    if len(faces) < 20:
        problem = f"{len(faces)} faces are too few for a calibration"
        raise InputError(output, problem, "give at least 20 pictures with a face")
    raws = {name: face.raw for name, face in faces.items()}
    values = list(raws.values())
    scale = Calibration.of(values, values, f"{len(faces)} own pictures", job.weights_sha256)
    row = {"faces": len(faces), "failed": failed, "lowest_score": None}
    if pairs:
        vectors = {
            name: face.embedding for name, face in faces.items() if face.embedding is not None
        }
        found, left_out = read_pairs(pairs, raws, vectors)
        if left_out and not quiet:
            warn(COMMAND, f"{pairs}: {left_out} pairs without a face in both pictures, left out")
        lowest = found.lowest_quality(fmr, max_fnmr)
        if lowest is None:
            raise InputError(pairs, f"no score keeps FNMR below {max_fnmr:g}", "allow more errors")
        limit = round(scale.score(lowest), 1)
        scale = replace(scale, low=limit, high=max(limit, scale.high))
        row["lowest_score"] = limit
    write_calibration(output, scale)
    row |= {"low": scale.low, "high": scale.high, "sha256": scale.sha256}
    sentence = f"{len(faces)} faces; low below {scale.low:g}, high from {scale.high:g}: {output}"
    say(row, sentence, json=json, quiet=quiet)
    return 1 if failed else 0

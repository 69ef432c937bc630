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
FMR, FNMR = 0.001, 0.05


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
    import numpy as np

    from face_quality.pairs import read_embeddings, read_pairs, read_scores, write_curves
    from face_quality.show import draw_curves

    vectors = read_embeddings(embeddings) if embeddings else None
    found = read_pairs(pairs, read_scores(scores), vectors)
    if found.left_out and not quiet:
        lost = f"{found.left_out} pairs without a score for both pictures, left out"
        warn(COMMAND, f"{pairs}: {lost}")
    if found.people is None and not quiet:
        told = "columns and folders do not tell who is who, intervals are by pair: too narrow"
        warn(COMMAND, f"{pairs}: {told}")
    curves, rows = {}, []
    for rate in fmr or [0.01]:
        curve = found.curve(rate, threshold.value)
        low, high = found.area_interval(rate, threshold.value)
        curves[f"FMR {rate:g}"] = curve
        at = dict(zip((round(100 * share) for share in curve.shares), curve.fnmr, strict=True))
        unknown = curve.shares[np.isnan(curve.fnmr)]
        rows.append(
            {
                "fmr": rate,
                "threshold": threshold.value,
                "similarity": round(curve.threshold, 6),
                "genuine_pairs": int(curve.genuine[0]),
                "impostor_pairs": int(curve.impostors[0]),
                "left_out": found.left_out,
                "fnmr": _rounded(at[0]),
                "fnmr_20": _rounded(at[20]),
                "fnmr_40": _rounded(at[40]),
                "area_ratio": _rounded(curve.area_ratio),
                "from": _rounded(low),
                "to": _rounded(high),
                "by": "pair" if found.people is None else "person",
                "unknown_from": round(float(unknown[0]), 2) if len(unknown) else None,
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
    fmr: Annotated[
        float | None,
        typer.Option(metavar="RATE", help=f"False match rate, of --pairs (default: {FMR:g})."),
    ] = None,
    max_fnmr: Annotated[
        float | None,
        typer.Option(
            metavar="RATE", help=f"Genuine pairs that may be missed above it (default: {FNMR:g})."
        ),
    ] = None,
    *,
    cropping: Cropping,
    computing: Computing,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Make scores mean ranks among your own pictures, and find the lowest score that will do.

    With --pairs: above the written limit, at most --max-fnmr of the genuine pairs are missed at the
    threshold that lets in --fmr of the impostors. The similarities are those of the file, where it
    has that column, or else of the network's own embedding.
    """
    from dataclasses import replace
    from math import ceil

    from face_quality.collecting import collect
    from face_quality.pairs import has_similarities, read_pairs
    from face_quality.scale import Calibration, write_calibration

    if pairs is None and (fmr is not None or max_fnmr is not None):
        raise UsageError("--fmr and --max-fnmr", "are about pairs", "add --pairs FILE")
    fmr, max_fnmr = FMR if fmr is None else fmr, FNMR if max_fnmr is None else max_fnmr
    if not 0 < max_fnmr < 1:
        raise UsageError(f"--max-fnmr {max_fnmr:g}", "is not between 0 and 1", "take 0.05")
    job = load_job(judging, computing, cropping, embed=pairs is not None)
    found = collect(job, find_pictures(sources, quiet=quiet), COMMAND)
    faces = found.faces
    if len(faces) < 20:
        problem = f"{len(faces)} faces are too few for a calibration"
        raise InputError(output, problem, "give at least 20 pictures with a face")
    raws = {name: face.raw for name, face in faces.items()}
    values = list(raws.values())
    scale = Calibration.of(values, values, f"{len(faces)} own pictures", job.network.identity)
    row = {"faces": len(faces), "without_face": found.without_face}
    row |= {"several_faces": found.several_faces, "damaged": found.remarked}
    row |= {"failed": found.failed, "lowest_score": None}
    if pairs:
        own = {name: face.embedding for name, face in faces.items() if face.embedding is not None}
        is_told = has_similarities(pairs)
        known = read_pairs(pairs, raws, None if is_told else own)
        if known.left_out and not quiet:
            lost = f"{known.left_out} pairs without a face in both pictures, left out"
            warn(COMMAND, f"{pairs}: {lost}")
        lowest = known.lowest_quality(fmr, max_fnmr)
        if lowest is None:
            raise InputError(pairs, f"no score keeps FNMR below {max_fnmr:g}", "allow more errors")
        limit = min(ceil(10 * scale.score(lowest.quality)) / 10, 100.0)
        scale = replace(scale, low=limit, high=max(limit, scale.high))
        row |= {"lowest_score": limit, "fmr": fmr, "fnmr": round(lowest.fnmr, 4)}
        row |= {"similarities": "the file's" if is_told else "the network's own"}
        row |= {"genuine_pairs": lowest.genuine, "pairs_left_out": known.left_out}
    write_calibration(output, scale)
    row |= {"low": scale.low, "high": scale.high, "sha256": scale.sha256}
    sentence = f"{len(faces)} faces; low below {scale.low:g}, high from {scale.high:g}: {output}"
    if others := found.without_face + found.failed:
        sentence = f"{sentence}; {others} pictures gave none"
    say(row, sentence, json=json, quiet=quiet)
    return 1 if found.failed else 0

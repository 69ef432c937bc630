"""The files that a result becomes: tables of the poses, and pictures or a film with them."""

from pathlib import Path

from pose_estimate.result import Result
from pose_estimate.show.draw import write_pictures
from pose_estimate.show.tables import (
    write_annotations,
    write_coco_results,
    write_csv,
    write_lines,
    write_markers,
)


def write(result: Result, folder: Path) -> None:
    """Fills ``folder``, which appears whole or not at all."""
    write_lines(result, folder / "poses.jsonl")
    write_coco_results(result, folder / "coco_results.json")
    write_annotations(result, folder / "annotations.json")
    write_csv(result, folder / "poses.csv")
    if result.is_film:
        write_markers(result, folder)
    write_pictures(result, folder)

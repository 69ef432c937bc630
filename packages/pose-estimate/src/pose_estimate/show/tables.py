"""Poses in the formats of others: COCO, CSV, and marker tables for tools of biomechanics."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from pose_estimate.result import FramePeople, Person, Result, frame_row

CATEGORY = 1  # COCO's person
SEEN, HIDDEN = 2, 1  # COCO's flag of a joint: visible; labelled, not visible
MARKER_HEAD = [
    "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate",
    "OrigDataStartFrame", "OrigNumFrames",
]  # fmt: skip
COLUMNS = ("frame", "time", "id", "x", "y", "width", "height", "score")


def write_lines(result: Result, path: Path) -> None:
    """One JSON line for an image, or for each frame of a film."""
    joints = list(result.skeleton.labels)
    with path.open("w", encoding="utf-8") as file:
        for frame in result.frames:
            place = {"input": result.name}
            if result.is_film:
                place |= {key: frame_row(frame)[key] for key in ("frame", "time")}
            row = place | {"persons": frame_row(frame)["persons"], "joints": joints}
            file.write(json.dumps(row, allow_nan=False) + "\n")


def image_id(result: Result, frame: FramePeople) -> int | str:
    """Of the given boxes; else the number that the file's name is; else 1. A film's frames count
    from 1."""
    if result.is_film:
        return frame.index + 1
    if result.image_id is not None:
        return result.image_id
    stem = Path(result.name).stem
    return int(stem) if stem.isascii() and stem.isdigit() else 1


def coco_results(result: Result) -> Iterator[dict[str, Any]]:
    """Each person as COCO's evaluation takes it."""
    for frame in result.frames:
        for person in frame.people:
            flat = [round(float(value), 3) for value in person.joints.ravel()]
            yield {
                "image_id": image_id(result, frame),
                "category_id": CATEGORY,
                "keypoints": flat,
                "score": round(person.score, 5),
                "bbox": [round(value, 2) for value in person.box],
            }


def write_coco_results(result: Result, path: Path) -> None:
    """The file for COCO's evaluation."""
    with path.open("w", encoding="utf-8") as file:
        _write_list(file, coco_results(result))


def write_annotations(result: Result, path: Path) -> None:
    """Images, annotations and the category, as COCO labels people; to look at, correct and train
    on."""
    width, height = result.size
    bones = result.skeleton
    category = {
        "id": CATEGORY,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(bones.labels),
        "skeleton": [[one + 1, other + 1] for one, other in bones.edges],
    }
    name = Path(result.name).name
    with path.open("w", encoding="utf-8") as file:
        file.write('{"images": ')
        _write_list(
            file,
            (
                {
                    "id": image_id(result, frame),
                    "file_name": f"{name}#{frame.index}" if result.is_film else name,
                    "width": width,
                    "height": height,
                }
                for frame in result.frames
            ),
        )
        file.write(',\n"annotations": ')
        _write_list(file, _annotations(result))
        file.write(f',\n"categories": {json.dumps([category])}}}\n')


def write_csv(result: Result, path: Path) -> None:
    """A line for each person of each frame; the columns bear the joints' names."""
    joints = [f"{label}_{part}" for label in result.skeleton.labels for part in ("x", "y", "score")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *joints])
        for frame in result.frames:
            for person in frame.people:
                writer.writerow(
                    [
                        frame.index,
                        f"{frame.time:.4f}" if result.is_film else "",
                        "" if person.number is None else person.number,
                        *(f"{value:.2f}" for value in person.box),
                        f"{person.score:.4f}",
                        *(f"{value:.4f}" for value in person.joints.ravel()),
                    ]
                )


def write_markers(result: Result, folder: Path) -> None:
    """A marker table ``person-N.trc`` for each person of a film, in pixels with y upwards and z 0;
    a joint that is not visible is an empty cell."""
    counts: dict[int, int] = {}
    for frame in result.frames:
        for person in frame.people:
            if person.number is not None:
                counts[person.number] = counts.get(person.number, 0) + 1
    labels, rate = result.skeleton.labels, f"{result.fps or 0:.3f}"
    for number, count in counts.items():
        path = folder / f"person-{number}.trc"
        axes = [f"{axis}{n}" for n in range(1, len(labels) + 1) for axis in "XYZ"]
        names = [cell for label in labels for cell in (label, "", "")]
        head = [
            ["PathFileType", "4", "(X/Y/Z)", path.name],
            MARKER_HEAD,
            [rate, rate, str(count), str(len(labels)), "px", rate, "1", str(count)],
            ["Frame#", "Time", *names],
            ["", "", *axes],
            [],
        ]
        path.write_text("".join("\t".join(line) + "\n" for line in head), encoding="utf-8")
    for frame in result.frames:
        for person in frame.people:
            if person.number is not None:
                line = [
                    str(frame.index + 1),
                    f"{frame.time:.4f}",
                    *_markers(person, result.size[1]),
                ]
                with (folder / f"person-{person.number}.trc").open("a", encoding="utf-8") as file:
                    file.write("\t".join(line) + "\n")


def _annotations(result: Result) -> Iterator[dict[str, Any]]:
    number = 0
    for frame in result.frames:
        for person in frame.people:
            number += 1
            flags = [SEEN if seen else HIDDEN for seen in person.visible.tolist()]
            joints = zip(person.joints.tolist(), flags, strict=True)
            flat = [
                value for (x, y, _), flag in joints for value in (round(x, 3), round(y, 3), flag)
            ]
            yield {
                "id": number,
                "image_id": image_id(result, frame),
                "category_id": CATEGORY,
                "iscrowd": 0,
                "bbox": [round(value, 2) for value in person.box],
                "area": round(person.box[2] * person.box[3], 2),
                "num_keypoints": len(flags),
                "keypoints": flat,
                "score": round(person.score, 5),
            } | ({} if person.number is None else {"track_id": person.number})


def _markers(person: Person, height: int) -> Iterator[str]:
    for (x, y, _), seen in zip(person.joints.tolist(), person.visible.tolist(), strict=True):
        yield from (f"{x:.3f}", f"{height - y:.3f}", "0.000") if seen else ("", "", "")


def _write_list(file: TextIO, rows: Iterable[dict[str, Any]]) -> None:
    """A JSON list, row by row, so that a long one is never in memory."""
    file.write("[")
    for number, row in enumerate(rows):
        file.write((",\n" if number else "\n") + json.dumps(row, allow_nan=False))
    file.write("\n]")

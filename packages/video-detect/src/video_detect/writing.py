"""The files that a result becomes: rows for machines, in the forms of three communities, and the
film with its boxes."""

import configparser
import csv
import json
from collections.abc import Iterator
from pathlib import Path

from video_detect.classes import vid_category
from video_detect.result import FrameRow, Result

ROWS, TABLE, FILM = "detections.jsonl", "detections.csv", "annotated.mp4"
MOT, MOT_INFO, COCO_VID = "mot.txt", "seqinfo.ini", "coco_vid.json"
NOMINAL_FPS = 25.0  # of frames without time, where a format asks for a rate
COLUMNS = ("frame", "time", "track", "label", "score", "x", "y", "width", "height", "computed")


def write(result: Result, folder: Path) -> None:
    """Fills ``folder``; the film is read a second time for the annotated one."""
    with (folder / ROWS).open("w") as file:
        for frame in result.frames:
            file.write(json.dumps(frame.to_dict(), allow_nan=False) + "\n")
    with (folder / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *_table(result)])
    with (folder / MOT).open("w") as file:
        file.writelines(_mot(result))
    _write_info(result, folder / MOT_INFO)
    (folder / COCO_VID).write_text(json.dumps(coco_vid(result), allow_nan=False) + "\n")
    if result.path is not None:
        from video_detect.film.drawing import write_film

        write_film(result, folder / FILM)


def _table(result: Result) -> Iterator[list]:
    for frame in result.frames:
        for one in frame.objects:
            yield [
                frame.index,
                "" if frame.time is None else f"{frame.time:.4f}",
                "" if one.track is None else one.track,
                one.label,
                f"{one.score:.4f}",
                *(f"{value:.2f}" for value in one.box),
                int(frame.computed),
            ]


def _mot(result: Result) -> Iterator[str]:
    """frame, id, left, top, width, height, score, class, visibility: all that counts, from 1."""
    for frame in result.frames:
        for one in frame.objects:
            left, top, width, height = one.box
            place = f"{left + 1:.2f},{top + 1:.2f},{width:.2f},{height:.2f}"
            number = -1 if one.track is None else one.track
            kind = result.labels.index(one.label) + 1
            yield f"{frame.index + 1},{number},{place},{one.score:.4f},{kind},1\n"


def _write_info(result: Result, path: Path) -> None:
    info = configparser.ConfigParser()
    info.optionxform = str  # pyright: ignore[reportAttributeAccessIssue] (keys keep their case)
    info["Sequence"] = {
        "name": result.name.replace("%", "%%"),
        "imDir": "img1",
        "frameRate": f"{result.fps or NOMINAL_FPS:g}",
        "seqLength": str(result.frames[-1].index + 1 if result.frames else 0),
        "imWidth": str(result.width),
        "imHeight": str(result.height),
        "imExt": ".jpg",
    }
    with path.open("w") as file:
        info.write(file, space_around_delimiters=False)


def coco_vid(result: Result) -> dict:
    """The film as COCO-VID JSON, with scores as detectors' results have them. ``category_id``
    counts our classes from 1; ``vid_category_id`` is that of ImageNet VID, where it has one."""
    categories = [
        {"id": number, "name": name, "vid_category_id": vid_category(name)}
        for number, name in enumerate(result.labels, start=1)
    ]
    images, annotations = [], []
    for frame in result.frames:
        images.append(_image(result, frame))
        for one in frame.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": frame.index + 1,
                    "video_id": 1,
                    "instance_id": one.track,
                    "category_id": result.labels.index(one.label) + 1,
                    "bbox": [round(value, 2) for value in one.box],
                    "area": round(one.box[2] * one.box[3], 2),
                    "score": round(one.score, 4),
                    "iscrowd": 0,
                }
            )
    videos = [{"id": 1, "name": result.name}]
    return {"videos": videos, "categories": categories, "images": images,
            "annotations": annotations}  # fmt: skip


def _image(result: Result, frame: FrameRow) -> dict:
    return {
        "id": frame.index + 1,
        "video_id": 1,
        "frame_id": frame.index,
        "file_name": f"img1/{frame.index + 1:06d}.jpg",
        "width": result.width,
        "height": result.height,
    }

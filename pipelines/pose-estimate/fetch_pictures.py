"""Fetches the photographs that pictures_from_elsewhere.csv names, and their boxes.

    python pipelines/pose-estimate/fetch_pictures.py runs/people/data

Below the folder come ``images`` and ``boxes``: for each picture a text file in YOLO's form, whose
classes are COCO's 80. Left out are pictures that look like one of the project's own, those of its
tests above all (VITRAIL_DATA says where they lie), pictures twice, and those with a crowd that
nobody took apart. They are other people's photographs: look into their repositories for what you
may do with them.
"""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from vitrail.detection.others import COCO

HOST = os.environ.get("PICTURES_HOST", "https://github.com")
LIST = Path(__file__).with_name("pictures_from_elsewhere.csv")
VOC = (  # in the order of the one repository that has the boxes
    "chair", "car", "bicycle", "person", "dog", "cat", "horse", "train", "airplane", "tv",
    "dining table", "bird", "bottle", "boat", "potted plant", "motorcycle", "couch", "sheep",
    "cow", "bus",
)  # fmt: skip
IN_USE = ("pose/coco", "pose/mmpose_samples", "video-detection/coco/images")
NEAR = 6  # bits of 64 in which two looks of the same photograph differ at most
EMPTY_SHARE = 5  # of the animals' pictures without people each fifth
# Class; middle and size in shares of the picture.
Boxes = list[tuple[int, float, float, float, float]]


def main(target: Path) -> None:
    for name in ("images", "boxes"):
        (target / name).mkdir(parents=True, exist_ok=True)
    seen = [look(Image.open(path)) for folder in IN_USE
            for path in sorted(Path(os.environ["VITRAIL_DATA"], folder).rglob("*.*"))
            if path.suffix.lower() in {".jpg", ".png"}]  # fmt: skip
    with LIST.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kept = people = 0
            for stem, data, boxes in pictures(row):
                with Image.open(io.BytesIO(data)) as image:
                    own = look(image)
                    if (np.array([np.count_nonzero(own != other) for other in seen]) <= NEAR).any():
                        continue
                    seen.append(own)
                    path = target / "images" / f"{row['name']}_{stem}.jpg"
                    if image.format == "JPEG":
                        path.write_bytes(data)
                    else:
                        image.convert("RGB").save(path, quality=95)
                lines = [f"{kind} {x:.6f} {y:.6f} {w:.6f} {h:.6f}" for kind, x, y, w, h in boxes]
                (target / "boxes" / f"{path.stem}.txt").write_text("\n".join(lines) + "\n")
                kept, people = kept + 1, people + sum(box[0] == 0 for box in boxes)
            print(f"{row['repository']}: {kept} pictures, {people} people", flush=True)


def pictures(row: dict[str, str]) -> Iterator[tuple[str, bytes, Boxes]]:
    """Each picture of a source: a name, the file, its boxes."""
    files = dict(blobs(row["repository"], row["commit"], row["pictures"]))
    labels = dict(blobs(row["labels_repository"] or row["repository"],
                        row["labels_commit"] or row["commit"], row["labels"]))  # fmt: skip
    read = {"coco": from_coco, "openimages": from_coco, "yolo": from_yolo, "voc": from_voc}
    known = (read.get(row["form"]) or from_penn)(labels)
    for path, data in sorted(files.items()):
        stem = PurePosixPath(path).stem
        boxes = known.get(stem)
        if boxes is None or (row["form"] == "openimages" and not any(box[0] == 0 for box in boxes)):
            continue
        people = any(box[0] == 0 for box in boxes)
        if row["form"] != "voc" or people or int(re.sub(r"\D", "", stem)) % EMPTY_SHARE == 0:
            yield stem, data, boxes


def from_coco(files: dict[str, bytes]) -> dict[str, Boxes]:
    known: dict[str, Boxes] = {}
    for data in files.values():
        content = json.loads(data)
        images = {one["id"]: one for one in content["images"]}
        kinds = {one["id"]: one["name"].lower() for one in content["categories"]}
        boxes: dict[int, Boxes] = {key: [] for key in images}
        crowded = set()
        for one in content["annotations"]:
            if one.get("iscrowd"):
                crowded.add(one["image_id"])
            elif kinds[one["category_id"]] in COCO:
                image = images[one["image_id"]]
                x, y, w, h = one["bbox"]
                sides = image["width"], image["height"]
                box = middle(x, y, x + w, y + h, sides)
                boxes[one["image_id"]].append((COCO.index(kinds[one["category_id"]]), *box))
        known |= {PurePosixPath(images[key]["file_name"]).stem: own
                  for key, own in boxes.items() if key not in crowded}  # fmt: skip
    return known


def from_yolo(files: dict[str, bytes], names: Sequence[str] = COCO) -> dict[str, Boxes]:
    known = {}
    for path, data in files.items():
        rows = [line.split()[:5] for line in data.decode().splitlines() if line.strip()]
        known[PurePosixPath(path).stem] = [
            (COCO.index(names[int(kind)]), *map(float, rest)) for kind, *rest in rows
        ]
    return known


def from_voc(files: dict[str, bytes]) -> dict[str, Boxes]:
    return from_yolo(files, VOC)


def from_penn(files: dict[str, bytes]) -> dict[str, Boxes]:
    known = {}
    for path, data in files.items():
        text = data.decode("latin-1")
        size = re.search(r"size \(X x Y x C\) : (\d+) x (\d+)", text)
        corners = re.findall(r"\(Xmax, Ymax\) : \((\d+), (\d+)\) - \((\d+), (\d+)\)", text)
        if size:
            sides = int(size[1]), int(size[2])
            known[PurePosixPath(path).stem] = [
                (0, *middle(*map(float, one), sides)) for one in corners
            ]
    return known


def middle(
    x0: float, y0: float, x1: float, y1: float, sides: tuple[int, int]
) -> tuple[float, float, float, float]:
    width, height = sides
    return (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height


def look(image: Image.Image) -> np.ndarray:
    """64 bits: where a photograph gets brighter from left to right."""
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS), int)
    return (small[:, 1:] > small[:, :-1]).ravel()


def blobs(repository: str, commit: str, pattern: str) -> Iterator[tuple[str, bytes]]:
    """The files of a commit whose path matches, by path."""
    address = f"{HOST}/{repository}.git"
    with tempfile.TemporaryDirectory() as clone:
        run(["git", "clone", "-q", "--bare", "--filter=blob:none", address, clone])
        git = ["git", "--git-dir", clone, "-c", "core.quotepath=off"]
        listed = run([*git, "ls-tree", "-r", "--name-only", commit]).decode().splitlines()
        paths = [path for path in listed if re.search(pattern, path)]
        wanted = "".join(f"{commit}:{path}\n" for path in paths).encode()
        read = io.BytesIO(run([*git, "cat-file", "--batch"], wanted))
        for path in paths:
            head = read.readline().split()
            if head[-1] != b"missing":
                yield path, read.read(int(head[2]))
                read.read(1)


def run(words: Sequence[str], given: bytes = b"") -> bytes:
    return subprocess.run(words, input=given, stdout=subprocess.PIPE, check=True).stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))

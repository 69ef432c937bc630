"""Results as files: crops, tables (ours, OFIQ's), the overview page."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from face_quality.gate import Gated
from face_quality.ranking import Ranked
from face_quality.result import NOT_ASSESSED, Result
from face_quality.shots import Shots
from vitrail.output import atomic_file
from vitrail.report import Page, Table

MAX_SHOWN = 500  # faces on an overview page
FINE = "nothing to change"
# OFIQ's order; what we measure differently, or not at all, is not given under its names
OFIQ = (
    "UnifiedQualityScore",
    "BackgroundUniformity",
    "IlluminationUniformity",
    "LuminanceMean",
    "LuminanceVariance",
    "UnderExposurePrevention",
    "OverExposurePrevention",
    "DynamicRange",
    "Sharpness",
    "CompressionArtifacts",
    "NaturalColour",
    "SingleFacePresent",
    "EyesOpen",
    "MouthClosed",
    "EyesVisible",
    "MouthOcclusionPrevention",
    "FaceOcclusionPrevention",
    "InterEyeDistance",
    "HeadSize",
    "LeftwardCropOfTheFaceImage",
    "RightwardCropOfTheFaceImage",
    "MarginAboveOfTheFaceImage",
    "MarginBelowOfTheFaceImage",
    "HeadPoseYaw",
    "HeadPosePitch",
    "HeadPoseRoll",
    "ExpressionNeutrality",
    "NoHeadCoverings",
)


def write(result: Result, folder: Path) -> None:
    """Fills ``folder`` with the aligned crop of each face."""
    for number, face in enumerate(result.faces):
        name = "main" if number == result.main else f"face{number}"
        Image.fromarray(face.crop).save(folder / f"{name}.png")


def write_gated(gated: Gated, folder: Path) -> None:
    write(gated.result, folder)


def write_best(ranked: Ranked, folder: Path) -> None:
    """Fills ``folder`` with the aligned crop of the best picture."""
    if ranked.best_crop is not None:
        Image.fromarray(ranked.best_crop).save(folder / "best.png")


def write_shots(shots: Shots, folder: Path) -> None:
    """Fills ``folder`` with the chosen faces and the timeline of all."""
    timeline = []
    for track in shots.tracks:
        for number, shot in enumerate(track.shots):
            name = f"person{track.number}-{number + 1}.jpg"
            Image.fromarray(shot.picture).save(folder / name, quality=95)
        scores = [[round(time, 3), round(raw, 4)] for time, raw in track.scores]
        timeline.append({**track.to_dict(), "scores": scores})
    (folder / "timeline.json").write_text(json.dumps(timeline, indent=1, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], layout: str) -> None:
    """One line for each source, done or failed; ``layout`` is ours or ofiq."""
    text = io.StringIO()
    lines = _ofiq(rows) if layout == "ofiq" else _ours(rows)
    writer = csv.writer(text, delimiter=";" if layout == "ofiq" else ",", lineterminator="\n")
    writer.writerows(lines)
    with atomic_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", errors="surrogateescape")


def _ours(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    faces = [_main(row) for row in rows]
    names = next((list(face["components"]) for face in faces if face), [])
    head = ["source", "status", "score", "percentile", "word", "raw", "faces", "reasons", "remarks"]
    yield [*head, *names, *(f"{name}.score" for name in names)]
    for row, face in zip(rows, faces, strict=True):
        said = "; ".join(row.get("reasons") or [row.get("reason", "")])
        told = "; ".join([*row.get("remarks", ()), *row.get("damage", ())])
        facts = [face[key] if face else None for key in ("score", "percentile", "word", "raw")]
        found = [face["components"][name] if face else {} for name in names]
        yield [
            row["source"],
            row["status"],
            *facts,
            len(row["faces"]) if "faces" in row else None,
            said,
            told,
            *(one.get("raw") for one in found),
            *(one.get("score") for one in found),
        ]


def _ofiq(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """OFIQ's columns; what is not measured by its definition is marked as not assessed, but for the
    unified score, which is ours."""
    yield ["Filename", *OFIQ, *(f"{name}.scalar" for name in OFIQ)]
    for row in rows:
        face = _main(row)
        found = dict(face["components"]) if face else {}
        if face and face["score"] is not None:
            found["UnifiedQualityScore"] = {"raw": face["raw"], "score": round(face["score"])}
        raws = [found[name]["raw"] if name in found else 0 for name in OFIQ]
        scalars = [found[name]["score"] if name in found else NOT_ASSESSED for name in OFIQ]
        yield [row["source"], *raws, *scalars]


def _main(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return None if row.get("main") is None else row["faces"][row["main"]]


class Overview:
    """The page of many pictures: their main faces, the worst first, with reasons; and which have
    none, or could not be read."""

    def __init__(self):
        self.shown: list[tuple[float, np.ndarray, str]] = []
        self.faces = self.left_out = 0

    def add(self, result: Result) -> None:
        face = result.main_face
        if face is None:
            return
        said = "; ".join([*face.reasons, *result.remarks, *result.damage]) or FINE
        self.faces += 1
        self.shown.append((face.raw, face.crop, f"{face.shown} · {result.source}: {said}"))
        if len(self.shown) > 2 * MAX_SHOWN:  # memory stays bounded; the worst stay
            self._cut()

    def write(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """``rows`` are those of all sources, also of failed ones and of earlier calls."""
        self._cut()
        faces = sorted((row for row in rows if _main(row)), key=lambda row: row["raw"])
        without = [row["source"] for row in rows if row["status"] == "done" and not _main(row)]
        failed = [(row["source"], row["reason"]) for row in rows if row["status"] == "failed"]
        page = Page("Face quality")
        facts = {
            "faces judged": len(faces),
            "pictures without a face": len(without),
            "pictures that failed": len(failed),
        }
        words = [row["word"] for row in faces]
        facts |= {word: words.count(word) for word in ("low", "middle", "high") if word in words}
        page.facts(facts)
        page.heading("Faces, the worst first")
        if self.left_out:
            page.text(f"The {self.left_out} best are in the table only")
        if earlier := len(faces) - self.faces:
            page.text(f"{earlier} faces were judged by an earlier call: they are in the table only")
        page.gallery((crop, caption) for _, crop, caption in self.shown)
        if failed:
            page.heading("Not judged")
            page.table(Table("", ("picture", "why"), failed))
        if without:
            page.heading("Without a face")
            page.table(Table("", ("picture",), [(name,) for name in without]))
        page.heading("All faces")
        columns = ("picture", "score", "", "what to change")
        page.table(Table("", columns, [_line(row) for row in faces]))
        page.write(path)

    def _cut(self) -> None:
        self.shown.sort(key=lambda one: one[0])
        self.left_out += max(len(self.shown) - MAX_SHOWN, 0)
        del self.shown[MAX_SHOWN:]


def _line(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    score = f"raw {row['raw']:.3f}" if row["score"] is None else f"{row['score']:.0f}"
    said = "; ".join([*row["reasons"], *row["remarks"], *row["damage"]])
    return row["source"], score, row["word"] or "", said or FINE

"""The job: find the faces of a picture, align them, and say how useful each is, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from face_quality import system
from face_quality.crops import aligned, main_face, with_landmarks
from face_quality.measures import measure, reasons
from face_quality.networks import BUNDLED, QualityNetwork, load_network
from face_quality.official import LICENCE
from face_quality.result import JudgedFace, Result
from face_quality.scale import Calibration, read_calibration
from face_quality.search import find_faces
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.faces.align import TEMPLATE, TEMPLATE_SIZE
from vitrail.faces.detector import load_finder
from vitrail.faces.face import Face
from vitrail.faces.find import Finder
from vitrail.job import Ask, Engine, Steps
from vitrail.preprocess.image import count_pages, read_image
from vitrail.preprocess.jpeg import has_film
from vitrail.runner import solve
from vitrail.say import warn
from vitrail.sources import Source

TOLERANCE = 0.004  # of a raw quality, which has most of its spread between 0 and 1
OFF_TEMPLATE = 0.12  # eye distances by which a crop's landmarks may be off on average
USUAL_BOX = (22.0, 14.0, 90.0, 106.0)  # of a face in a crop, where no detector has looked


@dataclass(frozen=True)
class Options:
    """What to look at; all of it changes numbers, so all of it stands in the row.

    ``aligned``: pictures are crops on the usual template; ``realign`` those anew whose landmarks
    are elsewhere. ``exit_block`` as in ``load_network``; ``embed`` adds the embedding to the row.
    """

    aligned: bool = False
    realign: bool = False
    exit_block: int | None = None
    embed: bool = False


class QualityJob:
    """Pictures in, qualities of faces out."""

    model, version = "ViT-FIQA", system.version

    def __init__(
        self,
        network: QualityNetwork,
        finder: Finder,
        options: Options = Options(),
        calibration: Calibration | None = None,
        *,
        engine: str = "auto",
        device: str = "auto",
    ):
        if options.realign and not options.aligned:
            raise UsageError(
                "--realign", "goes with --aligned", "other pictures are aligned anyway"
            )
        self.network, self.finder, self.settings = network, finder, options
        self.calibration = calibration or network.calibration
        ready = prepare(network, engine=engine, device=device, tolerance=TOLERANCE)
        self.networks: Mapping[str, Engine] = {**finder.networks, network.name: ready}

    @property
    def options(self) -> dict[str, Any]:
        known = self.calibration.sha256 if self.calibration else None
        return {**asdict(self.settings), "calibration": known}

    def process(self, source: Source) -> Steps:
        damage: list[str] = []
        image = read_image(source.path, damage=damage)
        pages, remarks = count_pages(source.path), []
        if pages > 1:
            remarks.append(f"Only the first of its {pages} frames or pages is judged")
        if has_film(source.path):
            remarks.append("It is a motion photo, whose film is not judged")
        return (yield from self._judge(source.name, image, damage, remarks))

    def predict(self, image: np.ndarray | Path | str) -> Result:
        """The result for a path, or for an image uint8 RGB (H, W, 3)."""
        if isinstance(image, Path | str):
            return solve(self.networks, self.process(Source.of(image)))
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError("array", f"is {image.dtype} {image.shape}", "give uint8 (H, W, 3)")
        return solve(self.networks, self._judge("array", image))

    def _judge(
        self,
        name: str,
        image: np.ndarray,
        damage: Sequence[str] = (),
        told: Sequence[str] = (),
    ) -> Steps:
        remarks = list(told)
        if self.settings.aligned:
            (found,) = yield from self.finder.find([image])
            face, crop, said = self._crop(image, found)
            faces, crops = [face], [crop]
            remarks += said
        else:
            found = yield from find_faces(self.finder, image)
            faces, left_out = with_landmarks(found)
            crops = [aligned(image, face.landmarks) for face in faces]
            if left_out:
                remarks.append(f"Of {left_out} faces the landmarks are unknown: not judged")
        judged = yield from self.judge_faces(image, faces, crops, found or faces)
        if judged and self.calibration is None:
            remarks.append("No score: these weights have no calibration, see 'calibrate'")
        return Result(
            source=name,
            size=(image.shape[1], image.shape[0]),
            faces=tuple(judged),
            main=main_face(image.shape, faces),
            seen=len(found),
            remarks=tuple(remarks),
            calibration=self.calibration.sha256 if self.calibration else None,
            damage=tuple(damage),
        )

    def judge_faces(
        self,
        image: np.ndarray,
        faces: Sequence[Face],
        crops: Sequence[np.ndarray],
        seen: Sequence[Face],
    ) -> Steps:
        """A JudgedFace for each of ``faces``; ``seen`` are all that the image shows."""
        side = self.network.config.img_size
        rows = yield Ask(self.network.name, [_input(crop, side) for crop in crops])
        return [
            self._judged(image, face, crop, seen, np.asarray(row))
            for face, crop, row in zip(faces, crops, rows, strict=True)
        ]

    def _judged(
        self,
        image: np.ndarray,
        face: Face,
        crop: np.ndarray,
        seen: Sequence[Face],
        row: np.ndarray,
    ) -> JudgedFace:
        raw = float(row[0])
        if not np.isfinite(raw):
            raise InputError(self.network.name, "gave no number", "use other weights")
        scale = self.calibration
        score = scale.score(raw) if scale else None
        found = measure(image, face, crop, seen)
        return JudgedFace(
            face=face,
            raw=raw,
            score=score,
            percentile=scale.percentile(raw) if scale else None,
            word=scale.word(score) if scale and score is not None else None,
            components=found,
            reasons=reasons(found, of_crop=self.settings.aligned),
            crop=crop,
            embedding=row[1:].copy() if self.settings.embed else None,
        )

    def _crop(self, image: np.ndarray, found: Sequence[Face]) -> tuple[Face, np.ndarray, list[str]]:
        """A picture that is said to be a crop: its face, the crop at the template's size, and what
        is to be said about it."""
        height, width = image.shape[:2]
        said = ["Eye distance, head size and margins are those of the crop"]
        scale = np.array([image.shape[1], image.shape[0]]) / TEMPLATE_SIZE
        size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
        kind = cv2.INTER_AREA if scale.min() > 1 else cv2.INTER_LINEAR
        crop = image
        if image.shape[:2] != size:
            crop = cv2.resize(image, size, interpolation=kind)
            word = "scaled" if width == height else "stretched"
            said.append(f"The crop has {width} x {height} pixels: {word} to 112 x 112")
        if len(found) > 1:
            said.append(f"{len(found)} faces are seen in this crop: the main one is judged")
        if not found:
            landmarks = (TEMPLATE * scale).astype(np.float32)
            x0, y0, x1, y1 = (np.reshape(USUAL_BOX, (2, 2)) * scale).ravel().tolist()
            usual = Face((x0, y0, x1, y1), 0.0, landmarks)
            return usual, crop, [*said, "No face is found in this crop: it is judged as it is"]
        face = found[main_face(image.shape, found) or 0]
        off = np.linalg.norm(face.landmarks / scale - TEMPLATE, axis=1).mean()
        off /= np.linalg.norm(TEMPLATE[1] - TEMPLATE[0])
        if off <= OFF_TEMPLATE:
            return face, crop, said
        where = f"The landmarks are {off:.2f} eye distances off the template"
        if self.settings.realign:
            return face, aligned(image, face.landmarks), [*said, f"{where}: aligned anew"]
        return face, crop, [*said, f"{where}: take --realign, or leave out --aligned"]


def _input(crop: np.ndarray, side: int) -> np.ndarray:
    """uint8 (3, side, side)."""
    if crop.shape[0] != side:
        crop = cv2.resize(crop, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(crop.transpose(2, 0, 1))


def load(
    weights: str | None = None,
    *,
    aligned: bool = False,
    realign: bool = False,
    exit_block: int | None = None,
    embed: bool = False,
    calibration: Path | str | None = None,
    detector: str = "bundled",
    engine: str = "auto",
    device: str = "auto",
) -> QualityJob:
    """A job with weights by name or file, a calibration file in place of the weights' own, and a
    face detector as ``vitrail.faces.detector.load_finder`` takes it."""
    options = Options(aligned, realign, exit_block, embed)
    network = load_network(weights or BUNDLED, exit_block=exit_block, embeds=embed)
    if not network.is_own:
        warn(system.name, LICENCE)
    if detector == "dlib":
        raise UsageError("--detector dlib", "gives no landmarks to align by", "take bundled")
    read = read_calibration(Path(calibration)) if calibration else None
    if read and read.weights not in ("", network.identity):
        problem = "belongs to other weights, or to another --exit-block"
        raise InputError(str(calibration), problem, "calibrate anew for these")
    finder = load_finder(detector, engine=engine, device=device)
    return QualityJob(network, finder, options, read, engine=engine, device=device)

"""The best pictures of each person in a video."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from face_quality.crops import aligned, with_landmarks
from face_quality.result import JudgedFace
from vitrail.faces.align import crop, crop_box
from vitrail.faces.face import Face
from vitrail.faces.follow import link
from vitrail.job import Steps
from vitrail.preprocess.frames import FrameSource, chunks, open_frames
from vitrail.sources import Source

if TYPE_CHECKING:
    from face_quality.job import QualityJob

CHUNK = 8  # frames that are in memory together
LOOKS = 5.0  # a second, unless told otherwise
MARGIN = 0.35  # around the face in a written crop, in its sides


@dataclass(frozen=True)
class Wanted:
    """``number`` of shots of each person, at least ``gap`` seconds apart, of every ``every``-th
    frame (None: five a second, all images of a folder); a track of fewer than ``min_frames`` faces
    is left out."""

    number: int = 3
    every: int | None = None
    gap: float = 1.0
    min_frames: int = 2


@dataclass(frozen=True, eq=False)
class Shot:
    """One face of one frame; ``picture`` is the face with what is around it, uint8 (H, W, 3)."""

    frame: int
    time: float
    judged: JudgedFace
    picture: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        return {"frame": self.frame, "time": round(self.time, 3), **self.judged.to_dict()}


@dataclass(frozen=True, eq=False)
class Track:
    """One person: when the face was seen first and last, in how many of the searched frames, and
    the best shots, the best first. ``scores`` are (time, raw) of all."""

    number: int
    frames: int
    scores: tuple[tuple[float, float], ...]
    shots: tuple[Shot, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "track": self.number,
            "first": round(self.scores[0][0], 3),
            "last": round(self.scores[-1][0], 3),
            "frames": self.frames,
            "shots": [shot.to_dict() for shot in self.shots],
        }


@dataclass(frozen=True, eq=False)
class Shots:
    """What came of one video or folder of frames."""

    source: str
    searched: int
    tracks: tuple[Track, ...]
    remarks: tuple[str, ...]
    damage: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        tracks = [track.to_dict() for track in self.tracks]
        return {"searched": self.searched, "remarks": list(self.remarks), "tracks": tracks}

    def cells(self) -> dict[str, str]:
        best = (
            f"person {track.number}: "
            + ", ".join(f"{shot.time:.1f} s ({shot.judged.shown})" for shot in track.shots)
            for track in self.tracks
        )
        return {
            "frames": str(self.searched),
            "people": str(len(self.tracks)),
            "best shots": "; ".join(best) or "no face is found",
            "remarks": "; ".join([*self.remarks, *self.damage]),
        }


class BestShotJob:
    """Videos and folders of frames in, the best shots of each person out."""

    def __init__(self, job: "QualityJob", wanted: Wanted):
        self.job, self.wanted = job, wanted
        self.model, self.version, self.networks = job.model, job.version, job.networks

    @property
    def options(self) -> dict[str, Any]:
        return {**self.job.options, **asdict(self.wanted)}

    def process(self, source: Source) -> Steps:
        reader = open_frames(source.path)
        seen: list[tuple[int, float, list[JudgedFace]]] = []
        every = self.wanted.every or max(1, round((reader.fps or LOOKS) / LOOKS))
        unjudged = 0
        for frames in chunks(reader.frames(range(0, reader.frame_count, every)), CHUNK):
            found = yield from self.job.finder.find([frame.image for frame in frames])
            for frame, faces in zip(frames, found, strict=True):
                known, left_out = with_landmarks(faces)
                unjudged += left_out
                judged = yield from self._judge(frame.image, known, faces)
                seen.append((frame.index, frame.time, judged))
        numbers = link([[one.face for one in faces] for _, _, faces in seen])
        tracks: dict[int, list[tuple[int, float, JudgedFace]]] = {}
        for (index, time, faces), given in zip(seen, numbers, strict=True):
            for face, number in zip(faces, given, strict=True):
                tracks.setdefault(number, []).append((index, time, face))
        # The last track is not less than the others: whoever is there at the end is kept too.
        long = [track for track in tracks.values() if len(track) >= self.wanted.min_frames]
        chosen = [self._choose(track) for track in long]
        pictures = _pictures(reader, chosen)
        remarks = []
        if short := len(tracks) - len(long):
            kept = self.wanted.min_frames
            remarks.append(f"{short} tracks of fewer than {kept} faces are left out")
        if unjudged:
            remarks.append(f"Of {unjudged} faces the landmarks are unknown: not judged")
        if reader.fps is None and reader.frame_count > 1:
            remarks.append("Its frames have no times: they count as a second apart")
        if lost := sum(map(len, chosen)) - len(pictures):
            remarks.append(f"{lost} chosen frames could not be read again: left out")
        return Shots(
            source=source.name,
            searched=len(seen),
            tracks=tuple(
                Track(
                    number,
                    len(track),
                    tuple((time, face.raw) for _, time, face in track),
                    tuple(
                        Shot(index, time, face, pictures[index, id(face)])
                        for index, time, face in best
                        if (index, id(face)) in pictures
                    ),
                )
                for number, (track, best) in enumerate(zip(long, chosen, strict=True))
            ),
            remarks=tuple(remarks),
            damage=tuple(dict.fromkeys(reader.damage)),
        )

    def _judge(self, image: np.ndarray, known: Sequence[Face], seen: Sequence[Face]) -> Steps:
        crops = [aligned(image, face.landmarks) for face in known]
        judged = yield from self.job.judge_faces(image, known, crops, seen)
        # Of hours nothing large may stay in memory.
        return [replace(one, crop=one.crop[:0].copy()) for one in judged]

    def _choose(self, track: Sequence[tuple[int, float, JudgedFace]]) -> list[tuple]:
        """The best shots of a track, the best first, none within ``gap`` of a better one."""
        best: list[tuple[int, float, JudgedFace]] = []
        for one in sorted(track, key=lambda seen: -seen[2].raw):
            if all(abs(one[1] - other[1]) >= self.wanted.gap for other in best):
                best.append(one)
            if len(best) == self.wanted.number:
                break
        return best


def _pictures(
    reader: FrameSource, chosen: Sequence[Sequence[tuple]]
) -> dict[tuple[int, int], np.ndarray]:
    """The chosen faces by frame and face, cut out of frames that are read once more: so no frame is
    kept in memory."""
    by_frame: dict[int, list[JudgedFace]] = {}
    for best in chosen:
        for index, _, face in best:
            by_frame.setdefault(index, []).append(face)
    found = {}
    if by_frame:
        for frame in reader.frames(sorted(by_frame)):
            for face in by_frame[frame.index]:
                found[frame.index, id(face)] = crop(frame.image, crop_box(face.face, MARGIN))
    return found

"""The best pictures of each person in a video."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from face_quality.crops import aligned
from face_quality.result import JudgedFace
from vitrail.errors import InputError
from vitrail.faces.align import crop, crop_box
from vitrail.faces.follow import link
from vitrail.job import Steps
from vitrail.preprocess.image import read_image
from vitrail.preprocess.video import Frame, open_video
from vitrail.sources import Source, image_files

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
            + ", ".join(f"{shot.time:.1f} s ({_shown(shot.judged)})" for shot in track.shots)
            for track in self.tracks
        )
        return {
            "frames": str(self.searched),
            "people": str(len(self.tracks)),
            "best shots": "; ".join(best) or "no face is found",
            "remarks": "; ".join([*self.remarks, *self.damage]),
        }


def _shown(face: JudgedFace) -> str:
    return f"raw {face.raw:.3f}" if face.score is None else f"{face.score:.0f}"


class BestShotJob:
    """Videos and folders of frames in, the best shots of each person out."""

    def __init__(self, job: "QualityJob", wanted: Wanted):
        self.job, self.wanted = job, wanted
        self.model, self.version, self.networks = job.model, job.version, job.networks

    @property
    def options(self) -> dict[str, Any]:
        return {**self.job.options, **asdict(self.wanted)}

    def process(self, source: Source) -> Steps:
        reader = _Folder(source.path) if source.path.is_dir() else _Video(source.path)
        seen: list[tuple[int, float, list[JudgedFace]]] = []
        every = self.wanted.every or reader.usual_step
        for frames in _chunks(reader.frames(range(0, reader.count, every))):
            found = yield from self.job.finder.find([frame.image for frame in frames])
            for frame, faces in zip(frames, found, strict=True):
                judged = yield from self._judge(frame.image, faces)
                seen.append((frame.index, frame.time, judged))
        numbers = link([[one.face for one in faces] for _, _, faces in seen])
        tracks: dict[int, list[tuple[int, float, JudgedFace]]] = {}
        for (index, time, faces), given in zip(seen, numbers, strict=True):
            for face, number in zip(faces, given, strict=True):
                tracks.setdefault(number, []).append((index, time, face))
        # The last track is not less than the others: whoever is there at the end is kept too.
        long = [track for track in tracks.values() if len(track) >= self.wanted.min_frames]
        chosen = [self._choose(track) for track in long]
        pictures = self._pictures(reader, chosen)
        short = len(tracks) - len(long)
        said = f"{short} tracks of fewer than {self.wanted.min_frames} faces are left out"
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
                    ),
                )
                for number, (track, best) in enumerate(zip(long, chosen, strict=True))
            ),
            remarks=(said,) if short else (),
            damage=tuple(reader.damage),
        )

    def _judge(self, image: np.ndarray, faces: Sequence) -> Steps:
        faces = [face for face in faces if np.ptp(face.landmarks, axis=0).max() > 1]
        crops = [aligned(image, face.landmarks) for face in faces]
        return (yield from self.job.judge_faces(image, faces, crops))

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
        self, reader: "_Folder | _Video", chosen: Sequence[Sequence[tuple]]
    ) -> dict[tuple[int, int], np.ndarray]:
        """The chosen faces by frame and face, cut out of frames that are read once more: so no
        frame is kept in memory."""
        by_frame: dict[int, list[JudgedFace]] = {}
        for best in chosen:
            for index, _, face in best:
                by_frame.setdefault(index, []).append(face)
        found = {}
        for frame in reader.frames(sorted(by_frame)):
            for face in by_frame[frame.index]:
                box = crop_box(face.face, MARGIN)
                found[frame.index, id(face)] = crop(frame.image, box)
        return found


class _Video:
    """Frames of a video by number."""

    def __init__(self, path: Path):
        self.reader = open_video(path)
        self.count = self.reader.frame_count
        self.usual_step = max(1, round(self.reader.fps / LOOKS))

    @property
    def damage(self) -> list[str]:
        return list(dict.fromkeys(self.reader.damage))

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        return self.reader.frames(indices)


class _Folder:
    """Images of a folder in their order, a second apart."""

    usual_step = 1

    def __init__(self, path: Path):
        self.paths = image_files(path)
        if not self.paths:
            raise InputError(
                path, "the folder holds no picture", "name a video or a folder of frames"
            )
        self.count, self.troubles = len(self.paths), dict[int, str]()

    @property
    def damage(self) -> list[str]:
        return list(self.troubles.values())

    def frames(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        for index in indices:
            name, found = self.paths[index].name, list[str]()
            try:
                yield Frame(index, float(index), read_image(self.paths[index], damage=found))
            except InputError as error:
                self.troubles[index] = f"{name} is left out: {error.reason}"
            if found:
                self.troubles[index] = f"{name}: {found[0]}"


def _chunks(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    chunk: list[Frame] = []
    for frame in frames:
        chunk.append(frame)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

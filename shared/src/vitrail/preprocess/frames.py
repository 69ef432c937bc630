"""Where frames come from: a video, an image, an animation, a folder of images, an array in memory,
behind one interface."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from vitrail.errors import InputError
from vitrail.preprocess.image import count_pages, read_image
from vitrail.preprocess.jpeg import has_film
from vitrail.preprocess.kinds import Kind, kind_of
from vitrail.preprocess.sequences import are_frames_of_one_clip
from vitrail.preprocess.video import Frame, open_video
from vitrail.sources import image_files, natural_sorted, walk

MAX_CHUNK = 16  # frames that are in memory together
MAX_PIXELS = 32_000_000  # of them, so that large ones come in smaller chunks


class FrameSource(Protocol):
    """Frames by index. ``fps`` is None where frames have no time; then ``Frame.time`` is the
    frame's number.

    ``damage`` fills while frames are read and holds one sentence per trouble; ``facts`` says for
    people what the source is.
    """

    @property
    def frame_count(self) -> int: ...

    @property
    def fps(self) -> float | None: ...

    @property
    def damage(self) -> list[str]: ...

    @property
    def facts(self) -> Mapping[str, str]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]: ...


class _Timeless:
    """Frames without time, of which nothing stays open between two reads."""

    fps: float | None = None
    frame_count: int

    @property
    def facts(self) -> Mapping[str, str]:
        return {"images": str(self.frame_count)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to release."""


class Images(_Timeless):
    """Image files as the frames of one sequence; one that cannot be read is skipped and told in
    ``damage``."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        self.frame_count = len(self.paths)
        self.damage: list[str] = []

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        failed = []
        for index in indices:
            path, found = self.paths[index], list[str]()
            try:
                image = read_image(path, damage=found)
            except InputError as error:
                failed.append(error)
                if len(failed) == len(indices):
                    raise (
                        error
                        if len(indices) == 1
                        else InputError(
                            self.paths[index].parent,
                            f"none of its {len(indices)} images can be read",
                            error.problem,
                        )
                    ) from error
                self.damage.append(str(error))
                continue
            if has_film(path):
                found.append("it is a motion photo, of whose film nothing was looked at")
            whose = "" if len(self.paths) == 1 else f"{path.name}: "
            self.damage += [f"{whose}{sentence}" for sentence in found]
            yield Frame(index, float(index), image)


class Arrays(_Timeless):
    """uint8 RGB arrays (H, W, 3) in memory, or one of shape (T, H, W, 3)."""

    def __init__(self, images: Sequence[np.ndarray] | np.ndarray):
        self.images = images
        self.frame_count = len(images)
        self.damage: list[str] = []

    @classmethod
    def of(cls, images: np.ndarray) -> Self:
        """One image (H, W, 3) or several (T, H, W, 3); InputError for another array."""
        images = np.asarray(images)
        is_image = images.ndim in (3, 4) and images.shape[-1] == 3 and images.size
        if images.dtype != np.uint8 or not is_image:
            problem = f"is {images.dtype} of shape {images.shape}"
            raise InputError("array", problem, "give uint8 RGB (H, W, 3) or (T, H, W, 3)")
        return cls(images if images.ndim == 4 else images[None])

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            yield Frame(index, float(index), self.images[index])


class Pages(_Timeless):
    """The frames of an animation, or the pages of a TIFF."""

    def __init__(self, path: Path, count: int):
        self.path, self.frame_count = path, count
        self.damage: list[str] = []

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        read = 0
        for index in indices:
            try:
                image = read_image(self.path, index)
            except InputError:
                if index == indices[-1] and not read:
                    raise
                self.damage.append(f"its frame {index + 1} of {self.frame_count} cannot be read")
                continue
            read += 1
            yield Frame(index, float(index), image)


def open_frames(source: Path) -> FrameSource:
    """Opens a video, an image, an animation or a folder of images; InputError says why not. What
    a file is, its bytes say before its name does."""
    if source.is_dir():
        images = image_files(source)
        if not images:
            raise InputError(
                source,
                "the folder holds no image and no video",
                "name a folder of frames or a video",
            )
        return Images(images)
    if kind_of(source) is not Kind.IMAGE:
        return open_video(source)
    pages = count_pages(source)
    return Pages(source, pages) if pages > 1 else Images([source])


def chunks(frames: Iterable[Frame], together: int = MAX_CHUNK) -> Iterator[list[Frame]]:
    """The frames in lists of one size of image, of at most ``together`` and ``MAX_PIXELS``."""
    chunk: list[Frame] = []
    for frame in frames:
        if chunk and frame.image.shape != chunk[0].image.shape:
            yield chunk
            chunk = []
        chunk.append(frame)
        if len(chunk) == together or len(chunk) * frame.image[..., 0].size >= MAX_PIXELS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def left_out(folder: Path, found: Sequence[Path]) -> list[Path]:
    """The files below ``folder``, but for hidden ones, that belong to none of its sources; and
    results of earlier calls."""
    taken = set(found)
    for source in found:
        if source.is_dir():
            taken.update(image_files(source))
    tree = walk(folder)
    files = [path for path in tree.files if path not in taken]
    return natural_sorted([*files, *tree.results])


def find_sources(folder: Path) -> list[Path]:
    """What a folder stands for: one of images alone that are frames of one clip is one sequence.

    Of any other each video and each image is a source, photographs of whomever too, and its
    sub-folders follow the same rule.
    """
    tree = walk(folder)
    for fault in tree.faults.values():
        raise fault
    media = {
        place: [file for file in files if file.is_file() and kind_of(file)]
        for place, files in tree.folders.items()
    }
    found: list[Path] = []
    for place, files in media.items():
        alone = not any(place in other.parents and media[other] for other in media)
        sequence = bool(files) and alone and files == image_files(place)
        found += [place] if sequence and are_frames_of_one_clip(files) else files
    return found or [folder]

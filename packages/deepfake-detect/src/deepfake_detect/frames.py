"""Where frames come from: a video, a picture, a folder of pictures, an array in memory, behind one
interface."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from vitrail.errors import InputError
from vitrail.preprocess.image import read_image
from vitrail.preprocess.video import Frame, open_video
from vitrail.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_sorted, image_files


class FrameSource(Protocol):
    """Frames by index. ``fps`` is None where frames have no time; then ``Frame.time`` is the
    frame's number.

    ``damage`` fills while frames are read and holds one sentence a trouble.
    """

    frame_count: int
    fps: float | None
    damage: list[str]

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]: ...


class Pictures:
    """Pictures as the frames of one sequence; one that cannot be read is skipped and told in
    ``damage``."""

    fps = None

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        self.frame_count = len(self.paths)
        self.damage: list[str] = []

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        failed = []
        for index in indices:
            try:
                image = read_image(self.paths[index])
            except InputError as error:
                failed.append(error)
                if len(failed) == len(indices):
                    raise (
                        error
                        if len(indices) == 1
                        else InputError(
                            self.paths[index].parent,
                            f"none of its {len(indices)} pictures can be read",
                            error.problem,
                        )
                    ) from error
                self.damage.append(str(error))
                continue
            yield Frame(index, float(index), image)


class Arrays:
    """uint8 RGB arrays (H, W, 3) in memory, or one of shape (T, H, W, 3)."""

    fps = None

    def __init__(self, images: Sequence[np.ndarray]):
        self.images = images
        self.frame_count = len(images)
        self.damage: list[str] = []

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            yield Frame(index, float(index), self.images[index])


def open_frames(source: Path) -> FrameSource:
    """Opens a video, a picture or a folder of pictures; InputError says why not."""
    if source.is_dir():
        pictures = image_files(source)
        if not pictures:
            raise InputError(
                source,
                "the folder holds no picture and no video",
                "name a folder of frames or a video",
            )
        return Pictures(pictures)
    if source.suffix.lower() in IMAGE_SUFFIXES:
        return Pictures([source])
    return open_video(source)


def find_sources(paths: Sequence[Path]) -> list[Path]:
    """What a call's paths stand for: a folder of pictures alone is one sequence, a file is itself.

    Of any other folder each video and each picture is a source, and its sub-folders follow the same
    rule.
    """
    found = []
    for path in paths:
        found += _in_folder(path) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _in_folder(folder: Path) -> list[Path]:
    try:
        entries = natural_sorted(
            entry for entry in folder.iterdir() if not entry.name.startswith(".")
        )
    except OSError as error:
        raise InputError(
            folder, f"the folder cannot be read ({error.strerror})", "check its permissions"
        ) from error
    files = [entry for entry in entries if entry.is_file()]
    folders = [entry for entry in entries if entry.is_dir()]
    media = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES]
    if media and not folders and all(file.suffix.lower() in IMAGE_SUFFIXES for file in media):
        return [folder]
    nested = [
        source
        for child in folders
        for source in _in_folder(child)
        if source != child or image_files(child)
    ]
    return media + nested or [folder]

"""Videos and images to face crops, once, for training on them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

from deepfake_detect.decide.crops import CropRule, cut_square
from deepfake_detect.decide.frames import chunks, open_frames
from vitrail.errors import VitrailError
from vitrail.faces.find import Finder
from vitrail.output import atomic_folder
from vitrail.preprocess.video import sample_indices

MAX_CROP = 256  # pixels; networks see less


def extract_faces(
    sources: Mapping[Path, Path], finder: Finder, rule: CropRule, *, frames: int = 16
) -> Iterator[tuple[Path, int | VitrailError]]:
    """Cuts the largest face of evenly spaced ``frames`` of each source, by ``rule``, into PNG files
    of its own folder.

    ``sources`` gives each source's folder; one that exists is left as it is, so that an interrupted
    job goes on. Yields each source with the number of its crops, or with the error for which it has
    none.
    """
    for source, folder in sources.items():
        try:
            if not folder.is_dir():
                _extract(source, folder, finder, rule, frames)
            yield source, sum(1 for _ in folder.glob("*.png"))
        except VitrailError as error:
            yield source, error


def _extract(source: Path, folder: Path, finder: Finder, rule: CropRule, frames: int) -> None:
    with open_frames(source) as reader, atomic_folder(folder) as temporary:
        indices = sample_indices(reader.frame_count, number=frames, rate=None, fps=reader.fps)
        for chunk in chunks(reader.frames(sorted(set(indices)))):
            found = finder.predict([frame.image for frame in chunk])
            for frame, faces in zip(chunk, found, strict=True):
                if faces:
                    square = rule.square(max(faces, key=lambda face: face.size))
                    crop = cut_square(frame.image, square, min(square[2] - square[0], MAX_CROP))
                    Image.fromarray(crop).save(temporary / f"{frame.index:06d}.png")

"""A result as a file: the coloured image in the source's format."""

from pathlib import Path

from image_colorize.placing import free_place, holds
from image_colorize.result import Result
from vitrail.errors import InputError
from vitrail.output import atomic_file
from vitrail.preprocess.image_whole import SUFFIXES, WholeImage, encode_whole

INFIX = ".colorized"
OWN_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg"},
    "PNG": {".png"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
}


def write(result: Result, folder: Path) -> None:
    """Puts the coloured image, where there is one, into ``folder`` under the source's name."""
    if not result.was_left_alone:
        name = Path(result.source).stem + suffix_of(result)
        (folder / name).write_bytes(coloured_file(result))


def write_beside(result: Result, *, overwrite: bool = False) -> Path | None:
    """Writes the coloured image as ``NAME.colorized.EXT`` beside the source and returns its path.

    A file that is there stays, unless ``overwrite``: where it holds the same, nothing is written,
    else the new one gets a number. None where the image was left alone.
    """
    if result.was_left_alone or result.path is None:
        return None
    data = coloured_file(result)
    wished = result.path.with_name(result.path.stem + INFIX + suffix_of(result))
    target = free_place(wished, data, overwrite=overwrite)
    if target is None:
        raise InputError(result.source, "has too many coloured copies beside it", "move some away")
    if not holds(target, data):
        with atomic_file(target) as temporary:
            temporary.write_bytes(data)
    return target


def suffix_of(result: Result) -> str:
    """The ending of the coloured file: the source's own where it names the same format."""
    own, kind = Path(result.source).suffix, result.written_as
    return own if own.lower() in OWN_SUFFIXES[kind] else SUFFIXES[kind]


def coloured_file(result: Result) -> bytes:
    """The coloured image as the bytes of a file."""
    image = result.image
    coloured = WholeImage(
        result.rgb(), image.alpha, image.format, image.exif, image.dpi, image.remarks
    )
    return encode_whole(coloured, result.written_as)

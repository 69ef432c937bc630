"""What the command is given, as images with their hint files, and where their results belong."""

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from image_colorize.hints import SUFFIX
from image_colorize.job import source_of
from image_colorize.placing import made_before
from image_colorize.writing import INFIX
from vitrail.errors import InputError, UsageError
from vitrail.keeping import ROWS_FILE
from vitrail.say import warn, warn_left_out
from vitrail.sources import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Source,
    expand_sources,
    open_folders,
    require_file,
    walk,
)


def find_sources(
    arguments: Sequence[str], hints: Path | None, command: str, *, quiet: bool = False
) -> dict[Source, Path]:
    """Each image with its hint file, where it has one, and its path below what was named: the
    folder, the fixed part of a pattern, or nothing but its name.

    Of a folder all images below it, but not those that this command made.
    """

    def inside(folder: Path) -> list[Path]:
        return _images(folder, command, quiet=quiet)

    found: dict[Source, Path] = {}
    for argument in arguments:
        for one in expand_sources([argument]):
            top = one.paths[0] if one.paths and os.path.isdir(one.path) else _fixed_part(argument)
            for image in open_folders([one], inside):
                if image.fault:
                    found.setdefault(image, Path())
                else:
                    source = source_of(image.path, hints)
                    found.setdefault(source, _below(image.path, top))
    return found


def find_films(
    arguments: Sequence[str], hints: Path | None, command: str, *, quiet: bool = False
) -> dict[Source, Path]:
    """Each film with its hint file, where it has one, and its coloured one's path below what was
    named. Of a folder all films below it, but not those that this command made."""

    def inside(folder: Path) -> list[Path]:
        files = walk(folder).files
        films = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
        found = [path for path in films if INFIX not in path.stem]
        if not found:
            raise InputError(folder, "the folder holds no film", "name a folder of films")
        if not quiet:
            others = [path for path in _unknown(files) if path not in films]
            warn_left_out(command, folder, others, "not named as films")
        return found

    found: dict[Source, Path] = {}
    for one in expand_sources(arguments):
        top = one.paths[0] if one.paths and os.path.isdir(one.path) else None
        for film in open_folders([one], inside):
            source = film if film.fault else source_of(film.path, hints)
            below = Path("film") if film.fault else _below(film.path, top)
            found.setdefault(source, below.with_name(f"{below.stem}{INFIX}.mp4"))
    return found


def require_option_file(path: Path | None, option: str) -> None:
    """UsageError where an option names what is not a file."""
    if path is None:
        return
    try:
        require_file(path)
    except InputError as error:
        raise UsageError(str(path), error.problem, f"check {option}") from error


def _images(folder: Path, command: str, *, quiet: bool) -> list[Path]:
    tree = walk(folder)
    named = [path for path in tree.files if path.suffix.lower() in IMAGE_SUFFIXES]
    made = made_before(tree.folders)
    images = [path for path in named if INFIX not in path.stem and path.resolve() not in made]
    if not images:
        raise InputError(folder, "the folder holds no image", "name a folder of photographs")
    others = [path for path in _unknown(tree.files) if path not in named]
    for place, fault in tree.faults.items():
        warn(command, f"{place}: {fault.reason}")
    if not quiet:
        warn_left_out(command, folder, others, "not named as images")
    return images


def _unknown(files: Iterable[Path]) -> list[Path]:
    return [path for path in files if SUFFIX not in path.name and path.name != ROWS_FILE]


def _fixed_part(argument: str) -> Path | None:
    """The folders of a pattern before its first wildcard; None for a plain path."""
    if not glob.has_magic(argument) or os.path.exists(argument):
        return None
    parts = Path(argument).parts
    return Path(*parts[: next(n for n, part in enumerate(parts) if glob.has_magic(part))])


def _below(image: Path, top: Path | None) -> Path:
    return image.relative_to(top) if top and image.is_relative_to(top) else Path(image.name)

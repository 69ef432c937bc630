"""What the user names, as cubes: an ENVI header and its data file are one."""

from collections.abc import Sequence
from pathlib import Path

from hsi_classify.files.envi import data_of, header_of, read_header
from vitrail.errors import InputError, VitrailError
from vitrail.sources import Source, expand_sources, natural_sorted, open_folders

SUFFIXES = frozenset({".hdr", ".mat", ".npy", ".tif", ".tiff"})


def find_cubes(arguments: Sequence[str]) -> list[Source]:
    """Files, folders and patterns as sources; a header and its data file become one, named as the
    first of them was given."""
    found: dict[tuple[Path, ...], Source] = {}
    for source in open_folders(expand_sources(arguments), _inside):
        cube = source if source.fault else _cube(source)
        found.setdefault(cube.paths or (Path(cube.name),), cube)
    return list(found.values())


def _cube(source: Source) -> Source:
    try:
        path = source.path
        if not (path.is_file() and (header := header_of(path))):
            return source
        if path != header:
            return Source(source.name, (header, path))
        return Source(source.name, (header, data_of(header, read_header(header))))
    except (VitrailError, OSError, ValueError):  # its reader says it better
        return source


def _inside(folder: Path) -> list[Path]:
    files = natural_sorted(path for path in folder.iterdir() if path.is_file())
    cubes = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not cubes:
        raise InputError(folder, "holds no cube", "name a folder of .hdr, .tif, .mat or .npy")
    return cubes

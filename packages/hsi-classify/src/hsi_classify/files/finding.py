"""What the user names, as cubes: an ENVI header and its data file are one."""

from collections.abc import Sequence
from pathlib import Path

from hsi_classify import system
from hsi_classify.files.envi import data_of, header_of, read_header
from vitrail.errors import InputError, VitrailError
from vitrail.say import warn, warn_left_out
from vitrail.sources import Source, expand_sources, open_folders, walk

SUFFIXES = frozenset({".hdr", ".mat", ".npy", ".tif", ".tiff"})


def find_cubes(arguments: Sequence[str], *, quiet: bool = False) -> list[Source]:
    """Files, folders and patterns as sources; a header and its data file become one, named as the
    first of them was given. Of a folder all cubes below it, but no results of earlier calls; unless
    ``quiet``, a line names the other files."""
    found: dict[tuple[Path, ...], Source] = {}
    for source in open_folders(expand_sources(arguments), lambda top: _inside(top, quiet)):
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


def _inside(top: Path, quiet: bool) -> list[Path]:
    tree = walk(top)
    cubes = [path for path in tree.files if path.suffix.lower() in SUFFIXES]
    for place, fault in tree.faults.items():
        warn(system.name, f"{place}: {fault.reason}")
    if not cubes:
        raise InputError(top, "holds no cube", "name a folder of .hdr, .tif, .mat or .npy")
    if not quiet:
        taken = {part for path in cubes for part in _cube(Source.of(path)).paths}
        others = [path for path in tree.files if path not in taken]
        warn_left_out(system.name, top, others, "named as no cube")
    return cubes

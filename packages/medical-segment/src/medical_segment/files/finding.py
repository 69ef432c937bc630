"""Which cases the user means: files, series of slices, and all that lies below a folder."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from medical_segment.files.kinds import DICOMDIR, SCAN_SUFFIXES, is_dicom
from vitrail.companions import companions
from vitrail.errors import InputError
from vitrail.say import warn_left_out
from vitrail.sources import IMAGE_SUFFIXES, Source, expand_sources, natural_sorted, walk

CHANNEL = re.compile(
    r"(?P<case>.+)_(?P<number>\d{4})(?P<suffix>\.nii(\.gz)?|\.png|\.tiff?)", re.IGNORECASE
)
COMMAND = "medical-segment"


class Input(NamedTuple):
    """One channel: a file, or DICOM slices, whose folder ``path`` is or who is ``path`` alone."""

    path: Path
    slices: tuple[Path, ...] = ()

    @classmethod
    def of(cls, path: Path) -> "Input":
        """A folder with all DICOM files below it, or a file."""
        return cls(path, tuple(dicom_files(path)))


@dataclass(frozen=True)
class Case(Source):
    """A source whose ``inputs`` are its channels, in the network's order. ``paths`` are all files
    that are read for them, so that its fingerprint covers them."""

    inputs: tuple[Input, ...] = ()

    @classmethod
    def of(cls, path: Path | str) -> "Case":
        return cls.of_inputs(str(path), [Path(path)])

    @classmethod
    def of_inputs(cls, name: str, inputs: Sequence[Path | Input]) -> "Case":
        known = [part if isinstance(part, Input) else Input.of(part) for part in inputs]
        paths = [file for part in known for file in (part.slices or [part.path])]
        return cls(name, tuple(paths), tuple(known))


def find_cases(arguments: Sequence[str], num_channels: int, *, quiet: bool = False) -> list[Case]:
    """What the user named, a case each: files as they are, but slices of one DICOM series together;
    of a folder the scans, series and images below it.

    Where the network has several channels, nnU-Net's files ``case_0001`` and up belong to
    ``case_0000`` and are not cases of their own. A folder that holds nothing to read has a
    ``fault``. Unless ``quiet``, a line names the files that are left out.
    """
    cases: list[Case] = []
    named: list[Path] = []
    for source in expand_sources(arguments):
        if source.fault:
            cases.append(Case(source.name, fault=source.fault))
        elif os.path.isdir(source.path):
            cases += _cases_in(source.path, quiet)
        elif is_dicom(source.path):
            named.append(source.path)
        else:
            cases.append(Case.of(source.path))
    cases += _series_of(named)
    files = {case.inputs[0].path for case in cases if case.inputs}
    kept = [
        case if case.fault else _with_channels(case, num_channels)
        for case in cases
        if case.fault or num_channels == 1 or not _belongs_to(case.inputs[0].path, files)
    ]
    return list(dict.fromkeys(kept))


def case_of(path: Path, num_channels: int) -> Case:
    """The case that ``path`` names: by nnU-Net's names with the files of its other channels, which
    need not be there."""
    return _with_channels(Case.of(path), num_channels)


def dicom_files(path: Path) -> list[Path]:
    """The DICOM files below a folder, naturally sorted, or the file itself where it is one."""
    if not os.path.isdir(path):
        return [path] if is_dicom(path) else []
    files = walk(path).files
    return natural_sorted(file for file in files if is_dicom(file))


def _with_channels(case: Case, num_channels: int) -> Case:
    path = case.inputs[0].path
    match = CHANNEL.fullmatch(path.name)
    if num_channels == 1 or not match or int(match["number"]) != 0:
        return case
    names = [f"{match['case']}_{number:04d}{match['suffix']}" for number in range(num_channels)]
    return Case.of_inputs(case.name, [path.with_name(name) for name in names])


def _belongs_to(path: Path, found: set[Path]) -> bool:
    match = CHANNEL.fullmatch(path.name)
    if not match or int(match["number"]) == 0:
        return False
    return path.with_name(f"{match['case']}_0000{match['suffix']}") in found


def _cases_in(top: Path, quiet: bool) -> list[Case]:
    """The cases at and below a folder; what cannot be opened and what holds none has a fault."""
    tree = walk(top)
    scans, slices, others = [], {}, []
    for folder, files in tree.folders.items():
        dicom = [file for file in files if is_dicom(file)]
        if dicom:
            slices[folder] = dicom
        known = set(dicom)
        rest = [file for file in files if file not in known]
        scans += [file for file in rest if _is_readable(file)]
        others += [file for file in rest if not _is_readable(file)]
    beside = {part for scan in scans for part in companions(scan)}
    others = [one for one in others if one.name.upper() != DICOMDIR and one not in beside]
    if not quiet:
        warn_left_out(COMMAND, top, others, "named as no scan and no image")
        warn_left_out(COMMAND, top, tree.results, "earlier results")
    series = [
        Case.of_inputs(str(place), [Input(place, tuple(files))])
        for place, files in _together(slices).items()
    ]
    cases = [*map(Case.of, scans), *series]
    faults = dict(tree.faults)
    if not cases and not faults:
        problem = "the folder holds no scan and no image"
        if tree.results:
            problem = "the folder holds nothing but earlier results"
        faults[top] = InputError(top, problem, "name a folder of cases")
    failed = [Case(str(place), fault=fault) for place, fault in faults.items()]
    order = natural_sorted(Path(case.name) for case in (*cases, *failed))
    return sorted([*cases, *failed], key=lambda case: order.index(Path(case.name)))


def _is_readable(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(SCAN_SUFFIXES) or path.suffix.lower() in IMAGE_SUFFIXES


def _together(folders: Mapping[Path, list[Path]]) -> dict[Path, list[Path]]:
    """Folders of slices as cases: those that share a series are one, under their common parent, as
    some archives deal the slices of a series out to several folders."""
    if len(folders) < 2:
        return dict(folders)
    from medical_segment.files.dicom import series_of

    groups = {place: (list(files), set(map(series_of, files))) for place, files in folders.items()}
    while pair := _sharing(groups):
        (first, second), top = pair, Path(os.path.commonpath(pair))
        merged = [groups.pop(place) for place in (first, second)]
        if top in groups:
            merged.append(groups.pop(top))
        files = natural_sorted(file for part, _ in merged for file in part)
        groups[top] = files, set().union(*(uids for _, uids in merged))
    return {place: files for place, (files, _) in groups.items()}


def _sharing(groups: Mapping[Path, tuple[list[Path], set[str]]]) -> tuple[Path, Path] | None:
    owners: dict[str, Path] = {}
    for place, (_, uids) in groups.items():
        for uid in uids - {""}:
            if owners.setdefault(uid, place) != place:
                return owners[uid], place
    return None


def _series_of(files: Iterable[Path]) -> list[Case]:
    """DICOM files that were named one by one: those of one series are a case, under their folder's
    name where it has no other."""
    files = list(files)
    if len(files) < 2:
        return [Case.of(file) for file in files]
    from medical_segment.files.dicom import series_of

    groups: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        groups[series_of(file) or str(file)].append(file)
    parents = {uid: Path(os.path.commonpath([f.parent for f in g])) for uid, g in groups.items()}
    cases = []
    for uid, group in groups.items():
        alone = list(parents.values()).count(parents[uid]) == 1
        place = group[0] if len(group) == 1 or not alone else parents[uid]
        cases.append(Case.of_inputs(str(place), [Input(place, tuple(natural_sorted(group)))]))
    return cases

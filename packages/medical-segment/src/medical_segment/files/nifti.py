"""NIfTI files, read within limits and written back on the same grid, with nothing of the
patient."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from medical_segment.files.volume import MAX_BYTES, MAX_VOXELS, Kind, Volume
from vitrail.errors import COPY_AGAIN, InputError, plain
from vitrail.sources import require_file

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header


def load_nibabel() -> ModuleType:
    """The package nibabel. It would load pydicom, for one kind of extension of a header, which
    takes three times as long as itself."""
    hidden = "pydicom" not in sys.modules
    if hidden:
        sys.modules["pydicom"] = None  # pyright: ignore[reportArgumentType]
    try:
        return import_module("nibabel")
    finally:
        if hidden:
            del sys.modules["pydicom"]


nibabel = load_nibabel()
Stream = BinaryIO | gzip.GzipFile
HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
ZOOMS = (1e-4, 1e4)  # mm per voxel that a scan can have
FORMS_APART = 0.5  # mm between sform and qform, from where on it is said
SHEARED = 1e-3  # of the volume between axes, likewise
PRIVATE = ("descrip", "aux_file", "db_name", "intent_name")  # free text, where scanners leave names


def read_nifti(path: Path) -> Volume:
    """A ``.nii`` or ``.nii.gz`` file, whatever its name; further axes than three become channels.

    Numbers keep their stored type unless the header scales them. Raises InputError for what is
    damaged, cut short, not numbers, over ``MAX_VOXELS``, or lies on no proper grid.
    """
    with plain(require_file(path), "is damaged", log="nibabel"), _unpacked(path) as stream:
        header = _read_header(path, stream)
        shape = _shape(path, header)
        header, affine, odd = grid_of(path, header)
        data = _read_data(path, stream, header, shape)
    data, damage = _scaled(path, header, data)
    spatial = data.ndim if data.ndim < 3 else 3
    channels = data.reshape(*data.shape[:spatial], -1, order="F")
    return Volume(
        np.moveaxis(channels, -1, 0), affine, Kind.nifti, header, (path,), damage=odd + damage
    )


def write_nifti(path: Path, values: np.ndarray, like: Volume) -> None:
    """``values`` (spatial…) or (spatial…, K) on the grid of ``like``; its sform, qform, zooms and
    trailing axes of length one stay bit for bit.

    Free text of the header and its extensions are left out, since they may name the patient.
    """
    if like.header is None:
        image = nibabel.Nifti1Image(values, like.affine)
        # ITK takes none but axes at right angles, and falls back to the qform, which cannot have
        # others: slices of a tilted gantry lie there straight, as its own reader of DICOM has them.
        image.set_qform(_upright(like.affine), 1)
        image.set_sform(like.affine, 1)
        image.header.set_xyzt_units("mm")
    else:
        header = like.header.copy()
        for name in PRIVATE:
            if name in header:  # NIfTI-2 has fewer
                header[name] = b""
        stored = tuple(int(n) for n in header["dim"][1 : int(header["dim"][0]) + 1])
        if len(stored) > values.ndim == 3 and stored == (*values.shape, *stored[3:]):
            values = values.reshape(stored)
        header["cal_max"] = header["cal_min"] = 0
        header.set_data_dtype(values.dtype)
        # The values are written as they are, so what scaled the input must not scale them.
        header["scl_slope"], header["scl_inter"] = 1, 0
        header["vox_offset"] = 0
        zooms = header["pixdim"].copy()
        header.set_data_shape(values.shape)
        header["pixdim"] = zooms  # setting the shape touches them
        kind = (
            nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        )
        image = kind(values, None, header)
    nibabel.save(image, path)


def _upright(affine: np.ndarray) -> np.ndarray:
    """The affine with axes at right angles: the first two as they are, the third as long as it is,
    but along their normal, which is what ITK makes of slices that are shifted."""
    across, down, step = affine[:3, :3].T
    normal = np.cross(across, down)
    length = np.linalg.norm(step) * np.sign(step @ normal)
    straight = affine.copy()
    straight[:3, 2] = normal * (length / np.linalg.norm(normal))
    return straight


@contextmanager
def _unpacked(path: Path) -> Iterator[Stream]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream


def _read_header(path: Path, stream: Stream) -> "Nifti1Header":
    start = stream.read(4)
    # The first number is the header's own size, and tells the byte order too.
    sizes = {int.from_bytes(start, order): order for order in ("little", "big")}
    size = next((size for size in HEADERS if size in sizes and len(start) == 4), None)
    if size is None:
        raise InputError(
            path, "is not a NIfTI file", "give .nii, .nii.gz, a DICOM folder, PNG or TIFF"
        )
    block = start + stream.read(size - 4)
    if len(block) < size:
        raise InputError(path, "is cut short", COPY_AGAIN)
    endianness = {"little": "<", "big": ">"}[sizes[size]]
    header = HEADERS[size](block, endianness=endianness, check=False)
    magic = bytes(header["magic"]).rstrip(b"\0\r\n\x1a")
    if not magic and size == 348 and path.suffix.lower() in (".hdr", ".img"):
        raise InputError(path, "is the header of an Analyze file", "convert it to .nii.gz")
    if magic in (b"ni1", b"ni2"):
        raise InputError(path, "is one half of a pair of files", "convert it to .nii.gz")
    if magic not in (b"n+1", b"n+2"):
        raise InputError(path, "has a damaged NIfTI header", COPY_AGAIN)
    return header


def _shape(path: Path, header: "Nifti1Header") -> tuple[int, ...]:
    """The stored shape without trailing axes of length one beyond the third."""
    rank = int(header["dim"][0])
    sizes = [int(n) for n in header["dim"][1 : rank + 1]] if 1 <= rank <= 7 else []
    if len(sizes) < 2 or min(sizes) < 1:
        raise InputError(path, "has a damaged NIfTI header (its sizes)", COPY_AGAIN)
    # As floats: the product of damaged sizes would wrap around.
    if np.prod(sizes, dtype=float) > MAX_VOXELS:
        raise InputError(
            path,
            "is too large ({} voxels)".format(" x ".join(map(str, sizes))),
            "crop or resample it",
        )
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    return tuple(sizes)


def grid_of(
    path: Path, header: "Nifti1Header"
) -> tuple["Nifti1Header", np.ndarray, tuple[str, ...]]:
    """A header that says one thing, the affine from voxels to millimetres, and remarks.

    The sform counts where there is one, else the qform. Where the sform is no grid and the qform is
    one, it takes the sform's place. InputError where neither is.
    """
    with np.errstate(all="ignore"):
        unit = MILLIMETRES.get(str(header.get_xyzt_units()[0]), 1.0)
        sform, qform = (_form(header, name, unit) for name in ("sform", "qform"))
        has_sform, has_qform = (int(header[f"{name}_code"]) > 0 for name in ("sform", "qform"))
        if has_sform and sform is None and has_qform and qform is not None:
            header = header.copy()
            header.set_sform(header.get_qform(), int(header["qform_code"]))
            return header, qform, ("its sform is no grid, and its qform was taken",)
        affine = sform if has_sform else qform if has_qform else _base(header, unit)
    if affine is None:
        raise InputError(
            path, "lies on no proper grid (its affine is singular or not finite)", "mend its header"
        )
    said = []
    if not (has_sform or has_qform):
        said.append("its header does not say how the patient lies; left and right are a guess")
    zooms, sizes = np.linalg.norm(affine[:3, :3], axis=0), np.abs(header["pixdim"][1:4]) * unit
    if has_sform and not np.allclose(
        sizes[: int(header["dim"][0])], zooms[: int(header["dim"][0])], rtol=0.01
    ):
        lists = (" x ".join(f"{n:.3g}" for n in part) for part in (zooms, sizes))
        said.append("its voxels are {} mm by its sform, {} mm by its pixdim".format(*lists))
    elif has_sform and has_qform and qform is not None:
        corner = np.array([*header.get_data_shape()[:3], 1, 1, 1])[:3] - 1
        apart = (sform - qform) @ np.array([[0, 0, 0, 1], [*corner, 1]]).T
        if (distance := float(np.abs(apart).max())) > FORMS_APART:
            said.append(f"its sform, which was taken, and its qform lie {distance:.3g} mm apart")
    if abs(np.linalg.det(affine[:3, :3] / zooms)) < 1 - SHEARED:
        said.append("its axes are not at right angles")
    return header, affine, tuple(said)


def _form(header: "Nifti1Header", name: str, unit: float) -> np.ndarray | None:
    """The header's sform or qform in millimetres; None where that is no grid."""
    try:
        affine = np.array(getattr(header, f"get_{name}")(), dtype=float)
    except Exception:  # a quaternion that is none
        return None
    return _proper(affine, unit)


def _base(header: "Nifti1Header", unit: float) -> np.ndarray | None:
    return _proper(np.array(header.get_base_affine(), dtype=float), unit)


def _proper(affine: np.ndarray, unit: float) -> np.ndarray | None:
    affine[:3] *= unit
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    good = np.isfinite(affine).all() and (zooms >= ZOOMS[0]).all() and (zooms <= ZOOMS[1]).all()
    if not good or abs(np.linalg.det(affine[:3, :3])) < 1e-3 * np.prod(zooms):
        return None
    return affine


def _read_data(
    path: Path, stream: Stream, header: "Nifti1Header", shape: tuple[int, ...]
) -> np.ndarray:
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InputError(
            path,
            "does not hold plain numbers (complex or colour)",
            "convert it to integers or floats",
        )
    # Read no more than the shape needs, whatever the file would unpack to.
    wanted = int(np.prod(shape)) * dtype.itemsize
    if wanted > MAX_BYTES:
        problem = f"is too large ({wanted / 1e9:.1f} GB)"
        raise InputError(path, problem, "store it with fewer bytes a voxel, or crop it")
    begin = float(header["vox_offset"])
    if not header.single_vox_offset <= begin <= 1 << 26:
        raise InputError(path, "has a damaged NIfTI header (its data's place)", COPY_AGAIN)
    _skip(stream, int(begin) - int(header.sizeof_hdr))
    content = stream.read(wanted)
    if len(content) < wanted:
        raise InputError(path, f"is cut short ({len(content)} of {wanted} bytes)", COPY_AGAIN)
    _check_rest(path, stream)
    return np.frombuffer(content, dtype).reshape(shape, order="F")


def _skip(stream: Stream, count: int) -> None:
    while count > 0 and (block := stream.read(min(count, 1 << 20))):
        count -= len(block)


def _check_rest(path: Path, stream: Stream) -> None:
    """Reads a packed stream's end, where its checksum lies."""
    if isinstance(stream, gzip.GzipFile) and len(stream.read(1 << 20)) == 1 << 20:
        raise InputError(path, "holds more than its header says", COPY_AGAIN)


def _scaled(
    path: Path, header: "Nifti1Header", data: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The values that are meant, and what was odd about them."""
    with plain(path, "is damaged", log="nibabel"), np.errstate(all="ignore"):
        slope, inter = header.get_slope_inter()
        if slope is not None and (slope, inter) != (1.0, 0.0):
            data = data.astype(np.float32) * np.float32(slope) + np.float32(inter)
        if data.dtype.kind != "f":
            return data, ()
        data = data.astype(np.float32, copy=False)
        bad = ~np.isfinite(data)
    count = int(bad.sum())
    if not count:
        return data, ()
    if count == bad.size:
        raise InputError(path, "holds no finite number", COPY_AGAIN)
    return np.where(bad, np.float32(0), data), (
        f"{count} voxels are not finite and were taken as 0",
    )

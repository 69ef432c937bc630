"""The process that opens a MATLAB file: its numeric arrays as .npy files into a folder, and as JSON
on standard output their names and what else there is. It may crash without harm to whoever called
it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MAX_BYTES = 8_000_000_000


def main(path: str, folder: str) -> int:
    _limit()
    try:
        arrays, others = {}, {}
        for number, (name, item) in enumerate(items_of(path)):
            if isinstance(item, str):
                others[name] = item
            else:
                np.save(Path(folder) / f"{number}.npy", item)
                arrays[name] = f"{number}.npy"
    except MemoryError:
        print("problem: needs more memory than there is", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"problem: is damaged ({type(error).__name__})", file=sys.stderr)
        return 1
    print(json.dumps({"arrays": arrays, "others": others}))
    return 0


def items_of(path: str) -> Iterator[tuple[str, np.ndarray | str]]:
    """Each variable's name with its array, or with the kind of thing that it is in place of an
    array of real numbers."""
    with open(path, "rb") as file:
        version5 = file.read(10) == b"MATLAB 5.0"
    yield from _version5(path) if version5 else _version73(path)


def _version5(path: str) -> Iterator[tuple[str, np.ndarray | str]]:
    from scipy.io import loadmat, whosmat

    kinds = {name: kind for name, _, kind in whosmat(path)}
    wanted = [name for name, kind in kinds.items() if kind not in ("cell", "struct", "char")]
    found = loadmat(path, variable_names=wanted)
    for name, kind in kinds.items():
        value = found.get(name)
        if isinstance(value, np.ndarray) and value.dtype.kind in "uifb" and value.ndim >= 2:
            yield name, value
        else:
            is_complex = isinstance(value, np.ndarray) and value.dtype.kind == "c"
            yield name, "complex" if is_complex else kind


def _version73(path: str) -> Iterator[tuple[str, np.ndarray | str]]:
    import h5py

    with h5py.File(path) as file:
        for name, item in file.items():
            told = item.attrs.get("MATLAB_class", b"")
            kind = told.decode("ascii", "replace") if isinstance(told, bytes) else str(told)
            is_numbers = isinstance(item, h5py.Dataset) and item.dtype.kind in "uifb"
            if is_numbers and kind != "char" and item.ndim >= 2:
                if item.size * item.dtype.itemsize > MAX_BYTES:
                    raise MemoryError
                yield name, item[()].T  # HDF5 has MATLAB's axes in reverse
            elif not name.startswith("#"):  # where MATLAB keeps what cells point to
                sparse = "MATLAB_sparse" in item.attrs
                yield name, "sparse" if sparse else kind or "no array"


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))

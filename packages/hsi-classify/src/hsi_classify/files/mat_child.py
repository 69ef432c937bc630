"""The process that opens a MATLAB file: its numeric arrays as .npy files into a folder, their names
as JSON on standard output. It may crash without harm to whoever called it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MAX_BYTES = 8_000_000_000


def main(path: str, folder: str) -> int:
    _limit()
    try:
        names = {}
        for number, (name, array) in enumerate(arrays_of(path)):
            np.save(Path(folder) / f"{number}.npy", array)
            names[name] = f"{number}.npy"
    except MemoryError:
        print("problem: needs more memory than there is", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"problem: is damaged ({type(error).__name__})", file=sys.stderr)
        return 1
    print(json.dumps(names))
    return 0


def arrays_of(path: str) -> Iterator[tuple[str, np.ndarray]]:
    with open(path, "rb") as file:
        version5 = file.read(10) == b"MATLAB 5.0"
    if version5:
        from scipy.io import loadmat, whosmat

        wanted = [name for name, _, kind in whosmat(path) if kind not in ("cell", "struct", "char")]
        for name, value in loadmat(path, variable_names=wanted).items():
            if isinstance(value, np.ndarray) and value.dtype.kind in "uifb" and value.ndim >= 2:
                yield name, value
        return
    import h5py

    with h5py.File(path) as file:
        for name, item in file.items():
            is_numbers = isinstance(item, h5py.Dataset) and item.dtype.kind in "uifb"
            if is_numbers and item.attrs.get("MATLAB_class") != b"char" and item.ndim >= 2:
                if item.size * item.dtype.itemsize > MAX_BYTES:
                    raise MemoryError
                yield name, item[()].T  # HDF5 has MATLAB's axes in reverse


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))

"""GDAL, held to the file that it was given.

A raster may name other files and hosts: a VRT its sources, a sidecar its overviews (``.aux.xml``,
``.ovr``, ``.msk``, each opened by whatever driver fits). So only drivers whose pixels lie in one
local file are let near an input, no sidecar is looked for, and ``/vsicurl`` and its kin may open
nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from vitrail.errors import MissingError

DRIVERS = {  # by the first bytes of a file
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",  # BigTIFF
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
    b"\x89PNG\r\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"BM": "BMP",
}
BARE = "ENVI"  # pixels alone; their header is a second file, which EMPTY_DIR would hide

_CLOSED = {
    "GDAL_PAM_ENABLED": "NO",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "GDAL_CACHEMAX": 128,  # MB
}


def load_rasterio() -> ModuleType:
    """The library; MissingError where it is not installed."""
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise MissingError(
            "rasterio", "this library is not installed", "install vitrail[raster]"
        ) from error
    return rasterio


def driver_of(path: Path) -> str | None:
    """The one driver that may open the file: by its first bytes, or by an ENVI header beside it."""
    with path.open("rb") as file:
        start = file.read(8)
    if driver := next((name for sign, name in DRIVERS.items() if start.startswith(sign)), None):
        return driver
    headers = (path.with_suffix(".hdr"), path.with_suffix(".HDR"), Path(f"{path}.hdr"))
    return BARE if any(header.is_file() for header in headers) else None


def gdal_errors() -> tuple[type[Exception], ...]:
    """What rasterio raises where GDAL fails: some calls pass its own kind on."""
    from rasterio._err import CPLE_BaseError

    return load_rasterio().errors.RasterioError, CPLE_BaseError


@contextmanager
def closed_gdal(*, sidecars: bool = False) -> Iterator[None]:
    """GDAL for the length of one call. A job is suspended while it holds a raster open, and these
    settings are the thread's, so they must not outlive the call."""
    readdir: dict[str, Any] = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE" if sidecars else "EMPTY_DIR"}
    with load_rasterio().Env(**_CLOSED, **readdir):
        yield

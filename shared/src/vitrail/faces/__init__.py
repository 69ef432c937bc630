"""Find, align and follow faces: the one model that the core brings, because several systems need
it."""

from importlib import import_module

from vitrail.system import System

system = System(
    name="faces",
    title="Face detector",
    summary="Finds faces and five landmarks; part of the core",
    package="vitrail.faces",
    distribution="vitrail",
)

_HOMES = {
    "Face": "face",
    "link": "tracks",
    "load_detector": "detector",
}
__all__ = [*_HOMES, "system"]


def __getattr__(name: str) -> object:
    """Fetches a public name from its module on first use: importing the package alone loads nothing
    heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

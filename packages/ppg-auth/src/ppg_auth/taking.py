"""Captures of what the user names: files, patterns, the camera."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitrail.errors import InputError
from vitrail.sources import expand_sources, sha256

if TYPE_CHECKING:
    from ppg_auth.capture import Capture
    from ppg_auth.pipeline import PulsePipeline

_CAMERA = re.compile(r"camera:(\d{1,3})")


def take(pipeline: "PulsePipeline", source: str) -> "Capture":
    """The capture of one file, or of what the camera sees now (``camera:0``)."""
    if camera := _CAMERA.fullmatch(source):
        from ppg_auth.camera import record

        return pipeline.capture(record(int(camera.group(1))))
    paths = expand_sources([source])
    if len(paths) > 1:
        raise InputError(source, f"matches {len(paths)} files", "name one")
    return pipeline.capture(paths[0])


def take_all(pipeline: "PulsePipeline", sources: Sequence[str]) -> list["Capture"]:
    """The captures of several sources, in their order; each file once."""
    named = [source for source in sources if _CAMERA.fullmatch(source)]
    files = [
        str(path) for path in expand_sources([source for source in sources if source not in named])
    ]
    return [take(pipeline, source) for source in [*files, *named]]


def fingerprint(source: str) -> str | None:
    """The sha256 of a file, None for the camera."""
    return None if _CAMERA.fullmatch(source) else sha256(expand_sources([source])[0])

"""The page to look through a result: slices in three planes, one HTML file that needs nothing but a
browser."""

import base64
import gzip
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from medical_segment.result import NOTICE, Result
from medical_segment.show.display import COLOURS, Shown, colours, shown
from vitrail.report.markup import escape, policy_source

MAX_VALUES = 10_000_000  # of an image in the page; a larger one is shown at a lower resolution
_ROOM = files("medical_segment.show")


def write(result: Result, path: Path) -> None:
    """Writes the page; no request leaves it: its content security policy admits its own script and
    style alone."""
    path.write_text(html(result), "utf-8")


def html(result: Result) -> str:
    view, factor = _within(shown(result), MAX_VALUES)
    style, script = (_ROOM.joinpath(f"viewer.{kind}").read_text("utf-8") for kind in ("css", "js"))
    policy = (
        f"default-src 'none'; script-src {policy_source(script)}; "
        f"style-src {policy_source(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Template(_ROOM.joinpath("viewer.html").read_text("utf-8")).substitute(
        policy=policy,
        title=escape(Path(result.source).name),
        notice=escape(NOTICE),
        remarks=_remarks(result.remarks),
        style=style,
        script=script,
        # A label's name must not end the script that it stands in.
        data=json.dumps(_data(result, view, factor)).replace("<", "\\u003c"),
    )


def _remarks(texts: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="remarks">{items}</ul>' if items else ""


def _data(result: Result, view: Shown, factor: tuple[int, int, int]) -> dict:
    palette = colours(max(len(view.names), len(COLOURS)))
    if result.instances is not None:
        legend = [
            {"text": f"{len(result.things)} objects", "labels": list(range(1, len(COLOURS) + 1))}
        ]
    else:
        legend = [
            {"text": text, "labels": [place]}
            for place, text in enumerate(result.legend().values(), start=1)
        ]
    return {
        "size": list(view.labels.shape),
        "channels": view.image.shape[3],
        "spacing": [size * step for size, step in zip(view.spacing, factor, strict=True)],
        "image_only": view.is_image,
        "reduced": ""
        if factor == (1, 1, 1)
        else "shown at a lower resolution ({} x {} x {})".format(*factor),
        "legend": legend,
        "palette": palette,
        "image": _packed(view.image),
        "labels": _packed(view.labels),
    }


def _packed(values: np.ndarray) -> str:
    """Bytes with the first axis running fastest, channels innermost, gzipped, in base64."""
    order = np.moveaxis(values, (0, 1, 2), (2, 1, 0))
    return base64.b64encode(
        gzip.compress(np.ascontiguousarray(order).tobytes(), 6, mtime=0)
    ).decode()


def _within(view: Shown, limit: int) -> tuple[Shown, tuple[int, int, int]]:
    """The same with every n-th voxel along each axis, the finest axes first, so that at most
    ``limit`` are left."""
    # Thinned along the finest axis first, so that what remains is as even as can be.
    factor, size = [1, 1, 1], view.image.size
    while size > limit:
        lengths = [
            n * step if view.labels.shape[axis] > 2 * step else np.inf
            for axis, (n, step) in enumerate(zip(view.spacing, factor, strict=True))
        ]
        factor[int(np.argmin(lengths))] += 1
        size = view.image.shape[3] * int(
            np.prod([-(-n // step) for n, step in zip(view.labels.shape, factor, strict=True)])
        )
    pick = tuple(
        slice(step // 2 if n > step // 2 else 0, None, step)
        for n, step in zip(view.labels.shape, factor, strict=True)
    )
    parts = {**vars(view), "image": view.image[pick], "labels": view.labels[pick]}
    x, y, z = factor
    return Shown(**parts), (x, y, z)

"""The page as a service: images are kept for a while, the browser sends hints and gets chroma, and
merges it itself."""

import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated, Any
from urllib.parse import quote

import cv2
import numpy as np
from fastapi import Body, FastAPI, HTTPException, Response
from pydantic import BaseModel, Field

from image_colorize import load, system
from image_colorize.hints import MAX_HINTS, numbered, parse_entries, parse_hints
from image_colorize.job import ColorizeJob
from image_colorize.merge import lightness_of
from image_colorize.reach import attended
from image_colorize.result import of_source
from image_colorize.session import Session
from image_colorize.writing import INFIX, coloured_file
from vitrail.options import Serving
from vitrail.preprocess.image_whole import SUFFIXES, losses, read_whole
from vitrail.serve import Desk, Limits, Shell, make_app, received
from vitrail.serve import serve as serve_app
from vitrail.serve.job import Upload
from vitrail.sources import Source

TOKEN_VARIABLE = "VITRAIL_TOKEN"
MAX_SIDE = (1080, 1920)  # rows and columns of what the browser gets to show
MAX_IMAGES, MAX_KEPT = 16, 1 << 30  # images and bytes; what was not used longest goes first
LIMITS = Limits(max_bytes=256 << 20, max_requests=6000)  # a drag asks at each step
CHROMA_STEPS = 100  # to a unit, in what is sent
MEDIA = {"JPEG": "image/jpeg", "PNG": "image/png", "TIFF": "image/tiff", "WEBP": "image/webp"}


class Opened(BaseModel):
    """An image that the service holds."""

    id: str = Field(description="The file's sha256")
    width: int = Field(description="Of the upright image in pixels")
    height: int = Field(description="Of the upright image in pixels")
    size: int = Field(description="Pixels along a side of the chroma")
    remarks: list[str] = Field(description="What was passed over in reading")


class Wanted(BaseModel):
    """How to colour."""

    hints: list[dict[str, Any]] = Field([], description="As in a hint file", max_length=MAX_HINTS)
    pin: bool = Field(False, description="The wished colours exactly at the hints")


class File(Wanted):
    """A file to download."""

    strength: float = Field(1.0, ge=0, le=3, description="Factor of the chroma")
    name: str = Field("image", max_length=300, description="The source's name")


class Images:
    """The open images by their sha256, the last used ones; tabs that open the same one share it,
    and bring their own hints."""

    def __init__(self, job: ColorizeJob, desk: Desk):
        self._job, self._desk = job, desk
        self._lock, self._kept = threading.Lock(), OrderedDict[str, Session]()

    def open(self, source: Source) -> Opened:
        """Reads an image; InputError where it cannot be."""
        key = source.fingerprint
        with self._lock:
            session = self._kept.get(key)
        if session is None:
            image = read_whole(source.path)
            session = Session(self._job, image, self._desk.engines, sha256=key)
        with self._lock:
            self._kept[key] = session
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_IMAGES or (len(self._kept) > 1 and self._bytes > MAX_KEPT):
                self._kept.popitem(last=False)
        return self.facts(key)

    def facts(self, key: str) -> Opened:
        """What is told of an open image; HTTP status 404 where it is held no longer."""
        session = self.get(key)
        height, width = session.image.shape
        remarks = [*session.image.remarks, *of_source(session.seen)]
        return Opened(id=key, width=width, height=height, size=self._job.size, remarks=remarks)

    @property
    def _bytes(self) -> int:
        return sum(session.image.levels.nbytes for session in self._kept.values())

    def get(self, key: str) -> Session:
        """HTTP status 404 where it is held no longer."""
        with self._lock:
            if key not in self._kept:
                raise HTTPException(404, "this image is not open any more; open it again")
            self._kept.move_to_end(key)
            return self._kept[key]


def colorize_app(
    job: ColorizeJob,
    desk: Desk,
    *,
    hosts: Sequence[str],
    token: str | None = None,
    limits: Limits = LIMITS,
    first: Path | None = None,
) -> FastAPI:
    """The application; ``first`` is open from the beginning. InputError where it cannot be read."""
    app = make_app(
        system.name,
        system.version,
        system.summary,
        desk,
        hosts=hosts,
        token=token,
        limits=limits,
        page=shell(),
    )
    images = Images(job, desk)
    opened = images.open(Source.of(first)) if first else None

    @app.get("/first", summary="The image that the command named")
    def begin() -> dict[str, Any]:
        if opened is None or first is None:
            return {}
        return {**opened.model_dump(), "name": first.name}

    @app.post("/image", summary="Opens an image")
    def open_image(file: Upload) -> Opened:
        with desk.place(), received(file) as source:
            return images.open(source)

    @app.get("/image/{key}", summary="What is told of an open image")
    def facts(key: str) -> Opened:
        return images.facts(key)

    @app.get("/image/{key}/grey", summary="Its lightness as a grey PNG, at most 1920 x 1080")
    def grey(key: str) -> Response:
        return Response(_grey(images.get(key)), media_type="image/png")

    @app.post("/image/{key}/chroma", summary="a and b times 100 as int16, row by row")
    def chroma(key: str, wanted: Wanted) -> Response:
        session = images.get(key)
        hints = parse_entries(wanted.hints, "hints")
        with desk.place():
            made = session.chroma(hints, pinned=wanted.pin)
        values = np.rint(made * CHROMA_STEPS).clip(-32768, 32767).astype("<i2")
        return Response(values.tobytes(), media_type="application/octet-stream")

    @app.post("/image/{key}/attention", summary="What drew on the last hint's patch, 0..255")
    def attention(key: str, wanted: Wanted) -> Response:
        session = images.get(key)
        hints = parse_entries(wanted.hints, "hints")
        if not hints:
            raise HTTPException(400, "there is no hint that anything could be drawn on")
        with desk.place():
            drawn = attended(job.network, session.result(hints, pinned=wanted.pin))
        values = np.rint(drawn * 255).clip(0, 255).astype(np.uint8)
        return Response(values.tobytes(), media_type="application/octet-stream")

    @app.post("/image/{key}/file", summary="The coloured image at full size, as a file")
    def file(key: str, wanted: File) -> Response:
        session = images.get(key)
        hints = parse_entries(wanted.hints, "hints")
        with desk.place():
            result = session.result(hints, strength=wanted.strength, pinned=wanted.pin)
            data = coloured_file(result)
        kind = result.written_as
        stem = re.sub(r"[\x00-\x1f/\\]", "_", Path(wanted.name).stem) or "image"
        name = quote(f"{stem}{INFIX}{SUFFIXES[kind]}")
        disposition = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        said = quote("; ".join(losses(result.image, kind)))
        headers = {**disposition, "X-Name": name, "X-Remarks": said}
        return Response(data, media_type=MEDIA[kind], headers=headers)

    @app.post("/hints", summary="Reads a hint file")
    def hints(content: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        found = parse_hints(json.dumps(content), "the hint file")
        entries = [one.to_dict() for one in numbered(found.hints)]
        return {"hints": entries, "sha256": found.sha256}

    return app


def _grey(session: Session) -> bytes:
    """Levels with the image's lightness, no larger than a screen, as PNG."""
    levels = session.image.levels
    height, width = levels.shape[:2]
    scale = min(1.0, MAX_SIDE[0] / min(height, width), MAX_SIDE[1] / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        levels = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    lightness = lightness_of(levels)
    y = np.where(lightness > 7.9996, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    grey = np.where(y > 0.0031308, 1.055 * y ** (1 / 2.4) - 0.055, 12.92 * y)
    done, data = cv2.imencode(
        ".png", np.rint(grey * 255).astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    assert done
    return data.tobytes()


def shell() -> Shell:
    """The page, of the files beside this one."""
    folder = files("image_colorize.service")
    scripts = [
        folder.joinpath(name).read_text("utf-8")
        for name in ("color.js", "state.js", "page.js", "hands.js")
    ]
    body, style = (folder.joinpath(name).read_text("utf-8") for name in ("page.html", "page.css"))
    return Shell("image-colorize", body, style, "\n".join(scripts))


def run(
    image: Path | None, weights: str | None, computing: dict[str, str], serving: Serving
) -> int:
    """Serves until interrupted."""
    made = None
    if not (serving.insecure_no_token or os.environ.get(TOKEN_VARIABLE)):
        made = token_urlsafe()
    token = made or serving.token(TOKEN_VARIABLE)
    job = load(weights, **computing)
    job.predict(np.zeros((8, 8), np.uint8))  # so that the first click need not wait for the network
    desk = Desk(job, batch_size=4)
    app = colorize_app(job, desk, hosts=serving.hosts, token=token, first=image)
    page = f"http://{serving.host}:{serving.port}/"
    print(f"image-colorize: open {page}{f'#token={made}' if made else ''}", flush=True)
    proxies = serving.proxy or ()
    serve_app(app, desk, host=serving.host, port=serving.port, proxies=proxies, limits=LIMITS)
    return 0

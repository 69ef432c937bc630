"""What an installation is made of, and the troubles that people of this field know too well, each
in a sentence."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec

from vitrail.system import broken, systems

OPTIONAL = {
    "av": "reads videos: vitrail[video]",
    "decord": "reads videos, Linux and Windows on x86-64 only: vitrail[video]",
    "cv2": "finds and cuts faces: vitrail[faces]",
    "lightning": "trains: vitrail[train]",
    "onnxruntime": "runs and checks exports: vitrail[onnx]",
    "openvino": "runs networks two to three times faster on Intel and AMD: vitrail brings it",
}


@dataclass(frozen=True)
class Finding:
    """``state`` is ok, absent (an optional part) or broken."""

    part: str
    state: str
    detail: str


def examine() -> list[Finding]:
    """Looks at versions, device, threads and optional parts; never raises."""
    return [
        Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *_torch(),
        *(_optional(module, purpose) for module, purpose in OPTIONAL.items()),
        *(Finding(s.name, "ok", f"{s.version}: {s.title}") for s in systems().values()),
        *(Finding(name, "broken", reason) for name, reason in broken().items()),
    ]


def _torch() -> list[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [
            Finding(
                "torch",
                "broken",
                f"does not import ({error}); reinstall it: uv pip install --reinstall torch",
            )
        ]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        Finding("torch", "ok", torch.__version__),
        _torchvision(torch.__version__),
        Finding("device", "ok", f"{device}; {torch.get_num_threads()} threads on {cores} cores"),
    ]


def _torchvision(torch_version: str) -> Finding:
    """The classic: wheels of two sources or releases, whose compiled operators do not find each
    other."""
    if find_spec("torchvision") is None:
        return Finding("torchvision", "absent", "training")
    try:
        import torchvision

        return Finding("torchvision", "ok", torchvision.__version__)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        sys.modules.pop("torchvision", None)
        found = _version("torchvision") or "of no known version"
        return Finding(
            "torchvision",
            "broken",
            f"torchvision {found} does not match torch {torch_version} ({error}); "
            "install both again from one source: uv pip install --reinstall torch torchvision",
        )


def _optional(module: str, purpose: str) -> Finding:
    distribution = {"cv2": "opencv-python-headless"}.get(module, module)
    version = _version(distribution)
    if version is None:
        return Finding(distribution, "absent", purpose)
    # OpenVINO would report its import over the network; None forbids that module.
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]
    try:
        import_module(module)
    except Exception as error:  # a compiled library may fail in any way, and a doctor must go on
        return Finding(distribution, "broken", f"{version} does not import: {error}")
    return Finding(distribution, "ok", version)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None

"""A network as a MONAI Bundle: ``python -m monai.bundle run`` segments a folder of cases as the
command does.

The bundle's configuration names the transforms below, so that reading, placing and turning back are
the command's own; the sliding window and the loop are MONAI's.
"""

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.transforms import MapTransform

from medical_segment import checkpoint, postprocess, system
from medical_segment.checkpoint import Description
from medical_segment.files.finding import case_of, find_cases
from medical_segment.files.reading import read_source
from medical_segment.networks import SegmentationNetwork
from medical_segment.plan import Plan
from medical_segment.preprocess import prepare
from medical_segment.result import NOTICE
from medical_segment.writing import write_map
from vitrail.output import atomic_folder


def export_bundle(network: SegmentationNetwork, folder: Path) -> Path:
    """Writes the bundle's folder whole or not at all: ``configs``, ``models`` and ``docs``."""
    assert network.weights is not None
    found = checkpoint.describe(network.weights)
    with atomic_folder(folder) as temporary:
        for name in ("configs", "models", "docs"):
            (temporary / name).mkdir()
        _write_json(temporary / "configs" / "inference.json", inference_config(network, found))
        _write_json(temporary / "configs" / "metadata.json", bundle_metadata(network, found))
        torch.save(network.module.state_dict(), temporary / "models" / "model.pt")
        (temporary / "docs" / "README.md").write_text(_readme(network))
    return folder


def inference_config(network: SegmentationNetwork, found: Description) -> dict:
    """``configs/inference.json``: every case below ``dataset_dir``, label maps into
    ``output_dir``."""
    plan = network.plan
    return {
        "imports": ["$import torch", "$from medical_segment.bundle import cases"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/input'",
        "output_dir": "$@bundle_root + '/output'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "datalist": f"$cases(@dataset_dir, {len(plan.channels)})",
        "network_def": {
            "_target_": "medical_segment.models.build_model",
            "architecture": found.architecture,
            "config": dict(found.config),
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "medical_segment.bundle.ReadCased",
            "keys": "image",
            "plan": plan.to_dict(),
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "num_workers": 0,
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(plan.patch),
            "sw_batch_size": 4,
            "overlap": 0.5,
            "mode": "gaussian",
        },
        "postprocessing": {
            "_target_": "medical_segment.bundle.WriteMaskd",
            "keys": "pred",
            "plan": plan.to_dict(),
            "output_dir": "@output_dir",
        },
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }


def bundle_metadata(network: SegmentationNetwork, found: Description) -> dict:
    """``configs/metadata.json`` with the formats of input and output."""
    assert network.weights is not None
    plan = network.plan
    shape = {"dtype": "float32", "spatial_shape": list(plan.patch), "is_patch_data": True}
    return {
        "version": system.version,
        "changelog": {system.version: f"weights {network.weights.sha256}"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {
            "medical-segment": system.version,
            "nibabel": metadata.version("nibabel"),
            "pytorch-ignite": metadata.version("pytorch-ignite"),
        },
        "name": network.name,
        "task": f"segmentation of {', '.join(plan.labels[plan.activation == 'softmax' :])}",
        "description": f"{found.architecture}. {NOTICE}",
        "authors": "the authors of Vitrail",
        "copyright": "Apache-2.0 (code)",
        "intended_use": NOTICE,
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "num_channels": len(plan.channels),
                    "value_range": [],
                    "channel_def": {str(n): name for n, name in enumerate(plan.channels)},
                    **shape,
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": len(plan.labels),
                    "value_range": [],
                    "channel_def": {str(n): name for n, name in enumerate(plan.labels)},
                    **shape,
                }
            },
        },
    }


def cases(folder: str, num_channels: int) -> list[dict]:
    """MONAI's data list of all cases below ``folder``."""
    found = find_cases([folder], num_channels)
    for case in found:
        case.require_found()
    return [{"image": case.name} for case in found]


class ReadCased(MapTransform):
    """A case's path under each key -> the network's input (C, spatial…); the path stays under
    ``KEY_path``."""

    def __init__(self, keys: str, plan: Mapping[str, Any]):
        super().__init__(keys)
        self.plan = Plan.from_dict(plan)

    def __call__(self, data: Mapping[str, Any]) -> dict:
        changed: dict[Any, Any] = dict(data)
        for key in self.keys:
            volume = _read(changed[key], self.plan)
            changed[f"{key}_path"] = changed[key]
            changed[key] = torch.from_numpy(prepare(volume.data, volume.affine, self.plan))
        return changed


class WriteMaskd(MapTransform):
    """Logits (K, spatial…) on the network's grid -> the label map on the file's, also written to
    ``output_dir``."""

    def __init__(
        self, keys: str, plan: Mapping[str, Any], output_dir: str, source: str = "image_path"
    ):
        super().__init__(keys)
        self.plan, self.folder, self.source = Plan.from_dict(plan), Path(output_dir), source

    def __call__(self, data: Mapping[str, Any]) -> dict:
        changed: dict[Any, Any] = dict(data)
        # Read once more: MONAI's dictionaries do not carry the file's grid through its loop.
        volume = _read(data[self.source], self.plan)
        name = Path(data[self.source]).name.split(".")[0]
        for key in self.keys:
            logits = torch.as_tensor(changed[key]).float().numpy(force=True).copy()
            scores = postprocess.activate(logits, self.plan)
            labels = postprocess.label_map(scores, volume.shape, volume.affine, self.plan)
            changed[key] = labels
            self.folder.mkdir(parents=True, exist_ok=True)
            write_map(volume, self.folder, f"{name}_labels", labels)
        return changed


def _read(path: str, plan: Plan):
    return read_source(case_of(Path(path), len(plan.channels)))


def _write_json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")


def _readme(network: SegmentationNetwork) -> str:
    return (
        f"# {network.name}\n\n{NOTICE}\n\nNeeds `pip install 'vitrail-medical-segment[bundle]'`. "
        "Put the cases into `input`, and in this folder run\n\n"
        "    python -m monai.bundle run --config_file configs/inference.json\n\n"
        "The label maps come into `output`, on the grids of their files.\n"
    )

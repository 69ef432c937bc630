"""A detector of others to test with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def detector_folder(path: Path, labels: Sequence[str] = ("person", "cat")) -> Path:
    """An RT-DETR v2 with fresh weights, as transformers stores it, at ``path``."""
    from transformers import (
        RTDetrImageProcessor,
        RTDetrResNetConfig,
        RTDetrV2Config,
        RTDetrV2ForObjectDetection,
    )

    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8] * 4, "depths": [1] * 4}
    sizes |= {"layer_type": "basic", "out_indices": [2, 3, 4]}
    backbone = RTDetrResNetConfig(**sizes)
    config = RTDetrV2Config(
        backbone_config=backbone, encoder_in_channels=[8, 8, 8], encoder_hidden_dim=16,
        encoder_ffn_dim=16, encoder_attention_heads=2, d_model=16, decoder_layers=2,
        decoder_attention_heads=2, decoder_ffn_dim=16, num_queries=10, num_denoising=0,
        decoder_in_channels=[16, 16, 16], id2label=dict(enumerate(labels)),
    )  # fmt: skip
    torch.manual_seed(0)
    RTDetrV2ForObjectDetection(config).save_pretrained(path)
    RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(path)
    return path

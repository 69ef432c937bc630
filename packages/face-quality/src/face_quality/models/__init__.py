"""The architecture. Importing this package, or ``models.config``, loads no PyTorch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from face_quality.models.config import FIQAConfig

if TYPE_CHECKING:
    from face_quality.models.vit_fiqa import ViTFIQA

ARCHITECTURE = "vit-fiqa"


def build_model(config: Mapping[str, Any]) -> "ViTFIQA":
    """The network with fresh weights.

    Raises UsageError for an option that does not exist, and for sizes that do not go together.
    """
    from face_quality.models.vit_fiqa import ViTFIQA
    from vitrail.architectures import build

    return build({ARCHITECTURE: (ViTFIQA, FIQAConfig)}, ARCHITECTURE, config)

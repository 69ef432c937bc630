"""The architectures by name. Importing this package, or ``models.config``, loads no PyTorch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from change_detect.models.changevit import ChangeViT

ARCHITECTURE = "changevit"


def build_model(architecture: str, config: Mapping[str, Any]) -> "ChangeViT":
    """A ChangeViT with fresh weights.

    Raises UsageError for an architecture or an option that does not exist, and for sizes that do
    not go together.
    """
    from change_detect.models.changevit import ChangeViT
    from change_detect.models.config import ChangeViTConfig
    from vitrail.architectures import build

    return build({ARCHITECTURE: (ChangeViT, ChangeViTConfig)}, architecture, config)

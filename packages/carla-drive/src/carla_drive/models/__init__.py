"""The architectures by name. Importing this package loads no PyTorch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from carla_drive.models.config import LeTFuserConfig

if TYPE_CHECKING:
    from carla_drive.models.letfuser import LeTFuser

ARCHITECTURES = ("letfuser", "dmfuser")


def build_model(architecture: str, config: Mapping[str, Any]) -> "LeTFuser":
    """``letfuser`` or ``dmfuser`` with fresh weights.

    Raises UsageError for an architecture or an option that does not exist, and for sizes that do
    not go together.
    """
    from carla_drive.models.dmfuser import DMFuser
    from carla_drive.models.letfuser import LeTFuser
    from vitrail.architectures import build

    modules = {"letfuser": (LeTFuser, LeTFuserConfig), "dmfuser": (DMFuser, LeTFuserConfig)}
    return build(modules, architecture, config)

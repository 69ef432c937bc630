"""The architectures by name. Importing this package, or ``models.config``, loads no PyTorch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pose_estimate.models.config import EViTPoseConfig, UniTransPoseConfig

if TYPE_CHECKING:
    from pose_estimate.models.evitpose import EViTPose
    from pose_estimate.models.unitranspose import UniTransPose

CONFIGS = {"evitpose": EViTPoseConfig, "unitranspose": UniTransPoseConfig}


def build_model(architecture: str, config: Mapping[str, Any]) -> "EViTPose | UniTransPose":
    """The network ``evitpose`` or ``unitranspose`` with fresh weights.

    Raises UsageError for an architecture or an option that does not exist, and for sizes that do
    not go together.
    """
    from pose_estimate.models.evitpose import EViTPose
    from pose_estimate.models.unitranspose import UniTransPose
    from vitrail.architectures import build

    modules = {"evitpose": EViTPose, "unitranspose": UniTransPose}
    return build({name: (modules[name], CONFIGS[name]) for name in CONFIGS}, architecture, config)

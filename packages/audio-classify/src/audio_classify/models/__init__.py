"""The architectures by name. Importing this package, or ``models.config``, loads no PyTorch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audio_classify.models.config import CNNConfig, SSASTConfig

if TYPE_CHECKING:
    from audio_classify.models.ssast import SSAST, AudioCNN

CONFIGS = {"ssast": SSASTConfig, "cnn": CNNConfig}


def build_model(architecture: str, config: Mapping[str, Any]) -> "SSAST | AudioCNN":
    """The network ``ssast`` or ``cnn`` with fresh weights.

    Raises UsageError for an architecture or an option that does not exist, and for sizes that do
    not go together.
    """
    from audio_classify.models.ssast import SSAST, AudioCNN
    from vitrail.architectures import build

    modules = {"ssast": SSAST, "cnn": AudioCNN}
    return build({name: (modules[name], CONFIGS[name]) for name in CONFIGS}, architecture, config)

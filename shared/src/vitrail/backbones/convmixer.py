"""ConvMixer of free sizes (Trockman and Kolter, "Patches Are All You Need?", 2022).

The network is timm's; timm itself only builds it in the three published sizes. Importing this
module makes the name ``convmixer`` known to timm.
"""

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.convmixer import ConvMixer
from torch import nn

default_cfgs = generate_default_cfgs(
    {
        "convmixer.untrained": {
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "first_conv": "stem.0",
            "classifier": "head",
        }
    }
)


@register_model
def convmixer(pretrained: bool = False, dim: int = 256, depth: int = 8, **config) -> nn.Module:
    """``dim`` channels through ``depth`` blocks; by default the paper's smallest, ConvMixer-256/8
    with kernel 9."""
    features = {"feature_cls": "getter", "out_indices": tuple(range(depth))}
    return build_model_with_cfg(
        ConvMixer, "convmixer", pretrained, feature_cfg=features, dim=dim, depth=depth, **config
    )

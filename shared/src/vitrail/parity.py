"""Every golden of the core: those of the CvT release."""

from vitrail.backbones.cvt_official import check

__all__ = ["check"]

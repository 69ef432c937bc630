"""Whether a JPEG's data is damaged: libjpeg fills in what it cannot decode, and Pillow leaves
unsaid what it remarks on that."""

import re

# What libjpeg warns of besides says nothing about the picture (versions, colour profiles)
_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!bad ICC)(.+)|(Premature end of JPEG file|Inconsistent)"
)


def jpeg_damage(data: bytes, mode: str = "RGB") -> list[str]:
    """A sentence where the decoder had to guess at a part of the image that a JPEG file's bytes
    hold; ``mode`` is Pillow's. Damage after which the codes fit again by chance is not noticed."""
    import simplejpeg

    try:
        # All codes are read whatever comes out: that is made as small as can be.
        simplejpeg.decode_jpeg(
            data,
            colorspace="CMYK" if mode == "CMYK" else "GRAY",
            min_height=1,
            min_width=1,
            min_factor=8,
            strict=True,
        )
    except ValueError as error:
        if told := _DAMAGE.match(str(error)):
            return [f"part of the image is damaged ({(told[1] or told[0]).lower()})"]
    return []

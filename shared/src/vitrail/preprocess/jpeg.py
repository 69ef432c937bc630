"""What a JPEG file says of itself that its pixels do not: damage, for libjpeg fills in what it
cannot decode and Pillow leaves unsaid what it remarks on that; and a film behind the photograph."""

import re
from pathlib import Path

# What libjpeg warns of besides says nothing about the picture (versions, colour profiles)
_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!bad ICC)(.+)|(Premature end of JPEG file|Inconsistent)"
)
# The beginning of an MP4 or QuickTime file
_FILM = re.compile(rb"\0\0\0[\x08-\x60]ftyp(?:mp4|iso|avc|hev|hvc|qt  |M4V|3gp|MSNV)")


def has_film(path: Path) -> bool:
    """Whether a file is a motion photo: phones put the seconds around the moment behind a JPEG."""
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff" and bool(_FILM.search(file.read()))


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

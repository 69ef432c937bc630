"""What the bundled network knows, and what ImageNet's classes say about it."""

from collections.abc import Sequence

NAMES = (
    "person", "bicycle", "car", "motorcycle", "bus", "train", "truck", "boat", "bird", "cat",
    "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra",
)  # fmt: skip

# The 30 of ImageNet VID, alphabetical; category ids count from 1.
VID = (
    "airplane", "antelope", "bear", "bicycle", "bird", "bus", "car", "cattle", "dog",
    "domestic cat", "elephant", "fox", "giant panda", "hamster", "horse", "lion", "lizard",
    "monkey", "motorcycle", "rabbit", "red panda", "sheep", "snake", "squirrel", "tiger", "train",
    "turtle", "watercraft", "whale", "zebra",
)  # fmt: skip
SCHEMES = ("ours", "vid")  # whose names labels have
TO_VID = {"boat": "watercraft", "cat": "domestic cat", "cow": "cattle"}

# Of the thousand classes of ImageNet's challenge, by number, those that are one of ours or go
# with it: first ones and last ones of runs.
IMAGENET = {
    "person": ((981, 983),),
    "bicycle": ((444, 444), (671, 671)),
    "car": ((436, 436), (468, 468), (511, 511), (609, 609), (627, 627), (656, 656), (661, 661),
            (751, 751), (817, 817)),
    "motorcycle": ((665, 665), (670, 670)),
    "bus": ((654, 654), (779, 779), (874, 874)),
    "train": ((466, 466), (547, 547), (565, 565), (705, 705), (820, 820)),
    "truck": ((555, 555), (569, 569), (675, 675), (717, 717), (734, 734), (864, 864), (867, 867)),
    "boat": ((472, 472), (484, 484), (554, 554), (576, 576), (625, 625), (780, 780), (814, 814),
             (871, 871), (914, 914)),
    "bird": ((7, 24), (80, 100), (127, 146)),
    "cat": ((281, 285),),
    "dog": ((151, 268),),
    "horse": ((339, 339),),
    "sheep": ((348, 349),),
    "cow": ((345, 347),),
    "elephant": ((385, 386),),
    "bear": ((294, 297),),
    "zebra": ((340, 340),),
}  # fmt: skip


def in_names_of(scheme: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Labels as they are called by ``ours`` or by ``vid``, where it has another name for one."""
    return tuple(TO_VID.get(name, name) for name in labels) if scheme == "vid" else tuple(labels)


def vid_category(name: str) -> int | None:
    """The category id of ImageNet VID for one of our classes; None for a person."""
    vid = TO_VID.get(name, name)
    return VID.index(vid) + 1 if vid in VID else None

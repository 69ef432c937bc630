"""What a network sees in each frame, reckoned once: with its seeing parts at rest, only the rest of
it has to run again in every epoch."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from carla_drive.data import Frames
from carla_drive.models.detail import FRONT, TOP
from carla_drive.models.letfuser import LeTFuser, Seen
from vitrail.training.loading import loader

BATCH = 8


class Pictures(Dataset):
    """Only the pictures of ``frames``."""

    def __init__(self, frames: Frames):
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return self.frames.pictures(number)


class Kept(Dataset):
    """The samples of ``frames`` without their pictures; in their place what ``network`` made of
    them: the fields of ``Seen`` but the segmentation, and ``cloud``. A frame takes some 150 kB."""

    def __init__(self, frames: Frames, network: LeTFuser, *, workers: int = 0):
        self.frames, self._kept = frames, list[dict[str, np.ndarray]]()
        network.eval()
        device = network.mean.device
        with torch.inference_mode():
            for pictures in loader(Pictures(frames), BATCH, workers=workers):
                rgb, depth = pictures["rgb"].to(device).float(), pictures["depth"].to(device)
                seen = network.see((rgb - network.mean) / network.std)
                cloud = network.bird(depth, seen.segmentation).bool().cpu().numpy()
                self._size = cloud.shape[1:]
                fields = {
                    name: getattr(seen, name).half().cpu().numpy()
                    for name in Seen._fields
                    if name != "segmentation"
                }
                if network.config.detail:
                    fields["front"] = pictures["rgb"][:, :, :TOP, FRONT].numpy()
                for row in range(len(rgb)):
                    kept = {name: values[row].copy() for name, values in fields.items()}
                    self._kept.append(kept | {"cloud": np.packbits(cloud[row])})

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        kept = dict(self._kept[number])
        count = int(np.prod(self._size))
        cloud = np.unpackbits(kept.pop("cloud"), count=count).reshape(self._size)
        # What is to be learned of lights and signs bears the same names.
        seen = {f"seen_{name}": torch.from_numpy(np.asarray(kept[name])) for name in kept}
        return self.frames.numbers(number) | seen | {"cloud": torch.from_numpy(cloud)}


def seen_of(network: LeTFuser, batch: dict[str, Tensor], *, shaken: bool = False) -> Seen:
    """The kept fields of a batch, with an empty segmentation. The detail is looked at anew, since
    it goes on learning; ``shaken`` brightens and shifts its pictures a little by chance."""
    image_map = batch["seen_image_map"].float()
    detail = batch["seen_detail"].float()
    red_light, stop_sign = (batch[f"seen_{name}"].float() for name in ("red_light", "stop_sign"))
    if "seen_front" in batch:
        front = (batch["seen_front"].float() - network.mean) / network.std
        if shaken:
            gain = 0.8 + 0.4 * torch.rand(len(front), 1, 1, 1, device=front.device)
            shift = torch.randint(-5, 6, (2,)).tolist()
            front = torch.roll(front * gain, shift, dims=(2, 3))
        detail, chances = network.detail.look(front)
        red_light, stop_sign = chances.unbind(dim=1)
    token, nothing = batch["seen_token"].float(), image_map[:, :1, :1, :1]
    return Seen(image_map, token, nothing, detail, red_light, stop_sign)

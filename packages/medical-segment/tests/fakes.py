"""What the tests of several rooms share: networks that need no training, and a series of an
invented patient."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medical_segment.job import Options, SegmentationJob
from medical_segment.networks import CODE, SegmentationNetwork
from medical_segment.plan import Plan
from vitrail.testing.beside import DATA
from vitrail.weights.catalogue import Weights

MEDICAL = DATA / "medical"  # the data sets
PLAN_3D = Plan(
    channels=("MR",),
    labels=("background", "anterior", "posterior"),
    patch=(16, 24, 16),
    spacing=(1, 1, 1),
)
PLAN_2D = Plan(
    channels=("red", "green", "blue"),
    labels=("background", "interior", "boundary"),
    patch=(32, 32),
    dims=2,
    orientation=None,
    instances=True,
)
PLAN_REGIONS = Plan(
    channels=("FLAIR", "T1w", "T1gd", "T2w"),
    labels=("TC", "WT", "ET"),
    patch=(16, 16, 16),
    normalisation="zscore-nonzero",
    activation="sigmoid",
    values=(2, 1, 3),
    order=(1, 0, 2),
)


class Thresholds(nn.Module):
    """Says which third of the first channel's usual range a voxel lies in: as many labels as
    thresholds and one."""

    def __init__(self, num_labels: int):
        super().__init__()
        self.register_buffer("centres", torch.linspace(-0.5, 2.0, num_labels))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, C, spatial…) -> logits (B, K, spatial…)."""
        centres = self.centres.view(1, -1, *[1] * (image.ndim - 2))
        return -4 * (image[:, :1] - centres) ** 2


def small_network(plan: Plan = PLAN_3D) -> SegmentationNetwork:
    """A network that goes by brightness, without weights of its own, for any plan."""
    return network_of(partial(Thresholds, len(plan.labels)), plan)


def network_of(build: Callable[[], nn.Module], plan: Plan, name: str = "small"):
    weights = Weights(name, Path("small.safetensors"), "0" * 64)
    example = np.zeros((2, len(plan.channels), *plan.patch), np.float32)
    return SegmentationNetwork(name, build, example, weights, CODE, plan=plan)


def small_job(plan: Plan = PLAN_3D, **options) -> SegmentationJob:
    return job_of([small_network(plan)], **options)


def job_of(networks: Sequence[SegmentationNetwork], **options) -> SegmentationJob:
    return SegmentationJob(networks, Options(**options), engine="eager", device="cpu")


PATIENT = {
    "PatientName": "Invented^Jane",
    "PatientID": "SECRET-4711",
    "PatientBirthDate": "19700101",
}


def write_dicom_series(
    folder: Path,
    values: np.ndarray,
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    name: str = "{}.dcm",
) -> Path:
    """int16 (columns, rows, slices) as a series of MR slices of 1 x 1 mm every 2 mm, of an invented
    patient.

    The files are numbered from 1 without leading zeros; the stored values mean ``2 * value - 100``.
    Returns the folder.
    """
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(orientation[:3], orientation[3:])
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for number in range(values.shape[2]):
        found = pydicom.Dataset()
        found.file_meta = pydicom.dataset.FileMetaDataset()
        found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID = MRImageStorage
        found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = generate_uid()
        found.StudyInstanceUID, found.SeriesInstanceUID, found.FrameOfReferenceUID = (
            study,
            series,
            frame,
        )
        found.Modality, found.InstanceNumber, found.SliceThickness = "MR", number + 1, 2
        found.Rows, found.Columns, found.PixelSpacing = values.shape[1], values.shape[0], [1, 1]
        found.ImageOrientationPatient = list(orientation)
        found.ImagePositionPatient = [float(part) for part in 2 * number * normal]
        found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
        found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = (
            16,
            16,
            15,
            1,
        )
        found.RescaleSlope, found.RescaleIntercept = 2, -100
        for key, value in PATIENT.items():
            setattr(found, key, value)
        found.PixelData = values[:, :, number].T.astype("<i2").tobytes()
        found.save_as(folder / name.format(number + 1), enforce_file_format=True)
    return folder


def write_multiframe(path: Path, folder: Path) -> Path:
    """A series that ``write_dicom_series`` wrote, as one enhanced multi-frame file by highdicom."""
    import highdicom
    import pydicom

    slices = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    for found in slices:
        found.StudyDate = found.SeriesDate = found.ContentDate = found.AcquisitionDate = "20200101"
        found.StudyTime = found.SeriesTime = found.ContentTime = found.AcquisitionTime = "120000"
        found.PatientSex = found.AccessionNumber = found.StudyID = found.ReferringPhysicianName = ""
        found.Manufacturer, found.SeriesNumber, found.ImageType = "none", 1, ["ORIGINAL", "PRIMARY"]
        found.AcquisitionNumber = 1
    made = highdicom.legacy.LegacyConvertedEnhancedMRImage(
        slices, highdicom.UID(), 1, highdicom.UID(), 1
    )
    made.save_as(path, enforce_file_format=True)
    return path

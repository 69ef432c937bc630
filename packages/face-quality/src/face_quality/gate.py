"""May this picture be enrolled? Rules of which each can refuse, whatever the score is."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from face_quality.measures import NAMES
from face_quality.result import JudgedFace, Result
from vitrail.errors import UsageError
from vitrail.job import Steps
from vitrail.sources import Source

if TYPE_CHECKING:
    from face_quality.job import QualityJob

REFUSED = 4  # exit status


class Bounds(BaseModel):
    """Of one measure: ``score`` is the lowest of 0..100, ``raw_min`` and ``raw_max`` are in the
    measure's own unit."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    score: Annotated[float | None, Field(ge=0, le=100)] = None
    raw_min: float | None = None
    raw_max: float | None = None

    @model_validator(mode="after")
    def _must_bind(self) -> Self:
        """A bound that nothing fails, or everything, is a slip of the pen."""
        if self.score is None and self.raw_min is None and self.raw_max is None:
            raise ValueError("names no bound: give score, raw_min or raw_max")
        if self.raw_min is not None and self.raw_max is not None and self.raw_min > self.raw_max:
            raise ValueError("raw_min is above raw_max: nothing would pass")
        return self


class Rules(BaseModel):
    """``min_score``: the lowest score of the face; ``one_face``: no other may be seen;
    ``measures``: bounds by the names that a row has. The defaults want a face of 60 pixels between
    the eyes that looks into the camera, whole and in light."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    min_score: Annotated[float, Field(ge=0, le=100)] = 40
    one_face: bool = True
    measures: dict[str, Bounds] = {
        "approx_InterEyeDistance": Bounds(raw_min=60),
        "approx_HeadPoseYaw": Bounds(raw_min=-25, raw_max=25),
        "approx_HeadPosePitch": Bounds(raw_min=-22, raw_max=22),
        "approx_HeadPoseRoll": Bounds(raw_min=-15, raw_max=15),
        "approx_LeftwardCropOfTheFaceImage": Bounds(score=10),
        "approx_RightwardCropOfTheFaceImage": Bounds(score=10),
        "approx_MarginAboveOfTheFaceImage": Bounds(score=10),
        "approx_MarginBelowOfTheFaceImage": Bounds(score=10),
        "approx_UnderExposurePrevention": Bounds(raw_max=0.5),
        "approx_OverExposurePrevention": Bounds(raw_max=0.2),
    }


@dataclass(frozen=True, eq=False)
class Gated:
    """A result and why the picture is refused; nothing says that it is accepted."""

    result: Result
    refusals: tuple[str, ...]
    rules: Rules

    @classmethod
    def of(cls, result: Result, rules: Rules) -> "Gated":
        return cls(result, tuple(refusals(result, rules)), rules)

    @property
    def damage(self) -> tuple[str, ...]:
        return self.result.damage

    @property
    def is_accepted(self) -> bool:
        return not self.refusals

    def to_dict(self) -> dict[str, Any]:
        told = {"accepted": self.is_accepted, "refusals": list(self.refusals)}
        return told | self.result.to_dict()

    def cells(self) -> dict[str, str]:
        word = "accepted" if self.is_accepted else "refused"
        cells = self.result.cells()
        # What was accepted wants no advice, but for what was guessed.
        said = [*self.result.remarks, *self.damage] if self.is_accepted else [cells["reasons"]]
        why = "; ".join(dict.fromkeys(filter(None, [*self.refusals, *said])))
        return {"gate": word, "score": cells["score"], "why": why}


def refusals(result: Result, rules: Rules) -> list[str]:
    """A sentence for each rule that fails."""
    face = result.main_face
    if face is None or not result.seen:  # what is said to be a crop is judged without one
        return result.reasons if face is None else ["No face is found in this crop"]
    said = []
    if rules.one_face and result.seen > 1:
        said.append(f"{result.seen} faces are seen, one is wanted")
    if face.score is None:
        said.append("The score is unknown: these weights have no calibration")
    elif face.score < rules.min_score:
        said.append(f"The score is {face.score:.0f}, {rules.min_score:g} is wanted")
    said += _measured(face, rules.measures)
    return said


def _measured(face: JudgedFace, wanted: Mapping[str, Bounds]) -> list[str]:
    said = []
    for name, bounds in wanted.items():
        one = face.components[name]
        if bounds.score is not None and one.score < bounds.score:
            said.append(f"{name} is {one.score} of 100, {bounds.score:g} is wanted")
        if bounds.raw_min is not None and one.raw < bounds.raw_min:
            said.append(f"{name} is {one.raw:.3g}, at least {bounds.raw_min:g} is wanted")
        if bounds.raw_max is not None and one.raw > bounds.raw_max:
            said.append(f"{name} is {one.raw:.3g}, at most {bounds.raw_max:g} is allowed")
    return said


class GateJob:
    """Pictures in, decisions out."""

    def __init__(self, job: "QualityJob", rules: Rules):
        self.job, self.rules = job, rules
        self.model, self.version, self.networks = job.model, job.version, job.networks
        for name in rules.measures:
            if name not in NAMES:
                near = difflib.get_close_matches(name, NAMES, n=1)
                remedy = f"did you mean {near[0]}?" if near else "see the components of a row"
                raise UsageError(f"measures.{name}", "there is no such measure", remedy)

    @property
    def options(self) -> dict[str, Any]:
        return {**self.job.options, "rules": self.rules.model_dump()}

    def process(self, source: Source) -> Steps:
        result = yield from self.job.process(source)
        return Gated.of(result, self.rules)

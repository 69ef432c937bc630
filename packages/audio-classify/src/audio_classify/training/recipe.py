"""What a recipe says beside what every recipe says: data, model, how it is adapted, how sounds are
changed."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

import vitrail.training.recipe
from audio_classify.training.augment import Augment
from vitrail.training.recipe import Section


class Labelled(Section):
    """One folder per class, a CSV list or the official JSON; ``label`` names the list's column.

    ``test`` holds the values of the column ``by`` that training never sees. Of the other clips
    ``val_share`` validates: whole groups of equal ``val_by``, or single clips by their own names.
    With 0 all are trained on, and what remains to monitor is ``val/fit``, the loss on training
    clips as they are: in effect the last weights are kept. ``val`` names the groups that validate,
    in place of the share. ``kept_bins`` and ``centred`` are those of ``Features``.

    ``unknown`` is the label of what is none of the classes; then a clip is judged only where its
    likeliest class reaches what ``kept`` of the known validation clips reach. ``elsewhere`` lists
    clips of another source, which only the evaluation looks at.
    """

    kind: Literal["labelled"] = "labelled"
    path: Path
    label: str = "label"
    by: str = "split"
    test: tuple[str, ...] = ()
    val_by: str = "group"
    val_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    val: tuple[str, ...] = ()
    unknown: str | None = None
    kept: Annotated[float, Field(gt=0, lt=1)] = 0.9
    elsewhere: Path | None = None
    kept_bins: PositiveInt | None = None
    centred: bool = False


class Unlabelled(Section):
    """Folders or lists of sound files; of the lists' clips those in ``test``, as in ``Labelled``,
    are left out.

    ``val_share`` of the excerpts validates; ``masked`` is the share of the patches that is hidden.
    ``official`` trains in the release's order: its unfair masks, one for each of the two losses, in
    two passes.
    """

    kind: Literal["unlabelled"]
    paths: Annotated[tuple[Path, ...], Field(min_length=1)]
    by: str = "split"
    test: tuple[str, ...] = ()
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    masked: Annotated[float, Field(gt=0, lt=1)] = 0.6
    official: bool = False


class Model(Section):
    """The architecture and its options; ``init`` is a catalogued name or a weights file whose trunk
    to start from. ``start`` fills the stem ``speech`` with Google's speech embedding (extra
    ``train``). With ``copies`` that stem stays as it is: it hears each clip and so many changed
    copies once, and only what comes behind it is trained."""

    architecture: Literal["ssast", "cnn"] = "ssast"
    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None
    start: Literal["speech"] | None = None
    copies: NonNegativeInt = 0


class Adapt(Section):
    """What is trained: ``full``; the head alone (``probe``); or the head and low-rank updates of
    the blocks (``lora``), which are merged when the weights are written."""

    kind: Literal["full", "probe", "lora"] = "full"
    rank: PositiveInt = 8


class Recipe(vitrail.training.recipe.Recipe):
    """``mixup`` is the parameter of its Beta distribution (0: none), ``smoothing`` that of the
    labels. ``levels``: the sounds are also learned at these gains in dB, each rounded to 16 bits
    and raised as the job raises what is quiet."""

    data: Annotated[Labelled | Unlabelled, Field(discriminator="kind")]
    model: Model
    adapt: Adapt = Adapt()
    augment: Augment = Augment()
    levels: tuple[float, ...] = ()
    mixup: Annotated[float, Field(ge=0)] = 0.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    class_weights: bool = False

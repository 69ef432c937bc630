"""Which of a table's columns are the pulse: told by their names, or by the user, never by how clean
their rhythm is, because footsteps are cleaner than hearts."""

import re
from collections.abc import Iterable, Sequence

from vitrail.errors import InputError

# Vocabulary of WFDB, BIDMC, Polar, Empatica, MAX3010x and Shimmer
PULSE = re.compile(r"ppg|pleth|bvp|^pulse(wave)?$|^photo")
LIGHT = re.compile(r"^(red|ir|nir|infrared|green|blue|luma)(led|val|value|raw)?$")
LETTERS = {"r", "g", "b"}  # colours where they are the whole name; "g_x" is a gyroscope's
POLAR = re.compile(r"^channel \d+$")  # light only beside Polar's column "ambient"
OTHER_WORDS = re.compile(
    r"^(acc|gyr|mag|imu|temp|ecg|ekg|eda|gsr|emg|eeg|eog|scg|resp|spo|sao|hrv|ibi|bpm|heart|peak|"
    r"press|force|humid|alti|baro|step|activ|motion|batt|amb|qual|label|marker|event|time|date|"
    r"index|counter|seq|packet|unnamed)"
    r"|^(x|y|z|hr|rr|pr|rate|bp|abp|sbp|dbp|map|art|cvp|icp|pap|lc|id|idx|sqi|speed|lat|lon)$"
    r"|tohr$"
)
OTHER_NAMES = re.compile(r"^(|t|i{1,3}|av[rlf]|v\d?|mcl\d?)$")  # an index, the leads of an ECG
MIXTURE = "mixture"  # how a component of several channels is named
MAX_TOLD, MAX_NAME = 6, 16  # of names in an error


def is_other(name: str) -> bool:
    """Whether a column's ``name`` says that it is another quantity than the pulse."""
    bare = _bare(name)
    return bool(OTHER_NAMES.match(bare)) or any(map(OTHER_WORDS.search, _words(bare)))


def pulse_columns(
    subject: object, names: Sequence[str], channel: str | None, columns: Sequence[int]
) -> list[int]:
    """Which of ``columns``, positions in ``names``, are the pulse: those called ``channel``, those
    that their names call so, or the only one.

    Columns without any name are called by their number from 1 on. Several are channels of one
    quantity, such as the colours of one sensor. InputError where it is not clear.
    """
    named = any(names)
    called = {index: names[index] if named else str(index + 1) for index in columns}
    if channel is not None:
        wanted = channel.strip().casefold()
        found = [index for index, name in called.items() if name.casefold() == wanted]
        if not found:
            raise InputError(
                subject,
                f"has no column {_short(channel)!r}",
                f"--channel names one of {_told(called.values())}",
            )
        return found
    if not named:
        found = list(columns)
        if len(found) > 1:
            problem = f"has {len(found)} columns without names"
            raise InputError(subject, problem, "say with --channel which is the pulse, from 1 on")
        return found
    rest = [index for index in columns if not is_other(names[index])]
    light = any(_bare(name).startswith("ambient") for name in names)
    found = [index for index in rest if _is_pulse(_bare(names[index]), light)]
    if not found and len(rest) == 1:
        return rest
    if not found:
        problem = f"names no pulse signal among {_told(called.values())}"
        raise InputError(subject, problem, "say with --channel which it is")
    if len({_quantity(names[index]) for index in found}) > 1:
        problem = f"has several pulses: {_told(called[index] for index in found)}"
        raise InputError(subject, problem, "say with --channel which to take")
    return found


def _is_pulse(bare: str, polar: bool) -> bool:
    if bare in LETTERS or (polar and POLAR.match(bare)):
        return True
    return any(PULSE.search(word) or LIGHT.match(word) for word in _words(bare))


def _quantity(name: str) -> tuple[str, ...]:
    """What is left of a name without colours and numbers: channels of one sensor have it in
    common."""
    words = _words(_bare(name))
    return tuple(
        word for word in words if not (word.isdigit() or word in LETTERS or LIGHT.match(word))
    )


def _bare(name: str) -> str:
    """Without a unit in brackets, in lower case."""
    return re.sub(r"[(\[].*?[)\]]", "", name).strip().lower()


def _words(bare: str) -> list[str]:
    return re.findall(r"[^\W\d_]+|\d+", bare)


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def _told(columns: Iterable[str]) -> str:
    names = list(columns)
    more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
    return ", ".join(_short(name) or "''" for name in names[:MAX_TOLD]) + more

"""Signs that a capture is no live finger (presentation attack detection, ISO/IEC 30107-3). Placeholder."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppg_auth.capture import Capture


def attack_signs(capture: "Capture") -> tuple[str, ...]:
    return ()

"""A job whose network sees what got brighter."""

import pytest

from change_detect.job import ChangeJob

from .fakes import network


@pytest.fixture
def job() -> ChangeJob:
    return ChangeJob(network(), engine="eager")

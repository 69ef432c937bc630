"""Detectors of one kind of thing, such as faces and people: one network, one way to train and
measure it."""

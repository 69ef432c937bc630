"""Poses as tables and as pictures."""

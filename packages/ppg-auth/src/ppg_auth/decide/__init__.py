"""From a capture to a decision, and who is enrolled."""

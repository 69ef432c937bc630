"""Films: hints on any frame, carried along the motion, and colours that do not flicker."""

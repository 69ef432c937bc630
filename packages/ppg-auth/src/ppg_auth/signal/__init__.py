"""From a recording or a fingertip video to windows of a clean pulse wave; NumPy and SciPy alone."""

"""The parts of an evaluation: figures, held-out faces, labelled sources, worsened images."""

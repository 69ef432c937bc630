"""The geometry of a pose: crops, heat maps, scores."""

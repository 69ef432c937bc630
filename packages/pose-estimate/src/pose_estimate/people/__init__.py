"""Finding people: our own finder, those of others, box files, and who is who over time."""

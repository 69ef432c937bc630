"""Roads: OpenDRIVE read and written, the lanes as a graph, routes through it."""

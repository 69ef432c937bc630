"""Pictures, maps and styles for people."""

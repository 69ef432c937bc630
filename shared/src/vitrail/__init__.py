"""The core that Vitrail's systems share. Importing it costs nothing: every room imports its own
libraries."""

"""Two dates of one place: opened, compared, brought onto one grid and one scale."""

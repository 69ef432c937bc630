"""The leaderboard's scores, from the rows of a trace."""

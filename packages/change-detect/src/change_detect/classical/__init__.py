"""What no network is needed for: change vectors, and canonical variates."""

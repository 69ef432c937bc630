"""What the job does with a source between its frames and the verdict."""

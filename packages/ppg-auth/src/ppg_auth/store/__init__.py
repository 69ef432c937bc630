"""What is kept of people: sealed, in two databases, with the log of all decisions."""

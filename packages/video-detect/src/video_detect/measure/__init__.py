"""What is measured: average precision, by motion too, identities, and what users complain of."""

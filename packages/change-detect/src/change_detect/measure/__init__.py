"""How well changes are found."""

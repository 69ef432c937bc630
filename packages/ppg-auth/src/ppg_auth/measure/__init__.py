"""How often decisions are wrong, and how many attacks get through."""

"""A result for people: one image of it, and a page to look through."""

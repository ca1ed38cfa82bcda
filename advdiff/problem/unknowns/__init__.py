"""The kinds of unknowns, one a file."""

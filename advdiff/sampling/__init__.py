"""Experiments that draw from a posterior: their tables, their result as it grows, their task."""

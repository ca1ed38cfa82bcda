"""Meshes, and fields on them."""

"""What this is a version of: read by pyproject.toml, written into every file."""

__version__ = "0.1.0"

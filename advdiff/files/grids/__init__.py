"""Grid files: what their numbers, units, axes and layouts mean."""

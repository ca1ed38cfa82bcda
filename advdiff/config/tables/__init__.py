"""The tables of an experiment file, one a file: their keys, types, defaults, what must agree."""

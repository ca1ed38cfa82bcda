"""Where the tables of an experiment file become objects."""

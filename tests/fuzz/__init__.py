"""Bad input by the thousand: experiments, tables, grids, meshes and results nobody wrote with care.

``values`` makes what a key may be asked to hold, ``experiments`` and ``files`` make cases of it,
``runner`` gives a case to the command line in process and judges what it says; ``python -m
tests.fuzz`` (``scripts/fuzz``) does that for as many cases as wanted.
"""

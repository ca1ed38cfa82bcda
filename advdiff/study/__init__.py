"""Numerical studies of ``matexp`` as experiments: a table, a task, a result; no mesh, no PETSc."""

TASKS = ("surrogate-error", "random-rates")

"""Sensitivities and inversion for advection-diffusion on FEniCSx, PETSc and SLEPc."""

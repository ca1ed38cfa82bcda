"""Making a reduced model; needs the mesh, PETSc and MPI."""

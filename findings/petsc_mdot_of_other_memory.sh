#!/usr/bin/env bash
# PETSc 3.25.5 (in dolfinx-solver-real 0.11.0.post0; 3.22.5 does the same), 2026-12-01.
#
# VecMDot multiplies one vector by several.  Vectors that lie at equal distances in memory it takes for a
# matrix and hands to BLAS (-vec_mdot_use_gemv, on unless told otherwise), others it multiplies itself.
#
# Expected: the same bits for the same numbers, wherever the allocator has put them; a Krylov method that is
#           gone on with from a checkpoint makes the same iterates.
# Seen:     inner products that differ in the last digits with the distances; not with the option off.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}"
stated <<'PY'
import dolfinx_solver
import numpy as np
from petsc4py import PETSc

n, count = 1001, 6
rng = np.random.default_rng(0)
rows, x = rng.standard_normal((count, n)), rng.standard_normal(n)
first = PETSc.Vec().createWithArray(x, comm=PETSc.COMM_SELF)


def products(gaps):
    """Inner products with the rows, copied to one buffer with gaps between them."""
    buffer = np.zeros(count * (n + 64))
    at, vectors = 0, []
    for row, gap in zip(rows, gaps):
        buffer[at : at + n] = row
        vectors.append(PETSc.Vec().createWithArray(buffer[at : at + n], comm=PETSc.COMM_SELF))
        at += n + gap
    return np.array(first.mDot(vectors))


print("PETSc", *PETSc.Sys.getVersion())
equal, unequal = [8] * count, [8, 24, 16, 40, 8, 8]
difference = np.abs(products(equal) - products(unequal)).max()
print(f"rows at equal and at other distances: inner products differ by up to {difference:.1e}")
assert 0.0 < difference < 1e-10
PETSc.Options().setValue("vec_mdot_use_gemv", False)
first = PETSc.Vec().createWithArray(x, comm=PETSc.COMM_SELF)
difference = np.abs(products(equal) - products(unequal)).max()
print(f"the same with -vec_mdot_use_gemv 0: {difference:.1e}")
assert difference == 0.0
PY

#!/usr/bin/env bash
# xarray 2026.9.0 beside netCDF4 1.7.5.1.post1, 2026-11-30.
#
# A NetCDF file with a packed speed whose valid_range is 0 to 20 m/s, and a depth of which half was never
# written (NetCDF's own fill, no _FillValue).
#
# Expected: what is outside valid_range, and what was never written, missing: the NetCDF conventions on
#           attributes say that generic applications treat both so; netCDF4 masks them.
# Seen:     open_dataset with its mask_and_scale gives 300 m/s, −0.05 m/s and a depth of 9.97e36 as numbers;
#           valid_range stays in packed numbers, the scale factor is no longer beside it.
# Open for years: pydata/xarray issues 8359 (valid_range) and 2742 (fill).
source "$(dirname "$0")/common.sh"
packages xarray==2026.9.0 netCDF4==1.7.5.1.post1 numpy==2.5.5
stated <<'PY'
import netCDF4
import numpy as np
import xarray

with netCDF4.Dataset("river.nc", "w") as file:
    file.createDimension("x", 4)
    speed = file.createVariable("speed", "i2", ("x",))
    speed.set_auto_maskandscale(False)
    speed.scale_factor = 0.01
    speed.valid_range = np.array([0, 2000], dtype="i2")
    speed[:] = np.array([100, 2000, 30000, -5], dtype="i2")
    file.createVariable("depth", "f4", ("x",))[:2] = [1.0, 2.0]
with netCDF4.Dataset("river.nc") as file:
    for name in ("speed", "depth"):
        print("netCDF4", name, file[name][:])
        assert np.ma.getmaskarray(file[name][:]).tolist() == [False, False, True, True]
with xarray.open_dataset("river.nc", engine="netcdf4") as data:
    for name, last in (("speed", [300.0, -0.05]), ("depth", [9.96920997e36] * 2)):
        seen = data[name].values
        print("xarray", xarray.__version__, name, seen)
        assert np.allclose(seen[2:], last, rtol=1e-6), "xarray says missing"
PY

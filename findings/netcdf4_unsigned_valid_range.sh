#!/usr/bin/env bash
# netCDF4 1.7.5.1.post1 with numpy 2.5.5, 2026-11-30.
#
# A byte variable with _Unsigned = "true", by which a NetCDF-3 file holds 0 to 255, and valid_range 0 to
# 200, one number of it above.
#
# Expected: 1, 200, missing, 5, as the library reads it when the variable has a _FillValue (another number).
# Seen:     without one, TypeError: Cannot convert fill_value -127 to dtype uint8; the variable is readable
#           as long as nothing in it is out of range.
# The conversion came by Unidata/netcdf4-python pull request 797; no thread on this found.
source "$(dirname "$0")/common.sh"
packages netCDF4==1.7.5.1.post1 numpy==2.5.5
stated <<'PY'
import netCDF4
import numpy as np


def read(name, numbers, **fill):
    with netCDF4.Dataset(name, "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("x", 4)
        chart = file.createVariable("chart", "i1", ("x",), **fill)
        chart.set_auto_maskandscale(False)
        chart.setncattr("_Unsigned", "true")
        chart.valid_range = np.array([0, 200], dtype="u1").view("i1")
        chart[:] = np.array(numbers, dtype="u1").view("i1")
    with netCDF4.Dataset(name) as file:
        try:
            seen = file["chart"][:].tolist()
        except TypeError as error:
            seen = f"TypeError: {error}"
    print(numbers, fill, seen)
    return seen


print("netCDF4", netCDF4.__version__)
assert read("inside.nc", [1, 200, 3, 5]) == [1, 200, 3, 5]
assert read("filled.nc", [1, 200, 255, 5], fill_value=np.int8(-2)) == [1, 200, None, 5]
seen = read("outside.nc", [1, 200, 255, 5])
assert seen == "TypeError: Cannot convert fill_value -127 to dtype uint8", "it is read"
PY

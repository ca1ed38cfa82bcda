"""What kind of file it is: its format by its first bytes, its layout by the names in it.

For the messages above all: a valid file that is not read is called what it is, with what makes it
one that is.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import h5py

from advdiff.core.errors import InputError

BARE = b"This is a netCDF dimension but not a netCDF variable"
"""NAME of a data set that stands for the length of a dimension, and holds nothing (netCDF-4)."""
FILTERS = {
    1: "deflate",
    4: "szip",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32023: "bit grooming",
    32026: "blosc2",
}
"""Compressions by their registered number."""
OTHERS = (
    (b"GRIB", "GRIB; write cdo -f nc4 copy {} new.nc"),
    (b"\x0e\x03\x13\x01", "HDF4; write h4tonccf_nc4 {} new.nc"),
)

LAYOUTS = (
    ("an unstructured mesh (FVCOM)", {"nele", "siglay", "siglev"}),
    ("an unstructured mesh (SCHISM)", {"nSCHISM_hgrid_node", "nSCHISM_hgrid_face"}),
    ("an unstructured mesh (MPAS)", {"nCells", "nEdges", "nVertices"}),
    ("an unstructured mesh (ICON)", {"ncells", "cell"}),
    (
        "a staggered curvilinear grid (ROMS)",
        {f"{a}_{b}" for a in ("xi", "eta") for b in ("rho", "u", "v", "psi")},
    ),
    ("a staggered grid (WRF)", {"west_east", "west_east_stag", "south_north_stag"}),
    ("a reduced grid", {"rgrid", "ncol", "values"}),
)
"""By names of dimensions."""
READ = ("curvilinear", "UGRID", "FVCOM")
"""Words of layouts that are read in two dimensions."""
REGRID = "interpolate it to a regular grid first (cdo remapbil, xESMF, scipy.interpolate.griddata)"


def engine(path: Path, key: str) -> str:
    """By what xarray reads a file: h5netcdf, scipy or netcdf4.

    Raises:
        InputError: for a valid file of another format.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{key}.file: {path} cannot be opened ({error.strerror})") from None
    for magic, what in OTHERS:
        if start == magic:
            raise InputError(f"{key}.file: {path} is {what.format(path.name)}")
    if start != b"CDF\x05":
        return "scipy" if start[:3] == b"CDF" else "h5netcdf"
    if find_spec("netCDF4") is None:
        raise InputError(
            f"{key}.file: {path} is NetCDF of the CDF-5 format (64-bit data); install the Python "
            f"module netCDF4, which reads it, or write nccopy -k nc4 {path.name} new.nc"
        )
    return "netcdf4"


def is_bare_dimension(entry: h5py.Dataset) -> bool:
    """Whether a data set is a dimension of netCDF-4 without coordinates."""
    try:
        name = entry.attrs.get("NAME", b"")
    except Exception:  # as damaged files have
        return False
    return (name.encode() if isinstance(name, str) else bytes(name)).startswith(BARE)


def missing_filter(entry: h5py.Dataset) -> str:
    """The compression of a data set that this HDF5 cannot undo, or ''."""
    plist = entry.id.get_create_plist()
    for i in range(plist.get_nfilters()):
        number, _, _, name = plist.get_filter(i)
        if not h5py.h5z.filter_avail(number):
            return FILTERS.get(number) or name.decode(errors="replace") or f"filter {number}"
    return ""


def layout(data, places: list[str]) -> str:
    """What else than a grid with axes of one dimension it is, as far as names tell, or ''.

    Args:
        data: the xarray dataset of the group, undecoded.
        places: dimensions of the variable in question.
    """
    conventions = str(data.attrs.get("Conventions", ""))
    roles = [str(v.attrs.get("cf_role", "")) for v in data.variables.values()]
    if "mesh_topology" in roles or "UGRID" in conventions:
        return "an unstructured mesh (UGRID)"
    if data.attrs.get("featureType"):
        return f"a set of stations or tracks (featureType {data.attrs['featureType']})"
    for name in places:
        if name in data.variables and "compress" in data.variables[name].attrs:
            return f"gathered points (compress = {data.variables[name].attrs['compress']})"
    for what, names in LAYOUTS:
        if names.intersection(places):
            return what
    flat = [
        name
        for name, v in data.variables.items()
        if v.ndim >= 2 and set(v.dims) <= set(places) and _horizontal(name, v.attrs)
    ]
    if flat:
        model = " (NEMO)" if any("nav_l" in name for name in flat) else ""
        return f"a curvilinear grid{model}, {' and '.join(sorted(flat)[:2])} of two dimensions"
    return ""


def _horizontal(name: str, attributes: dict) -> bool:
    units = str(attributes.get("units", "")).lower()
    named = name.lower() in ("nav_lon", "nav_lat", "lon", "lat", "longitude", "latitude")
    return named or units.startswith(("degrees_e", "degrees_n", "degree_e", "degree_n"))

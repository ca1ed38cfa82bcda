"""Files: HDF5 results, grids, tables of readings, ParaView."""

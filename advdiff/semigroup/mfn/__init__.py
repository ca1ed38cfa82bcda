"""SLEPc's Krylov exponentials."""

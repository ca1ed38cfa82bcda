# For the findings to source: a Python with pinned public packages, in a temporary folder.
#
#   packages SPEC…   make it, or complete the one that FINDINGS_VENV names
#   stated           run the Python program on standard input in it; 0: as stated, 1: changed
#
# Exit code 2 says that a finding could not be tried here.
# shellcheck shell=bash
set -euo pipefail

DOLFINX=(dolfinx-solver-real==0.11.0.post0 fenics-basix==0.11.0 fenics-ffcx==0.11.0
    fenics-ufl==2026.1.0 mpi4py==4.1.2 mpich==5.0.2 numpy==2.5.5)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache OMP_NUM_THREADS=1 # what is compiled is compiled anew
unset PYTHONPATH PYTHONHOME

untried() { echo "not tried: $*" >&2; exit 2; }

packages() {
    local python candidate
    venv=${FINDINGS_VENV:-$work/venv}
    if [ ! -x "$venv/bin/python" ]; then
        for candidate in python3.13 python3.12 python3; do
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue
            python=$candidate
            break
        done
        [ -n "${python:-}" ] ||
            untried "no Python >= 3.12 on PATH; install python3.13 and its venv"
        "$python" -m venv "$venv" || untried "no venv; install python3-venv"
    fi
    "$venv/bin/python" -I -m pip install --quiet --disable-pip-version-check "$@" ||
        untried "pip could not install $*"
}

compiler() { # where forms are compiled
    command -v cc >/dev/null || command -v gcc >/dev/null || untried "no C compiler; install gcc"
}

stated() {
    cat >"$work/finding.py"
    cd "$work"
    timeout 300 "$venv/bin/python" -I finding.py || { echo "changed: see above"; exit 1; }
    echo "as stated"
}

# shellcheck shell=bash disable=SC2154  # scripts/run reads this file and sets what it uses
# The route "wheels": the wheels of wheels.txt beside a private Python, in one folder of the cache. The
# Python is Debian 13's, unpacked from its packages with its own C library; nothing is installed,
# mounted or asked of root. A folder that was moved is settled in its new place.

recipe=1  # another number where what is made from the same packages and wheels changes
uv=0.13.9 # installs the wheels; not kept

python_packages=(
    python3.13 python3.13-minimal libpython3.13-{dev,minimal,stdlib} python3-pip-whl ca-certificates patchelf
    libc6 libgcc-s1 libstdc++6 libgomp1 zlib1g libbz2-1.0 liblzma5 libzstd1 libexpat1 libffi8 libssl3t64
    libsqlite3-0 libuuid1 libncursesw6 libtinfo6 libreadline8t64
    # for gmsh, which is linked with its windows
    libglu1-mesa libgl1 libglx0 libopengl0 libglvnd0 libx11-6 libxcb1 libxau6 libxdmcp6 libbsd0 libmd0
    libxext6 libxrender1 libxcursor1 libxfixes3 libxft2 libxinerama1 libfontconfig1 libfreetype6
    libpng16-16t64 libbrotli1
)

give_up() { say "no wheels here: $*"; exit 4; }

libraries=usr/lib/x86_64-linux-gnu

debian_mirror() { # the archive that this machine's apt reads
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [ -r /etc/os-release ] || return 0
    local codename
    codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME:-sid}") || return 0
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v codename="$codename" '$2 == codename && $3 == "main" && !seen++ { print $1 }'
}

unpack_python() { # unpack_python DIR MIRROR: Debian 13's Python into DIR
    local apt=$1.apt signed='' options keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ ! -r "$keyring" ] || signed=" signed-by=$keyring"
    mkdir -p "$apt"/{lists,archives,debs}/partial
    : >"$apt/status"
    echo "deb [arch=amd64$signed] $2 trixie main" >"$apt/sources.list"
    options=(-qq -o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
        -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o Acquire::Languages=none
        -o Acquire::Retries=3 -o APT::Update::Error-Mode=any)
    [ "$EUID" -ne 0 ] || options+=(-o APT::Sandbox::User=root)
    (cd "$apt/debs" && apt-get "${options[@]}" update && apt-get "${options[@]}" download "${python_packages[@]}") &&
        find "$apt/debs" -name '*.deb' -print0 | xargs -0 -P 4 -I {} dpkg-deb --extract {} "$1" || return
    rm -r "$apt"
    # pyconfig.h where one include directory finds it
    mv "$1/usr/include/x86_64-linux-gnu/python3.13/pyconfig.h" "$1/usr/include/python3.13/"
    cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/ca-certificates.crt"
    rm -r "$1"/usr/share/{doc,man,ca-certificates} "$1"/usr/lib/python3.13/config-*/*.a "$1/$libraries/gconv"
    with_loader "$1" patchelf --force-rpath --set-rpath "\$ORIGIN/../../$libraries" "$1/usr/bin/python3.13"
    mv "$1/usr/bin/python3.13" "$1/usr/bin/unsettled"
}

with_loader() { # with_loader PYTHON CMD …: CMD of the unpacked packages, with their C library
    "$1/$libraries/ld-linux-x86-64.so.2" --library-path "$1/$libraries" "$1/usr/bin/$2" "${@:3}"
}

settle() { # settle DIR [PLACE]: what names its own place in DIR, which is or shall be at PLACE
    local python=$1/python
    with_loader "$python" patchelf --set-interpreter "$python/$libraries/ld-linux-x86-64.so.2" \
        --output "$python/usr/bin/python3.13.new" "$python/usr/bin/unsettled"
    chmod 755 "$python/usr/bin/python3.13.new"
    mv "$python/usr/bin/python3.13.new" "$python/usr/bin/python3.13"
    printf '%s\n' "home = $python/usr/bin" 'version = 3.13' 'relocatable = true' >"$1/pyvenv.cfg.new"
    mv "$1/pyvenv.cfg.new" "$1/pyvenv.cfg"
    printf '%s' "$1" >"$1/place"
}

install_wheels() { # install_wheels DIR
    local python=$1/bin/python3 site=$1/lib/python3.13/site-packages bundle pip
    mkdir -p "$1/bin" "$site"
    ln -s ../python/usr/bin/python3.13 "$1/bin/python3"
    ln -s python3 "$1/bin/python"
    settle "$1"
    bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    [ -r "$bundle" ] || bundle=$1/python/ca-certificates.crt
    export SSL_CERT_FILE=$bundle PIP_CERT=${PIP_CERT:-$bundle} UV_CACHE_DIR=$1.uv PIP_USER=0
    pip=("$1"/python/usr/share/python-wheels/pip-*.whl)
    "$python" -I "${pip[0]}/pip" install --quiet --no-cache-dir --no-deps \
        --disable-pip-version-check --target "$1.tools" "uv==$uv" || return
    "$1.tools/bin/uv" pip install --quiet --no-deps --python "$python" -r "$scripts/routes/wheels.txt" || return
    find "$site"/{numba,numpy,pandas,scipy,xarray} -type d -name tests -prune -exec rm -r {} +
    rm -r "$1"/share/doc
    with_loader "$1/python" patchelf --set-rpath "\$ORIGIN/../python/$libraries" "$1"/lib/libgmsh.so.*.*
}

make_wheels() { # make_wheels DIR
    local log=$place.log
    say "making a place for PyPI's DOLFINx, once"
    say "    in $place (about 0.9 GB; takes half a minute)"
    step unpack_python "$1/python" "$mirror" >"$log" 2>&1 ||
        give_up "Debian's packages cannot be fetched or unpacked, see $log"
    step install_wheels "$1" >>"$log" 2>&1 || give_up "the wheels cannot be fetched or installed, see $log"
    (use_wheels "$1" && step mpirun -n 2 python3 "$scripts/routes/verify.py" "$scripts/routes/wheels.txt") \
        >>"$log" 2>&1 || give_up "what was installed does not work, see $log"
    rm "$log"
}

obstacle() { # why this machine cannot have the wheels, if so
    if [ "$(uname -m)" != x86_64 ]; then
        echo "they are for x86-64"
    elif [ -z "$mirror" ]; then
        echo "their Python comes from Debian's archive, which apt does not know here"
    fi
}

compiler() { # the C compiler for forms
    local name
    for name in "${CC:-cc}" gcc clang; do
        ! command -v "${name%% *}" >/dev/null || { echo "$name" && return; }
    done
    return 1
}

have_wheels() {
    place=$(readlink -m "$cache")/wheels-$({ echo "$recipe" "${python_packages[@]}" && cat "$scripts/routes/wheels.txt"; } | sha256sum | cut -c1-10)
    [ "$(cat "$place/place" 2>/dev/null)" != "$place" ] || return 0
    local mirror trouble
    mirror=$(debian_mirror)
    trouble=$(obstacle)
    [ -z "$trouble" ] || { say "no wheels here: $trouble" && return 1; }
    compiler >/dev/null && echo '#include <math.h>' | $(compiler) -shared -fPIC -x c -o /dev/null - 2>/dev/null ||
        install_or_say "no C compiler here, which forms need" gcc libc6-dev
    local status=0
    set +e
    (set -e && locked "$place" settled)
    status=$?
    set -e
    [ "$status" -eq 0 ] || [ "$status" -eq 4 ] || exit "$status"
    return "$status"
}

settled() {
    make_once "$place" make_wheels
    [ "$(cat "$place/place")" = "$place" ] || settle "$place"
}

use_wheels() { # use_wheels DIR
    private "$place" wheels
    export PATH="$1/bin:$PATH" CC
    CC=$(compiler) || unset CC
    surroundings HYDRA
}

enter_wheels() {
    use_wheels "$place"
    exec "$@"
}

# shellcheck shell=bash disable=SC2154  # scripts/run reads this file and sets what it uses
# The route "wheels": the wheels of wheels.txt beside a private Python, in one folder of the cache. The
# Python is Debian 13's, unpacked from its packages with its own C library; where apt cannot read Debian's
# archive, it is the machine's own. Nothing is mounted or asked of root. A folder that was moved is
# settled in its new place.

recipe=3  # another number where what is made from the same packages and wheels changes
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

libraries=usr/lib/x86_64-linux-gnu

debian_mirror() { # the archive that this machine's apt reads
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [ -r /etc/os-release ] || return 0
    local codename
    codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME:-sid}") || return 0
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null | awk -v codename="$codename" '
        function offer(uri, suites, components) {
            if (uri && (" " suites " ") ~ (" " codename " ") && components ~ /main/ && !seen++) print uri
        }
        $1 == "deb" { sub(/\[[^]]*\]/, ""); offer($2, $3, $4) }
        $1 == "URIs:" { uri = $2 }
        $1 == "Suites:" { suites = $0 }
        $1 == "Components:" { components = $0 }
        /^[[:space:]]*$/ { offer(uri, suites, components); uri = "" }
        END { offer(uri, suites, components) }'
}

unpack_python() { # unpack_python DIR MIRROR: Debian 13's Python into DIR
    local apt=${1%/*}.tmp-apt signed='' options keyring=/usr/share/keyrings/debian-archive-keyring.gpg
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

settle() { # settle DIR: what names its own place in DIR
    local python=$1/python home
    if [ -d "$python" ]; then
        with_loader "$python" patchelf --set-interpreter "$python/$libraries/ld-linux-x86-64.so.2" \
            --output "$python/usr/bin/python3.13.new" "$python/usr/bin/unsettled" || return
        chmod 755 "$python/usr/bin/python3.13.new"
        mv "$python/usr/bin/python3.13.new" "$python/usr/bin/python3.13"
    fi
    home=$(readlink -m "$1/bin/python3")
    printf '%s\n' "home = ${home%/*}" 'include-system-site-packages = false' 'relocatable = true' >"$1/pyvenv.cfg.new" || return
    mv "$1/pyvenv.cfg.new" "$1/pyvenv.cfg"
    printf '%s' "$1" >"$1/place"
}

host_python() { # the path of a Python of this machine that has headers and pip
    local name
    for name in python3.13 python3.12 python3.14 python3; do
        ! "$name" -I - 2>/dev/null <<<'if True:
            import os, sys, sysconfig
            import pip
            header = os.path.join(sysconfig.get_path("include"), "Python.h")
            assert (3, 12) <= sys.version_info[:2] <= (3, 14) and os.path.exists(header)
            assert sys.prefix == sys.base_prefix
            print(os.path.realpath(sys.executable))' || return 0
    done
}

install_wheels() { # install_wheels DIR PYTHON
    local python=$1/bin/python3 bundle pip site
    mkdir -p "$1/bin"
    ln -s "$2" "$python"
    ln -s python3 "$1/bin/python"
    settle "$1" || return
    bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    [ -r "$bundle" ] || [ ! -d "$1/python" ] || bundle=$1/python/ca-certificates.crt
    [ ! -r "$bundle" ] || export SSL_CERT_FILE=$bundle PIP_CERT=${PIP_CERT:-$bundle}
    pip=("$2" -I -m pip)
    # Debian's pip reads /etc/ssl/certs as it is imported, whether that is there or not
    [ ! -d "$1/python" ] || pip=("$python" -I -c 'if True:
        import os, sys
        sys.path.insert(0, sys.argv.pop(1))
        import pip._vendor.certifi
        pip._vendor.certifi.where = lambda: os.environ["SSL_CERT_FILE"]
        from pip._internal.cli.main import main
        sys.exit(main())' "$1"/python/usr/share/python-wheels/pip-*.whl)
    export UV_CACHE_DIR=$1.tmp-uv PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    "${pip[@]}" install --quiet --no-cache-dir --no-deps --target "$1.tmp-tools" "uv==$uv" || return
    "$1.tmp-tools/bin/uv" pip install --quiet --no-deps --require-hashes --python "$python" \
        -r "$scripts/routes/wheels.txt" || return
    rm -r "$1/share/doc"
    site=$(echo "$1"/lib/python3.*/site-packages)
    cp "$scripts/routes/order.py" "$site/advdiff_order.py" || return
    echo "import advdiff_order" >"$site/advdiff_order.pth" || return
    find "$site"/{numba,numpy,pandas,scipy,xarray} -type d -name tests \
        -prune -exec rm -r {} +
    [ ! -d "$1/python" ] ||
        with_loader "$1/python" patchelf --set-rpath "\$ORIGIN/../python/$libraries" "$1"/lib/libgmsh.so.*.*
}

make_wheels() { # make_wheels DIR
    local log=$place.log python=../python/usr/bin/python3.13
    say "making a place for PyPI's DOLFINx, once"
    say "    in $place (about 0.9 GB; takes half a minute)"
    : >"$log"
    if [ -z "$mirror" ] || ! step unpack_python "$1/python" "$mirror" >>"$log" 2>&1; then
        rm -rf "$1/python"
        python=$(host_python)
        [ -n "$python" ] || not_fetched "Debian's packages cannot be had"
    fi
    step install_wheels "$1" "$python" >>"$log" 2>&1 || not_fetched "PyPI's wheels cannot be had"
    (use_wheels "$1" && step mpirun -n 2 python3 "$scripts/routes/verify.py" "$scripts/routes/wheels.txt") \
        >>"$log" 2>&1 || {
        echo "what was installed does not work" >"$place.refused"
        say "$(<"$place.refused"), see $log$otherwise"
        exit 4
    }
    rm -f "$log" "$place.refused"
}

not_fetched() { # not_fetched WHY: exit code 5 without a network, which a Debian root needs as well, else 4
    local network='name resolution|failure resolving|network is unreachable|could not connect|dns error'
    if grep -qiE "$network" "$place.log"; then
        say "no network? $1, see $place.log"
        exit 5
    fi
    say "$1, see $place.log$otherwise"
    exit 4
}

obstacle() { # why this machine cannot have the wheels, if so
    if [ "$(uname -m)" != x86_64 ]; then
        echo "they are for x86-64"
    elif ! printf '%s\n' "glibc 2.34" "$(getconf GNU_LIBC_VERSION 2>&1)" | sort -CV; then
        echo "they need glibc 2.34"
    elif [ -z "$mirror" ] && [ -z "$(host_python)" ]; then
        echo "neither can apt read Debian's archive here, nor is there a Python 3.12 to 3.14 with pip and Python.h"
    fi
}

compiler() { # the C compiler for forms
    local name
    for name in "${CC:-cc}" gcc clang; do
        ! command -v "${name%% *}" >/dev/null || { echo "$name" && return; }
    done
    return 1
}

compiles() { # the C library's headers are a package of their own
    local cc
    cc=$(compiler) && echo '#include <math.h>' | $cc -shared -fPIC -x c -o /dev/null - 2>/dev/null
}

wheels_place() { # the folder, by what is in it
    local what
    what=$({ echo "$recipe $uv ${python_packages[*]}" && cat "$scripts/routes/"{wheels.txt,order.py}; } | sha256sum)
    echo "$(readlink -m "$cache")/wheels-${what:0:10}"
}

have_wheels() { # have_wheels "" or what to say after a reason why not; called with set +e
    local otherwise=$1 mirror trouble status maker
    place=$(wheels_place)
    [ "$(cat "$place/place" 2>/dev/null)" != "$place" ] || return 0
    if [ ! -d "$place" ]; then
        mirror=$(debian_mirror)
        trouble=$(obstacle)
        [ -z "$otherwise" ] || [ -n "$trouble" ] || trouble=$(cat "$place.refused" 2>/dev/null)
        [ -z "$trouble" ] || { say "no wheels here: $trouble$otherwise" && return 1; }
        compiles || install_or_say "no C compiler here, which forms need" gcc libc6-dev
    fi
    (set -e && locked "$place" settled) & # a shell of its own, because it may give up
    maker=$!
    trap 'stop_making 130' INT
    trap 'stop_making 143' TERM HUP
    wait "$maker"
    status=$?
    trap - INT TERM HUP
    [[ $status =~ ^[04]$ ]] || exit $((status == 5 ? 2 : status))
    return "$status"
}

stop_making() { # stop_making CODE
    kill -TERM "$maker" 2>/dev/null
    wait "$maker"
    exit "$1"
}

settled() {
    make_once "$place" make_wheels
    [ "$(cat "$place/place")" = "$place" ] || settle "$place" ||
        die "cannot write to $place, which was moved; set ADVDIFF_CACHE"
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

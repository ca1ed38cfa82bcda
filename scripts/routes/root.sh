# shellcheck shell=bash disable=SC2154  # scripts/run reads this file and sets what it uses
# The route "root": a private Debian root, built once from packages.txt by mmdebstrap and entered with
# bubblewrap; files keep their paths.

suite=${ADVDIFF_SUITE:-trixie}

packages() { # packages debian|pypi
    sed 's/#.*//' "$scripts/packages.txt" | awk -v kind="$1" \
        '{ pypi = sub(/^pypi:/, "", $1) } NF && pypi == (kind == "pypi") { print $1 }'
}

need_tools() {
    local missing=() more=debian-archive-keyring
    command -v mmdebstrap >/dev/null || [ -d "$root" ] || missing+=(mmdebstrap)
    command -v bwrap >/dev/null || missing+=(bubblewrap)
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$EUID" -eq 0 ] || more=uidmap # without root, mmdebstrap also wants newuidmap
    install_or_say "no DOLFINx here, and no ${missing[*]} to make a place for it" \
        "${missing[@]}" "$more"
}

mounts() { # mounts ROOT ro-bind|bind: fill the array box with bwrap's arguments
    local root=$1 how=$2 dir path
    box=(--dev /dev --proc /proc --ro-bind /sys /sys --tmpfs /dev/shm)
    for path in "$root"/*; do
        dir=/${path##*/}
        if [ -L "$path" ]; then
            box+=(--symlink "$(readlink "$path")" "$dir")
        elif [[ $dir =~ ^/(usr|etc|var)$ ]]; then
            box+=("--$how" "$path" "$dir")
        fi
    done
    for dir in /*; do # every directory of the host that the root does not own
        [[ $dir =~ ^/(bin|boot|dev|etc|lib.*|lost\+found|proc|run|sbin|sys|usr|var)$ ]] ||
            { [ -d "$dir" ] && box+=(--bind "$dir" "$dir"); }
    done
    box+=(--bind /var/tmp /var/tmp --bind-try /run/user /run/user --bind-try /run/media /run/media)
    # such as /var/lib/jenkins
    for path in "$PWD" "$(pwd -P)" "$repo" "$HOME" "$cache" "${TMPDIR:-/tmp}"; do
        if [[ ! $path =~ ^/(usr|etc|var)/ || ! -d $path ]]; then continue; fi
        [ -d "$root$path" ] || mkdir -p "$root$path"
        # a directory with files in it is the root's own; one without is a mount point
        [ -n "$(find "$root$path" ! -type d -print -quit)" ] || box+=(--bind "$path" "$path")
    done
    for path in /etc/{passwd,group,hosts,resolv.conf,pip.conf,ssl/certs/ca-certificates.crt}; do
        [ -e "$path" ] && [ -e "$root$path" ] && box+=(--ro-bind "$path" "$path")
    done
    return 0
}

bootstrap() { # bootstrap DIR
    local include options=(--variant=minbase --aptopt='Acquire::Retries "3"'
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*')
    include=$(packages debian | paste -sd,)
    # sid is often served from a snapshot
    [ "$suite" != sid ] || options+=(--aptopt='Acquire::Check-Valid-Until "false"')
    if [ "$EUID" -eq 0 ]; then # in a PID namespace, so that nothing of it can outlive this script
        mkdir "$1.work"
        exec bwrap --dev-bind / / --proc /proc --unshare-pid --die-with-parent \
            --setenv TMPDIR "$1.work" mmdebstrap --mode=root "${options[@]}" --include="$include" "$suite" "$1"
    fi
    # through a tar, so that every file belongs to the caller and not to a subordinate uid
    mmdebstrap --mode=auto "${options[@]}" --include="$include" "$suite" - |
        tar -x -C "$1" --no-same-owner --exclude='./dev/*'
}

make_root() { # make_root DIR
    say "building a Debian $suite root with DOLFINx, once"
    say "    in $root (about 3 GB; takes 3 to 6 minutes)"
    step bootstrap "$1" || die "the build failed, see above; nothing is left of it"
    touch "$1/etc/resolv.conf" "$1/etc/pip.conf"
    mounts "$1" bind
    say "adding from PyPI: $(packages pypi | paste -sd' ')"
    packages pypi >"$1/usr/local/pypi.txt"
    step bwrap --die-with-parent "${box[@]}" --chdir / --setenv PATH /usr/bin:/bin \
        /usr/bin/python3 -I -m pip install -qq --no-cache-dir --break-system-packages \
        --root-user-action=ignore --requirement /usr/local/pypi.txt ||
        die "pip failed, see above; nothing is left of the build"
    bwrap "${box[@]}" mpirun --version >"$1/usr/local/mpirun-version"
}

have_root() {
    local key
    key=$suite-$(uname -m)-$({ packages debian && packages pypi; } | sha256sum | cut -c1-10)
    root=$cache/$key
    need_tools
    bwrap --dev-bind / / true 2>/dev/null ||
        die "bubblewrap may not make namespaces here, which a Debian root needs and ADVDIFF_ROUTE=wheels does not"
    [ -d "$root" ] || locked "$root" make_once "$root" make_root
    mounts "$root" ro-bind
}

enter_root() {
    private "$root" "$suite"
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    surroundings "$(<"$root/usr/local/mpirun-version")"
    export LC_ALL=C.UTF-8 OMPI_MCA_btl=${OMPI_MCA_btl:-self,sm}

    # bwrap must outlive signals meant for CMD, and CMD must get them: Ctrl-C reaches both through
    # the terminal, SIGTERM is handed on, and even if this script is killed CMD gets a SIGTERM.
    # No PID namespace: Open MPI names directories in /tmp, which all share, after its PID.
    trap '' INT QUIT TERM
    setpriv --pdeathsig KILL bwrap "${box[@]}" --chdir "$PWD" \
        env --default-signal=INT,QUIT,TERM setpriv --pdeathsig TERM -- "$@" <&0 &
    local bwrap=$! status=0
    trap 'kill -TERM $(cat "/proc/$bwrap/task/$bwrap/children" 2>/dev/null) 2>/dev/null || true' TERM
    while :; do
        wait "$bwrap" && status=0 || status=$?
        kill -0 "$bwrap" 2>/dev/null || exit "$status"
    done
}

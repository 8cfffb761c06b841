#!/bin/bash
# Brings what certfleet is built and tested with: deploy/deps.sh [BUILD_DIR] [test|bench]
#
# Debian's packages are installed (by sudo when not root), but only those that are missing, so that a second run takes
# no time. Some are unpacked into BUILD_DIR/deps instead, touching nothing outside it:
#   - hiredis >= 1.0, which is the first with TLS, from Debian 13 where this machine's own is older;
#   - Pebble from Debian unstable, which is the first with ARI, profiles and /set-renewal-info/;
#   - whichever of Redis 7.0 (Debian 12) and Valkey 8 (Debian 13, Debian 12's backports) this machine does not have: the
#     scripts are tested on both. Both need the libraries of redis-server alone, which is installed.
# `test` adds what the end-to-end tests alone need (a browser, an Alertmanager), `bench` what is measured beside: lego,
# ruby-sidekiq, dnsperf, and BullMQ by npm. The others come by apt from this machine's own mirror, with package lists in
# a private folder, and are authenticated by Debian's archive keyring as any other package is.
# What was found is left in BUILD_DIR/deps.mk for the Makefile.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

build=${1:-build}
what=${2:-}
deps=$build/deps
peers=$(dirname "$0")/../tests/bench/peers
mkdir -p "$deps/bin"

packages=(
    make gcc libc6-dev pkg-config python3 openssl curl
    libcurl4-openssl-dev libssl-dev libyaml-dev libjansson-dev libuv1-dev libldns-dev libmicrohttpd-dev libidn2-dev
    libpsl-dev publicsuffix ca-certificates libcmocka-dev
    redis-server redis-tools knot knot-dnsutils unbound haproxy bind9-dnsutils procps mandoc
    python3-redis python3-msgpack python3-pytest python3-pytest-xdist python3-yaml
)
test_packages=(python3-jsonschema prometheus-alertmanager chromium chromium-driver python3-selenium fonts-dejavu-core)

say() { echo "deps: $*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo env DEBIAN_FRONTEND=noninteractive "$@"; fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# The version that apt would install, or nothing.
candidate() { apt-cache policy "$1" | awk '/Candidate:/ && $2 != "(none)" { print $2 }'; }

# Daemons that are installed for tests are not started: they would take port 53 and 80 of somebody's machine.
quiet_services() {
    [ -e /usr/sbin/policy-rc.d ] && return
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

install_missing() {
    local missing=() p
    for p; do installed "$p" || missing+=("$p"); done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]}"
    [ -n "$updated" ] || as_root apt-get -qq update
    updated=1
    quiet_services
    if ! as_root apt-get -qq -y --no-install-recommends install "${missing[@]}" >"$deps/apt.log" 2>&1; then
        tail -n 30 "$deps/apt.log" >&2
        die "apt-get install failed"
    fi
}

# unpack NAME SUITE PACKAGE...: into $deps/NAME. Each suite has lists of its own, so that one that cannot be read does
# not take the others with it. Status 1: it could not be had.
unpack() {
    local name=$1 suite=$2 private=$deps/apt/$2 mirror apt deb
    shift 2
    [ -e "$deps/$name/.done" ] && return
    say "unpacking $* of $suite into $deps/$name"
    private=$(mkdir -p "$private/lists/partial" && cd "$private" && pwd)
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
    [ -n "$mirror" ] || die "this machine's apt knows no mirror: add a Debian source to /etc/apt and repeat"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$suite" \
        /usr/share/keyrings/debian-archive-keyring.gpg >"$private/deps.sources"
    apt=(apt-get -qq -o "Dir::Etc::SourceList=$private/deps.sources" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$private/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o Acquire::Languages=none -o "APT::Sandbox::User=$(id -un)")
    case " $private_updated " in
        *" $suite "*) ;;
        *) "${apt[@]}" update || return 1; private_updated+=" $suite" ;;
    esac
    rm -rf "${deps:?}/$name" "$private/debs"
    mkdir -p "$deps/$name" "$private/debs"
    # By suite, or apt would take the version that is installed, or the highest it knows of.
    (cd "$private/debs" && "${apt[@]}" download "${@/%//$suite}") || return 1
    for deb in "$private"/debs/*.deb; do dpkg -x "$deb" "$deps/$name"; done
    touch "$deps/$name/.done"
}

# server NAME VERSION SUITE PACKAGE...: bin/NAME-VERSION is the server of that version: this machine's own, or the suite's.
server() {
    local name=$1 version=$2 suite=$3 own
    shift 3
    own=$(command -v "$name" || true)
    if [ -n "$own" ] && [[ $("$own" --version) == *" v=$version."* ]]; then
        ln -sf "$own" "$deps/bin/$name-$version"
        return
    fi
    unpack "$name-$version" "$suite" "$@" || die "$name $version of $suite cannot be had"
    ln -sf "../$name-$version/usr/bin/$name" "$deps/bin/$name-$version"
    "$deps/bin/$name-$version" --version >/dev/null || die "$name $version of $suite does not run here"
}

first_pc() {
    local name
    for name; do pkg-config --exists "$name" && { echo "$name"; return; }; done
    die "pkg-config knows none of: $*"
}

updated='' private_updated=''
install_missing "${packages[@]}"
if ! pkg-config --exists msgpack-c && ! pkg-config --exists msgpack; then
    install_missing "$([ "$(candidate libmsgpack-c-dev)" ] && echo libmsgpack-c-dev || echo libmsgpack-dev)"
fi

hiredis_dir=''
if ! pkg-config --exists 'hiredis_ssl >= 1.0'; then
    if dpkg --compare-versions "$(candidate libhiredis-dev)" ge 1.0; then
        install_missing libhiredis-dev
    else
        unpack hiredis trixie libhiredis-dev libhiredis1.1.0 || die "Debian 13's hiredis cannot be had"
        hiredis_dir=$deps/hiredis
    fi
fi

pebble=$deps/pebble/usr/bin/pebble
if ! unpack pebble sid pebble || ! "$pebble" -version >/dev/null 2>&1; then
    say "unstable's Pebble cannot be had or does not run here: taking Debian 13's, which has ARI but no profiles"
    rm -rf "$deps/pebble"
    unpack pebble trixie pebble || die "no Pebble can be had"
fi
ln -sf ../pebble/usr/bin/pebble "$deps/bin/pebble"

server redis-server 7.0 bookworm redis-server redis-tools
[ -z "$(candidate valkey-server)" ] || install_missing valkey-server
server valkey-server 8 bookworm-backports valkey-server valkey-tools

if [ "$what" = test ]; then
    install_missing "${test_packages[@]}"
    touch "$build/deps-test"
fi
if [ "$what" = bench ]; then
    unpack lego sid lego || die "unstable's lego cannot be had"
    ln -sf ../lego/usr/bin/lego "$deps/bin/lego"
    install_missing ruby-sidekiq dnsperf
    command -v npm >/dev/null || install_missing nodejs npm
    if ! cmp -s "$peers/package.json" "$deps/bullmq/package.json"; then
        say "fetching BullMQ into $deps/bullmq"
        rm -rf "$deps/bullmq" && mkdir "$deps/bullmq" && cp "$peers/package.json" "$deps/bullmq"
        (cd "$deps/bullmq" &&
            npm install --no-package-lock --ignore-scripts --no-audit --no-fund >npm.log 2>&1) ||
            { rm -f "$deps/bullmq/package.json"; tail -n 20 "$deps/bullmq/npm.log" >&2; die "BullMQ cannot be had"; }
    fi
fi
rm -rf "$deps/apt"

libs=(libcurl openssl yaml-0.1 jansson libuv libmicrohttpd libidn2 libpsl)
libs+=("$(first_pc msgpack-c msgpack)" "$(first_pc ldns libldns)")
{
    echo "# Written by deploy/deps.sh."
    if [ -n "$hiredis_dir" ]; then
        echo "HIREDIS_CFLAGS := -isystem $hiredis_dir/usr/include"
        echo "HIREDIS_LIBS := $(find "$hiredis_dir" -name libhiredis_ssl.a) $(find "$hiredis_dir" -name libhiredis.a)"
    else
        echo "HIREDIS_CFLAGS := $(pkg-config --cflags hiredis_ssl hiredis)"
        echo "HIREDIS_LIBS := $(pkg-config --libs hiredis_ssl hiredis)"
    fi
    echo "DEPS_CFLAGS := $(pkg-config --cflags "${libs[@]}")"
    echo "DEPS_LIBS := $(pkg-config --libs "${libs[@]}") -lm"
    echo "TEST_LIBS := $(pkg-config --libs cmocka)"
} >"$build/deps.mk"

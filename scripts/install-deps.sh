#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: install-deps.sh SET…   (build, demo, test, bench, fuzz, lint, lab, ceph)
# Installs the packages of the sets that are missing. As an ordinary user it prints what to install.
# CISTERN_NO_DEPS=1 skips the check (other distributions, offline builds).
set -eu

[ -z "${CISTERN_NO_DEPS:-}" ] || exit 0
command -v dpkg-query >/dev/null 2>&1 || exit 0

build="gcc libc6-dev meson ninja-build pkg-config python3 gettext rpcsvc-proto
    libglib2.0-dev libxml2-dev libtirpc-dev libjson-glib-dev libreadline-dev zlib1g-dev libdeflate-dev
    libzstd-dev scdoc libcmocka-dev libblkid-dev librbd-dev librados-dev"
demo="grub-rescue-pc"
test="libvirt-clients libvirt-daemon python3-libvirt libsys-virt-perl qemu-utils cryptsetup-bin qemu-system-x86
    g++ binutils locales e2fsprogs
    btrfs-progs xfsprogs util-linux mount procps socat scrub libxml2-utils grub-rescue-pc"
bench="$test"
fuzz="clang libclang-rt-14-dev"
lab="qemu-system-x86 erofs-utils busybox-static kmod cpio libvirt-daemon libvirt-clients"
ceph="ceph-mon ceph-osd ceph-mgr ceph-common libvirt-daemon-driver-storage-rbd"
lint="clang clang-format clang-tidy clang-tools shellcheck pyflakes3 git"

wanted=
for set in "$@"; do
    case $set in
    build) wanted="$wanted $build" ;;
    demo) wanted="$wanted $demo" ;;
    test) wanted="$wanted $test" ;;
    bench) wanted="$wanted $bench" ;;
    fuzz) wanted="$wanted $fuzz" ;;
    lint) wanted="$wanted $lint" ;;
    lab) wanted="$wanted $lab" ;;
    ceph) wanted="$wanted $ceph" ;;
    *) echo "install-deps.sh: unknown set '$set'" >&2; exit 2 ;;
    esac
done

missing=
for package in $wanted; do
    # shellcheck disable=SC2016 # ${Status} is dpkg-query's own variable
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    case $status in
    *" installed") ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Packages are missing. As root:" >&2
    echo "    apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

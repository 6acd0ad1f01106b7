#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: install-deps.sh SET…   (build, demo, test, virtqemud, ecosystem, bench, fuzz, tsan, lint, lab, ceph, gluster,
#        tck, deb, rpm, mutation)
# Installs the packages of the sets that are missing. As an ordinary user it prints what to install.
# CISTERN_NO_DEPS=1 skips the check (other distributions, offline builds).
set -eu

[ -z "${CISTERN_NO_DEPS:-}" ] || exit 0
command -v dpkg-query >/dev/null 2>&1 || exit 0

# libfdisk-dev: partition tables (parted: those that libfdisk lacks); libmount-dev: the kernel's tables
# of mounts and swap space; libgnutls28-dev: AES-256-GCM for values of secrets; libudev-dev: devices that
# come and go; uuid-dev: random uuids and their text; libvirt-dev: the module for libvirtd; libnbd-dev: exports
# of NBD servers; ccache: the builds of the tests, and those in other checkouts, compile no source again.
build="gcc libc6-dev ccache meson ninja-build pkg-config python3 gettext rpcsvc-proto
    libglib2.0-dev libxml2-dev libjson-glib-dev libreadline-dev zlib1g-dev libdeflate-dev
    libgnutls28-dev libzstd-dev liblzma-dev libbz2-dev scdoc libcmocka-dev libblkid-dev libfdisk-dev libmount-dev libsqlite3-dev librbd-dev
    libcurl4-gnutls-dev librados-dev libiscsi-dev libglusterfs-dev libudev-dev uuid-dev libvirt-dev libnbd-dev"
demo="grub-rescue-pc"
test="libvirt-clients libvirt-daemon python3-libvirt libsys-virt-perl ruby-libvirt virtinst libvirt-dbus
    dbus dbus-daemon libglib2.0-bin python3-gi qemu-utils cryptsetup-bin qemu-system-x86
    g++ binutils locales e2fsprogs
    btrfs-progs xfsprogs util-linux mount procps socat scrub libxml2-utils grub-rescue-pc
    systemd tzdata faketime acl python3-seccomp lvm2 thin-provisioning-tools parted fdisk zsh fish
    tgt libiscsi-bin qemu-block-extra libvirt-daemon-driver-storage-iscsi-direct
    libnbd-bin python3-libnbd gnutls-bin openssl zstd lz4 libarchive13 gpg gpgv gpg-agent dosfstools ntfs-3g ovmf"
# For scripts/libvirt-daemons, and what they run.
virtqemud="libvirt-daemon-driver-qemu qemu-system-x86 dpkg-dev patch xz-utils libgnutls28-dev xsltproc
    libxml2-utils libyajl-dev libnl-3-dev libnl-route-3-dev libcap-ng-dev libpciaccess-dev libudev-dev
    libdevmapper-dev libtirpc-dev libattr1-dev libacl1-dev libnuma-dev python3-docutils"
ecosystem="golang-go golang-github-digitalocean-go-libvirt-dev ruby-fog-libvirt php-cli php8.2-libvirt-php
    virt-manager xvfb imagemagick dbus-daemon at-spi2-core gir1.2-atspi-2.0 cockpit-ws cockpit-bridge
    cockpit-machines chromium python3-websocket"
# nbdkit: an NBD server with other block sizes and replies than QEMU's.
test="$test nbdkit"
# What image-bench sends, and in which order, shows in its system calls only.
test="$test strace"
bench="$test zstd restic borgbackup virtnbdbackup"
fuzz="clang libclang-rt-14-dev"
tsan="dpkg-dev patch xz-utils libffi-dev libpcre2-dev"
# gcc, make and binutils build ZFS's modules for the machine's kernel.
lab="qemu-system-x86 erofs-utils busybox-static kmod cpio libvirt-daemon libvirt-clients gcc make binutils"
ceph="ceph-mon ceph-osd ceph-mgr ceph-common libvirt-daemon-driver-storage-rbd"
gluster="glusterfs-server glusterfs-client libgfapi0 libvirt-daemon-driver-storage-gluster qemu-block-extra iproute2"
tck="libsys-virt-perl libyaml-perl libwww-perl libio-interface-perl libio-string-perl libnetaddr-ip-perl
    libnet-openssh-perl libsub-uplevel-perl libtest-exception-perl libxml-twig-perl libxml-writer-perl
    libxml-xpath-perl qemu-utils"
# apt-utils and gpg make the apt repository.
deb="dpkg-dev debhelper dh-apparmor lintian mmdebstrap apparmor apt-utils gpg gpg-agent"
rpm="rpm rpm2cpio rpmlint checkpolicy semodule-utils make"
# libclang reads the code to be mutated; in bubblewrap the mutants can do no harm.
mutation="gcc git meson ninja-build python3-clang-14 bubblewrap"
lint="clang clang-format clang-tidy clang-tools shellcheck pyflakes3 git"

wanted=
for set in "$@"; do
    case $set in
    build) wanted="$wanted $build" ;;
    demo) wanted="$wanted $demo" ;;
    test) wanted="$wanted $test" ;;
    virtqemud) wanted="$wanted $virtqemud" ;;
    ecosystem)
        # What the archive lacks is left out: the test of that client is skipped and says so.
        for package in $ecosystem; do
            if dpkg-query -W "$package" >/dev/null 2>&1 || apt-cache show "$package" >/dev/null 2>&1; then
                wanted="$wanted $package"
            else
                echo "not in the archive (or apt-get update is due): $package" >&2
            fi
        done ;;
    bench) wanted="$wanted $bench" ;;
    fuzz) wanted="$wanted $fuzz" ;;
    lint) wanted="$wanted $lint" ;;
    mutation) wanted="$wanted $mutation" ;;
    tsan) wanted="$wanted $tsan" ;;
    lab) wanted="$wanted $lab" ;;
    ceph) wanted="$wanted $ceph" ;;
    gluster) wanted="$wanted $gluster" ;;
    tck) wanted="$wanted $tck" ;;
    deb) wanted="$wanted $deb" ;;
    rpm) wanted="$wanted $rpm" ;;
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

# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced: a private view of Debian's archive in $LAB/apt, with contrib, which has ZFS. This machine's
# own lists, sources and packages stay as they are.

archive() {
    local program=$1
    shift
    "$program" -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$LAB/apt/sources" \
        -o Dir::State::Lists="$LAB/apt/lists" -o Dir::Cache="$LAB/apt/cache" \
        -o APT::Sandbox::User=root -o Debug::NoLocking=1 \
        -o Acquire::Retries=5 -o Acquire::http::Timeout=20 "$@"
}

# The sources that this machine installs from.
archive_update() {
    local file
    rm -rf "$LAB/apt/sources"
    mkdir -p "$LAB"/apt/{sources,lists/partial,cache/archives/partial}
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
        [ ! -e "$file" ] || sed -E -e '/^Components:/s/\bmain\b/main contrib/' \
            -e '/^deb .*debian\.org/s/\bmain\b/main contrib/' "$file" >"$LAB/apt/sources/${file##*/}"
    done
    archive apt-get update
}

# archive_fetch FOLDER PACKAGE…: puts these packages, and the packages that they depend on, into FOLDER,
# without the ones that this machine has installed.
archive_fetch() {
    local folder=$1
    shift
    mkdir -p "$folder/partial"
    archive apt-get -o Dir::Cache::Archives="$folder" install -y --no-install-recommends \
        --download-only "$@" >/dev/null
}

# archive_download FOLDER PACKAGE…: puts exactly these packages into FOLDER, installed here or not.
archive_download() {
    local folder=$1
    shift
    mkdir -p "$folder"
    (cd "$folder" && archive apt-get download "$@" >/dev/null)
}

# archive_depends PACKAGE: prints the names of the packages that PACKAGE depends on.
archive_depends() {
    archive apt-cache depends --no-recommends --no-suggests "$1" | sed -n 's/^ *Depends: \([^<]*\)$/\1/p'
}

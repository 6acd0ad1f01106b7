#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# rpcgen names the header after its input's path. In the input's directory that is the bare name.
# usage: rpcgen.sh -h|-c FILE.x   (result on stdout)
set -eu
cd "$(dirname "$2")"
exec rpcgen "$1" "$(basename "$2")"

#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# rpcgen names the header after its input's path. In the input's directory that is the bare name.
# The code calls functions only (-i 0), and ours in place of the RPC library's (wire/xdr.h).
# usage: rpcgen.sh -h|-c FILE.x   (result on stdout)
set -eu
cd "$(dirname "$2")"
rpcgen -i 0 "$1" "$(basename "$2")" | sed 's|<rpc/rpc.h>|<wire/xdr.h>|'

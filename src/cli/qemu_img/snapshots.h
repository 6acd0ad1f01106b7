/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Prints the table of snapshots (CstImageSnapshot) as snapshot -l and info print it. */
void cli_qemu_print_snapshots(const GPtrArray *snapshots);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of an image's internal snapshots. */
#include "snapshots.h"

#include <inttypes.h>
#include <stdio.h>

#include <base/text.h>
#include <image/snapshot.h>

#include "message.h"

static void print_snapshot(const CstImageSnapshot *snapshot)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((gint64)snapshot->seconds);
    g_autofree char *date = time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : g_strdup("");
    g_autofree char *id = cst_text_escape(snapshot->id);
    g_autofree char *name = cst_text_escape(snapshot->name);
    g_autofree char *size = cli_qemu_size_text(snapshot->state_size);
    uint64_t seconds = snapshot->clock / 1000000000;
    g_autofree char *clock =
        g_strdup_printf("%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64, seconds / 3600,
                        seconds / 60 % 60, seconds % 60, snapshot->clock % 1000000000 / 1000000);
    g_autofree char *icount =
        snapshot->has_icount ? g_strdup_printf("%" PRIu64, snapshot->icount) : g_strdup("");

    printf("%-9s %-16s %8s%20s%13s%11s\n", id, name, size, date, clock, icount);
}

void cli_qemu_print_snapshots(const GPtrArray *snapshots)
{
    printf("%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
    for (guint i = 0; i < snapshots->len; i++)
        print_snapshot(g_ptr_array_index(snapshots, i));
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "procedures.h"

#include "server.h"

static void add(const Procedure **index, int last, const Procedure *table)
{
    for (const Procedure *row = table; row->handler; row++) {
        g_assert(row->number >= 0 && row->number <= last && !index[row->number]);
        g_assert(row->args_size <= ARGS_MAX && row->ret_size <= ARGS_MAX);
        index[row->number] = row;
    }
}

void procedures_index(CstWireServer *server)
{
    add(server->remote, WIRE_PROC_LAST, procedures_connect);
    add(server->remote, WIRE_PROC_LAST, procedures_identity);
    add(server->remote, WIRE_PROC_LAST, procedures_node);
    add(server->remote, WIRE_PROC_LAST, procedures_event);
    add(server->remote, WIRE_PROC_LAST, procedures_pool);
    add(server->remote, WIRE_PROC_LAST, procedures_vol);
    add(server->remote, WIRE_PROC_LAST, procedures_secret);
    add(server->remote, WIRE_PROC_LAST, procedures_empty);
    add(server->cistern, WIRE_CISTERN_LAST, procedures_cistern);
    add(server->cistern, WIRE_CISTERN_LAST, procedures_job);
    add(server->cistern, WIRE_CISTERN_LAST, procedures_image);
    add(server->cistern, WIRE_CISTERN_LAST, procedures_snapshot);
}

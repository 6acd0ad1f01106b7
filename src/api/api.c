/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds procedures by program and number. An index is filled with the tables of this module; the
 * server adds its own tables to its index. After that the index is constant, so any thread reads it
 * without a lock. A duplicate number, or a struct above CST_API_STRUCT_MAX, is an error in a table.
 * It aborts the program when the index is filled, and so in every test.
 */
#include <string.h>

#include "api_private.h"

static const CstProcedure *const tables[] = {
    cst_api_pool_procedures,
    cst_api_volume_procedures,
    cst_api_image_procedures,
    cst_api_snapshot_procedures,
    cst_api_stream_procedures,
    cst_api_job_procedures,
    cst_api_schedule_procedures,
    cst_api_tag_procedures,
    cst_api_event_procedures,
    cst_api_audit_procedures,
    cst_api_secret_procedures,
    cst_api_host_procedures,
    cst_api_trash_procedures,
    cst_api_domain_procedures,
    cst_api_empty_procedures,
    cst_api_usage_procedures,
    cst_api_doctor_procedures,
    cst_api_chain_procedures,
    NULL,
};

void cst_procedure_index_add(CstProcedureIndex *index, const CstProcedure *table)
{
    for (const CstProcedure *row = table; row->handler; row++) {
        gboolean own = row->program == WIRE_CISTERN_PROGRAM;
        const CstProcedure **slot = own ? &index->own[row->number] : &index->remote[row->number];

        g_assert(row->number >= 0 && row->number <= (own ? WIRE_CISTERN_LAST : WIRE_PROC_LAST));
        g_assert(!*slot);
        /* The record of a change is written to a file, and INLINE must not do that. */
        g_assert(row->run != CST_RUN_INLINE || row->needs != CST_NEEDS_WRITE || row->reads);
        g_assert(MAX(row->args_size, row->ret_size) <= CST_API_STRUCT_MAX);
        *slot = row;
    }
}

const CstProcedure *cst_procedure_index_find(const CstProcedureIndex *index, uint32_t program,
                                             int number)
{
    if (program == WIRE_REMOTE_PROGRAM && number >= 0 && number <= WIRE_PROC_LAST)
        return index->remote[number];
    if (program == WIRE_CISTERN_PROGRAM && number >= 0 && number <= WIRE_CISTERN_LAST)
        return index->own[number];
    return NULL;
}

void cst_procedure_index_init(CstProcedureIndex *index)
{
    memset(index, 0, sizeof(*index));
    for (const CstProcedure *const *table = tables; *table; table++)
        cst_procedure_index_add(index, *table);
}

const CstProcedure *cst_api_find(uint32_t program, int number)
{
    static CstProcedureIndex index;
    static gsize filled;

    if (g_once_init_enter(&filled)) {
        cst_procedure_index_init(&index);
        g_once_init_leave(&filled, 1);
    }
    return cst_procedure_index_find(&index, program, number);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Completes or drops a move of the disk of a running domain whose process has died.
 *
 *   the domain uses             before the pivot                 since the pivot began
 *   the new volume              the former volume is deleted     the same
 *   the former volume           the new volume is deleted        both stay
 *   another volume, or none     both stay                        both stay
 *
 * A power cut during the pivot may leave a definition that names the former volume, although the
 * guest has written to the new one. So both stay then. A volume that a process has open is never
 * deleted.
 */
#include "move.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

#include "core/intent.h"
#include "definition.h"

/* Deletes the volume, unless a process has it open: then it has to be retried. */
static gboolean replay_delete(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(GPtrArray) holders = cst_pool_state_vol_holders(state, name, error);
    g_autofree char *who = NULL;

    if (!holders)
        return FALSE;
    if (holders->len > 0) {
        who = cst_holders_describe(holders);
        return cst_fail(error, CST_ERROR_UNREACHABLE, _("volume '%s' is open: %s"), name, who);
    }
    return cst_pool_state_delete(state, name, 0, error);
}

static gboolean record_is(const CstIntentRecord *record, const char *pool_field,
                          const char *volume_field, const char *pool, const char *volume)
{
    return g_strcmp0(g_hash_table_lookup(record->fields, pool_field), pool) == 0 &&
           g_strcmp0(g_hash_table_lookup(record->fields, volume_field), volume) == 0;
}

/* @there: of the pool of the new volume. */
static gboolean replay_decide(CstService *service, CstPoolState *state, CstPoolState *there,
                              const CstIntentRecord *record, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "volume");
    const char *to = g_hash_table_lookup(record->fields, "to");
    const char *domain = g_hash_table_lookup(record->fields, "domain");
    g_autofree char *used_pool = NULL, *used = NULL;

    if (!running_definition_read(service, domain, g_hash_table_lookup(record->fields, "target"),
                                 &used_pool, &used, error))
        return FALSE;
    if (record_is(record, "to-pool", "to", used_pool, used))
        return replay_delete(state, name, error);
    if (record_is(record, "pool", "volume", used_pool, used) &&
        !g_hash_table_contains(record->fields, "switching"))
        return replay_delete(there, to, error);
    cst_log(CST_LOG_WARNING,
            "the process that moved volume '%s' of pool '%s' to '%s' of pool '%s' has died, and it "
            "is not certain which of both domain %s wrote last: both stay; compare them "
            "(vol-compare), and delete the one that is out of date (vol-delete)",
            name, state->def->name, to, there->def->name, domain);
    return TRUE;
}

gboolean running_move_replay(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                             const CstIntentRecord *record, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "volume");
    const char *to_pool = g_hash_table_lookup(record->fields, "to-pool");
    const char *to = g_hash_table_lookup(record->fields, "to");
    g_autoptr(CstPoolState) there = NULL;
    g_autoptr(CstVolume) former = NULL, copy = NULL;

    if (!name || !to_pool || !to || !g_hash_table_contains(record->fields, "domain"))
        return TRUE;
    if (!cst_pool_state_scan_one(state, name, NULL, &former, error) ||
        !intent_keep_if_same(record->fields, "identity", state, &former, error))
        return FALSE;
    there = open_pool(service, to_pool, error);
    if (!there || !cst_pool_state_scan_one(there, to, NULL, &copy, error) ||
        !intent_keep_if_same(record->fields, "to-identity", there, &copy, error))
        return FALSE;
    /* One of both was deleted already, or has never had its name. */
    return !former || !copy || replay_decide(service, state, there, record, error);
}

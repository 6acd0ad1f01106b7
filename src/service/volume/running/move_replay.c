/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Completes or drops a move of the disk of a running domain whose process has died.
 *
 *   the domain uses             before the pivot                 since the pivot began
 *   the new volume              the former volume is deleted     the same
 *   the former volume           the new volume is deleted        both stay
 *   another volume              both stay                        both stay
 *
 * A power cut during the pivot may leave a definition that names the former volume, although the
 * guest has written to the new one. So both stay then. A volume that a process has open is never
 * deleted.
 */
#include "move.h"

#include <base/error.h>
#include <base/log.h>

#include "definition.h"
#include "dependency/guard.h"
#include "volume/delete/delete.h"
#include "volume/protect.h"

/* Deletes a claimed volume, as a user could. */
static gboolean replay_delete(const VolumeClaim *claim, const CstVolume *volume, GError **error)
{
    if (!volume_not_protected(claim->pool, claim->name, error) || !volume_not_held(claim, error) ||
        !volume_not_needed(claim, error) ||
        !cst_pool_state_delete(claim->state, claim->name, 0, error))
        return FALSE;
    volume_is_gone(claim, volume);
    return TRUE;
}

/* The next start of the domain needs the new volume. */
static void replay_report_definition(const RunningDefinition *definition,
                                     const CstIntentRecord *record, const VolumeClaim *former,
                                     const VolumeClaim *copy)
{
    const char *domain = g_hash_table_lookup(record->fields, "domain");

    if (running_definition_keeps(definition, record, former))
        cst_log(CST_LOG_WARNING,
                "domain %s uses volume '%s' of pool '%s' now, but its persistent definition names "
                "volume '%s' of pool '%s', which was deleted, as disk '%s'; correct it (virsh edit "
                "%s)",
                domain, copy->name, cst_pool_name(copy->pool), former->name,
                cst_pool_name(former->pool),
                (const char *)g_hash_table_lookup(record->fields, "target"), domain);
}

gboolean running_move_replay(CstService *service, const CstIntentRecord *record, GError **error)
{
    g_auto(VolumeClaim) former_claim = {0}, copy_claim = {0};
    g_autoptr(CstVolume) former = NULL, copy = NULL;
    g_auto(RunningDefinition) definition = {0};

    if (!running_record_claim(service, record, "pool", "volume", "identity", &former_claim, &former,
                              error))
        return FALSE;
    copy_claim.after = former ? &former_claim : NULL;
    if (!running_record_claim(service, record, "to-pool", "to", "to-identity", &copy_claim, &copy,
                              error))
        return FALSE;
    /* A volume was deleted already, or has never had its name. */
    if (!former || !copy)
        return TRUE;
    if (!running_definition_read(service, record, &definition, error))
        return FALSE;
    if (running_definition_names(&definition, record, "to-pool", "to")) {
        if (!replay_delete(&former_claim, former, error))
            return FALSE;
        replay_report_definition(&definition, record, &former_claim, &copy_claim);
        return TRUE;
    }
    if (running_definition_names(&definition, record, "pool", "volume") &&
        !g_hash_table_contains(record->fields, "switching"))
        return replay_delete(&copy_claim, copy, error);
    cst_log(CST_LOG_WARNING,
            "the process that moved volume '%s' of pool '%s' to '%s' of pool '%s' has died, and it "
            "is not certain which of them domain %s wrote last: both stay; compare them "
            "(vol-compare), and delete the one that is out of date (vol-delete)",
            former_claim.name, cst_pool_name(former_claim.pool), copy_claim.name,
            cst_pool_name(copy_claim.pool),
            (const char *)g_hash_table_lookup(record->fields, "domain"));
    return TRUE;
}

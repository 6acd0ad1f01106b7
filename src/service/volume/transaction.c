/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transaction.h"

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

#include "core/claim.h"
#include "core/draft.h"
#include "core/intent.h"
#include "core/pool.h"
#include "core/scan.h"
#include "declare.h"

static gboolean check_free(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(CstVolume) existing = NULL;

    if (!pool_table_look(pool, state, name, &existing, error))
        return FALSE;
    if (existing)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", name);
    return TRUE;
}

/* Whoever holds another volume does not wait for one that is there already. */
static gboolean look_first(const Making *making, CstPool *pool, const char *name, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;

    if (!making->claim.after)
        return TRUE;
    state = pool_state_get(pool, error);
    return state && check_free(pool, state, name, error);
}

/* Claims the name and records the intent. */
static gboolean prepare(Making *making, CstPool *pool, const CstVolDef *def, const char *operation,
                        GError **error)
{
    CstUuid id;
    char token[CST_UUID_TEXT_LEN];

    making->claim.creating = TRUE;
    if (!cst_name_check(def->name, _("volume"), error) ||
        !look_first(making, pool, def->name, error) ||
        !volume_claim(&making->claim, pool, def->name, CLAIM_WRITE, error) ||
        !cst_pool_state_name_check(making->claim.state, def->name, _("volume"), error))
        return FALSE;
    /* Says that it can't. */
    if (!cst_pool_state_can_create(making->claim.state))
        return cst_pool_state_reserve(making->claim.state, def, &making->draft, error);
    if (!check_free(pool, making->claim.state, def->name, error))
        return FALSE;
    cst_uuid_generate(&id);
    making->draft.token = g_strdup(cst_uuid_format(&id, token));
    making->intent =
        intent_begin(pool, making->claim.state, operation, def->name, making->draft.token, error);
    return making->intent != NULL;
}

gboolean making_begin(Making *making, CstPool *pool, const CstVolDef *def, const char *operation,
                      GError **error)
{
    if (!prepare(making, pool, def, operation, error) ||
        !cst_pool_state_reserve(making->claim.state, def, &making->draft, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.reserved");
    volume_draft_show(pool, def, making->draft.blob);
    return TRUE;
}

gboolean making_begin_clone(Making *making, CstPool *pool, const CstVolDef *def,
                            CstPool *source_pool, const char *source, const char *snapshot,
                            GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!prepare(making, pool, def, "clone", error))
        return FALSE;
    making->shared =
        pool == source_pool && cst_pool_state_reserve_clone(making->claim.state, def, source,
                                                            snapshot, &making->draft, &why);
    if (why && !g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!making->shared && !cst_pool_state_reserve(making->claim.state, def, &making->draft, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.reserved");
    volume_draft_show(pool, def, making->draft.blob);
    return TRUE;
}

gboolean making_commit(Making *making, const CstVolDef *def, GError **error)
{
    CstPool *pool = making->claim.pool;

    if (!making->declaration)
        making->declaration = trust_of_definition(def);
    CST_CRASH_POINT("vol.create.filled");
    if (!trust_declare_draft(&making->claim, &making->draft, making->declaration, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.declared");
    if (!cst_pool_state_commit(making->claim.state, &making->draft, def, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.committed");
    g_clear_pointer(&making->intent, cst_intent_end);
    pool_table_look_after_change(pool, making->claim.state, def->name);
    volume_draft_hide(pool, def->name);
    return TRUE;
}

/* What can't be dropped now stays in the journal for the next start. */
static void roll_back(Making *making, CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    if (cst_pool_state_abandon(making->claim.state, making->draft.token, &error)) {
        cst_intent_end(making->intent);
        return;
    }
    cst_intent_keep(making->intent);
    pool_recover_later(pool, making->claim.state);
    cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
}

void making_end(Making *making)
{
    CstPool *pool = making->claim.pool;

    if (pool)
        volume_draft_hide(pool, making->claim.name);
    if (pool && making->intent)
        roll_back(making, pool);
    making->intent = NULL;
    cst_vol_draft_clear(&making->draft);
    g_clear_pointer(&making->declaration, cst_declaration_free);
    volume_release(&making->claim);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of the checked dispatch for logins. These calls have the deadlines of the login, so they
 * are also allowed while the pool's storage does not answer.
 */
#include <pool/pool.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

#include "dispatch.h"

gboolean cst_pool_state_prove(CstPoolState *state, GError **error)
{
    if (!state->backend->prove)
        return pool_unsupported(state, _("storage pool has no login that could be tried"), error);
    return POOL_CALL_OUTSIDE(state, prove, error);
}

gboolean cst_pool_state_renew(CstPoolState *state, GError **error)
{
    return !state->backend->renew || POOL_CALL_OUTSIDE(state, renew, error);
}

/* Without @value no credential is changed, so a dry run is allowed. */
gboolean cst_pool_state_set_credential(CstPoolState *state, const CstLoginAdmin *admin,
                                       const CstSecretBytes *value, char **ret_account,
                                       GError **error)
{
    g_autofree char *account = NULL;
    CstCall call;
    gboolean done;

    if (!state->backend->set_credential)
        return pool_unsupported(
            state, _("the permissions on the server of this pool cannot be changed from here"),
            error);
    if (value && !cst_may_change(error))
        return FALSE;
    call = pool_call_begin(state, "set_credential", NULL);
    done = state->backend->set_credential(state, admin, value, &account, &call.why);
    if (done && !account)
        return cst_call_broken(&call, "returned no account", error);
    if (!cst_call_end(&call, done, error))
        return FALSE;
    *ret_account = g_steal_pointer(&account);
    return TRUE;
}

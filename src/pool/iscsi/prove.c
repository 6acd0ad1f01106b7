/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changed CHAP values. A trial login with the new value uses libiscsi and not the kernel, so the
 * kernel's session is not affected. The initiator's name is the same and the session's identifier
 * (ISID) differs, so the target accepts it as another session of this host.
 *
 * An existing session keeps its login. iscsid logs in again after a loss, and reads the record
 * again only after its own restart.
 */
#include "iscsi.h"

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <blob/iscsi.h>

static gboolean iscsi_lend_chap(gpointer state, CstChap *ret_chap, GError **error)
{
    return iscsi_chap_read(state, ret_chap, error);
}

static char **portals_of(const CstPoolDef *def)
{
    char **portals = g_new0(char *, def->source.hosts->len + 1);

    for (guint i = 0; i < def->source.hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(def->source.hosts, i);

        portals[i] = cst_iscsi_portal(host->name, host->port ? host->port : CST_ISCSI_PORT);
    }
    return portals;
}

gboolean iscsi_prove(CstPoolState *state, GError **error)
{
    const CstPoolDef *def = state->def;
    g_auto(GStrv) portals = portals_of(def);
    g_autofree char *initiator = def->source.initiator_iqn ? g_strdup(def->source.initiator_iqn)
                                                           : iscsi_host_initiator(error);
    const CstIscsiTarget target = {.target = iscsi_target(def),
                                   .initiator = initiator,
                                   .portals = (const char *const *)portals,
                                   .timeout_ms = iscsi_host.prove_s * 1000,
                                   .chap = iscsi_lend_chap,
                                   .data = state};
    CstIscsi *session;
    gboolean done;

    if (!initiator)
        return FALSE;
    session = cst_iscsi_new(&target);
    done = cst_iscsi_connect(session, error);
    cst_iscsi_free(session);
    if (!done && *error && g_error_matches(*error, CST_ERROR, CST_ERROR_UNSUPPORTED))
        g_prefix_error(error, "%s",
                       _("a new value for an iscsi pool is tried by a login of libiscsi's: "));
    return done;
}

/*
 * Succeeds without a change if our interface does not exist, because this program has no login
 * then.
 */
gboolean iscsi_renew(CstPoolState *state, GError **error)
{
    g_auto(CstChap) chap = {0};
    g_auto(CstFd) lock = -1;
    g_autofree char *iface = NULL;

    if (!iscsi_chap_read(state, &chap, error))
        return FALSE;
    lock = iscsi_lock(error);
    if (lock < 0 || !iscsi_iface_find(state->def->source.initiator_iqn, &iface, error))
        return FALSE;
    return !iface || iscsi_records_renew(iscsi_target(state->def), iface, &chap, error);
}

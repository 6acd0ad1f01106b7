/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of CHAP that change. A login with another value is tried by libiscsi and not by the
 * kernel, whose session is not touched: the initiator's name is the same, and the session's
 * identifier (ISID) another one, so that the target takes it for one more session of this host.
 *
 * A session that is there goes on with its login. iscsid, which makes it anew when it is lost,
 * reads the record again only when it was restarted itself.
 */
#include "iscsi.h"

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <blob/iscsi.h>

static gboolean lend_chap(gpointer state, CstChap *ret_chap, GError **error)
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
                                   .chap = lend_chap,
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

/* There is nothing to do where somebody else has logged in, or nobody. */
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

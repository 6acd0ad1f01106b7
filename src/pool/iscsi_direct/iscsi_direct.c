/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's table, the lifecycle of a pool's state, and discovery. No function contacts the
 * target before a start or a first call, because a definition must load while its target is down.
 */
#include "iscsi_direct.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/chap.h>

/* --- the state -------------------------------------------------------------------------------- */

static gboolean direct_lend_chap(gpointer state, CstChap *ret_chap, GError **error)
{
    return cst_chap_read(state, ret_chap, error);
}

static CstPoolState *direct_open(const CstPoolDef *def, GError **error)
{
    g_auto(GStrv) portals = NULL;
    CstIscsiTarget target = {.chap = direct_lend_chap};
    DirectState *state;

    if (!direct_check_source(def, error) || !direct_timeout(def, &target.timeout_ms, error))
        return NULL;
    portals = direct_portals(&def->source);
    state = g_new0(DirectState, 1);
    state->head.def = cst_pool_def_copy(def);
    state->prefix = direct_prefix(def);
    state->known = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    state->sizes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_mutex_init(&state->lock);
    target.target = ((const CstPoolDevice *)g_ptr_array_index(def->source.devices, 0))->path;
    target.initiator = def->source.initiator_iqn;
    target.portals = (const char *const *)portals;
    target.data = state;
    state->session = cst_iscsi_new(&target);
    return &state->head;
}

static void direct_close(CstPoolState *head)
{
    DirectState *state = (DirectState *)head;

    /* Free the session first, because its thread may be reading the secret through the state. */
    cst_iscsi_free(state->session);
    g_hash_table_unref(state->known);
    g_hash_table_unref(state->sizes);
    g_mutex_clear(&state->lock);
    g_free(state->prefix);
    cst_pool_def_free(head->def);
    g_free(state);
}

/* Always active, because a pool needs no setup on this host. */
static gboolean direct_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    *ret_active = TRUE;
    return TRUE;
}

static gboolean direct_start(CstPoolState *state, GError **error)
{
    return cst_iscsi_connect(((DirectState *)state)->session, error);
}

/* Open blobs connect again if necessary. */
static gboolean direct_stop(CstPoolState *state, GError **error)
{
    cst_iscsi_disconnect(((DirectState *)state)->session);
    return TRUE;
}

/* Each login reads the CHAP values, so a change of them needs no renewal. */
static gboolean direct_verify_login(CstPoolState *state, GError **error)
{
    return cst_iscsi_connect(((DirectState *)state)->session, error);
}

/* --- discovery -------------------------------------------------------------------------------- */

static void direct_add_source(GArray *sources, const CstPoolSource *spec, const char *target)
{
    const CstHost *host = g_ptr_array_index(spec->hosts, 0);
    CstPoolSource source;

    cst_pool_source_init(&source, CST_POOL_ISCSI_DIRECT);
    cst_pool_source_add_host(&source, host->name, host->port);
    cst_pool_source_add_device(&source, target);
    source.initiator_iqn = g_strdup(spec->initiator_iqn);
    g_array_append_val(sources, source);
}

/* Uses libvirt's messages for missing elements. */
static gboolean direct_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    CstIscsiTarget target = {.timeout_ms = DIRECT_TIMEOUT_S * 1000};
    g_auto(GStrv) portals = NULL;

    if (!spec)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("hostname must be specified for iscsi sources"));
    if (spec->hosts->len != 1)
        return cst_fail(error, CST_ERROR_CONFIG, _("Expected exactly 1 host for the storage pool"));
    if (!spec->initiator_iqn)
        return cst_fail(error, CST_ERROR_CONFIG, _("missing initiator IQN"));
    portals = direct_portals(spec);
    target.portals = (const char *const *)portals;
    target.initiator = spec->initiator_iqn;
    if (!cst_iscsi_discover(&target, names, error))
        return FALSE;
    for (guint i = 0; i < names->len; i++)
        direct_add_source(ret_sources, spec, g_ptr_array_index(names, i));
    return TRUE;
}

const CstBackend cst_iscsi_direct_backend = {
    .type = CST_POOL_ISCSI_DIRECT,
    .remote = TRUE,
    .secret_options = cst_chap_secret_options,
    .prove = direct_verify_login,
    .open = direct_open,
    .close = direct_close,
    .check = direct_check,
    .scan = direct_scan,
    .scan_one = direct_scan_one,
    .usage = direct_usage,
    .vol_path = direct_vol_path,
    .vol_resolve = direct_vol_resolve,
    .start = direct_start,
    .stop = direct_stop,
    .identity = direct_identity,
    .expect = direct_expect,
    .discover = direct_discover,
    .vol_open = direct_vol_open,
};

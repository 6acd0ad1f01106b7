/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pool/pool.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <blob/dry.h>
#include <image/hold.h>

#include "dispatch.h"

gboolean pool_checked(gboolean done, const CstPoolState *state, const char *callback,
                      GError **error)
{
    if (!done && error && !*error)
        cst_fail(error, CST_ERROR_INTERNAL, "the %s backend's %s failed without an error",
                 cst_pool_type_name(state->backend->type), callback);
    return done;
}

gboolean pool_unsupported(const CstPoolState *state, const char *what, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s (pool type '%s')", what,
                    cst_pool_type_name(state->backend->type));
}

CstPoolState *cst_pool_state_open(const CstPoolDef *def, const CstPoolHost *host, GError **error)
{
    const CstBackend *backend = cst_backend_for(def->type, error);

    CstPoolState *state = backend ? backend->open(def, error) : NULL;

    if (state) {
        state->refs = 1;
        state->backend = backend;
        state->host = host;
    }
    return state;
}

CstPoolState *cst_pool_state_ref(CstPoolState *state)
{
    g_atomic_int_inc(&state->refs);
    return state;
}

void cst_pool_state_unref(CstPoolState *state)
{
    if (state && g_atomic_int_dec_and_test(&state->refs))
        state->backend->close(state);
}

gboolean cst_pool_state_is_remote(CstPoolState *state)
{
    return state->backend->remote;
}

gboolean cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    return pool_checked(state->backend->check(state, ret_active, error), state, "check", error);
}

gboolean cst_pool_state_build(CstPoolState *state, unsigned flags, GError **error)
{
    if (!state->backend->build)
        return TRUE;
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return pool_checked(state->backend->build(state, flags, error), state, "build", error);
}

gboolean cst_pool_state_start(CstPoolState *state, GError **error)
{
    if (!state->backend->start)
        return TRUE;
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return pool_checked(state->backend->start(state, error), state, "start", error);
}

gboolean cst_pool_state_settle(CstPoolState *state, GError **error)
{
    if (!state->backend->drop_drafts || cst_dry_run())
        return TRUE;
    return pool_checked(state->backend->drop_drafts(state, error), state, "drop_drafts", error);
}

gboolean cst_pool_state_stop(CstPoolState *state, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    if (!state->backend->stop)
        return TRUE;
    return pool_checked(state->backend->stop(state, error), state, "stop", error);
}

gboolean cst_pool_state_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    if (!state->backend->destroy)
        return pool_unsupported(state, _("pool does not support pool deletion"), error);
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return pool_checked(state->backend->destroy(state, flags, error), state, "destroy", error);
}

gboolean cst_pool_state_scan(CstPoolState *state, const CstScan *scan, CstTask *task,
                             GError **error)
{
    return pool_checked(state->backend->scan(state, scan, task, error), state, "scan", error);
}

gboolean cst_pool_state_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                                 CstVolume **ret_volume, GError **error)
{
    return pool_checked(state->backend->scan_one(state, name, known, ret_volume, error), state,
                        "scan_one", error);
}

gboolean cst_pool_state_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    return pool_checked(state->backend->usage(state, ret_usage, error), state, "usage", error);
}

char *cst_pool_state_vol_path(CstPoolState *state, const char *name)
{
    return state->backend->vol_path(state, name);
}

char *cst_pool_state_vol_key(CstPoolState *state, const CstVolume *volume)
{
    if (volume->extra && volume->extra->key)
        return g_strdup(volume->extra->key);
    return cst_pool_state_vol_path(state, volume->name);
}

char *cst_pool_state_vol_resolve(CstPoolState *state, const char *path)
{
    return state->backend->vol_resolve(state, path);
}

char *cst_pool_state_identity(CstPoolState *state, GError **error)
{
    return state->backend->identity ? state->backend->identity(state, error) : NULL;
}

gboolean cst_pool_state_expect(CstPoolState *state, const char *recorded, gboolean starting,
                               GError **error)
{
    if (!state->backend->expect)
        return TRUE;
    return pool_checked(state->backend->expect(state, recorded, starting, error), state, "expect",
                        error);
}

gboolean cst_pool_state_is_on_mounts(CstPoolState *state)
{
    return state->backend->on_mounts;
}

gboolean cst_pool_state_name_check(CstPoolState *state, const char *name, const char *what,
                                   GError **error)
{
    const char *reserved = state->backend->reserved_prefix;

    if (!cst_name_check(name, what, error))
        return FALSE;
    if (!reserved || !g_str_has_prefix(name, reserved))
        return TRUE;
    return cst_fail(error, CST_ERROR_INVALID,
                    _("%s name '%s' begins with '%s', which is reserved; choose another name"),
                    what, name, reserved);
}

gboolean cst_pool_state_check_create(CstPoolState *state, GError **error)
{
    return state->backend->vol_reserve ||
           pool_unsupported(state, _("storage pool does not support volume creation"), error);
}

/* A draft that is nowhere, so that the image in it is made with all of its checks. */
static gboolean reserve_dry(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                            GError **error)
{
    GError *why = NULL;

    if (state->backend->ends_dry_runs && !state->backend->vol_reserve(state, def, draft, &why) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN)) {
        g_propagate_error(error, why);
        return FALSE;
    }
    g_clear_error(&why);
    draft->zeroed = TRUE;
    draft->blob = def->type == CST_VOL_DIR ? NULL : cst_blob_dry_new(NULL, def->name);
    return TRUE;
}

gboolean cst_pool_state_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                                GError **error)
{
    if (!cst_pool_state_check_create(state, error))
        return FALSE;
    if (cst_dry_run())
        return reserve_dry(state, def, draft, error);
    return pool_checked(state->backend->vol_reserve(state, def, draft, error), state, "vol_reserve",
                        error);
}

gboolean cst_pool_state_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                               GError **error)
{
    return cst_may_change(error) &&
           pool_checked(state->backend->vol_commit(state, draft, def, error), state, "vol_commit",
                        error);
}

gboolean cst_pool_state_abandon(CstPoolState *state, const char *token, GError **error)
{
    if (!state->backend->vol_abandon || cst_dry_run())
        return TRUE;
    return pool_checked(state->backend->vol_abandon(state, token, error), state, "vol_abandon",
                        error);
}

gboolean cst_pool_state_delete(CstPoolState *state, const char *name, unsigned flags,
                               GError **error)
{
    if (!state->backend->vol_delete)
        return pool_unsupported(state, _("storage pool does not support vol deletion"), error);
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return pool_checked(state->backend->vol_delete(state, name, flags, error), state, "vol_delete",
                        error);
}

gboolean cst_pool_state_vol_check_wipe(CstPoolState *state, const char *name, GError **error)
{
    return !state->backend->vol_check_wipe ||
           pool_checked(state->backend->vol_check_wipe(state, name, error), state, "vol_check_wipe",
                        error);
}

gboolean cst_pool_state_vol_declare(CstPoolState *state, CstBlob *blob,
                                    const CstDeclaration *declaration)
{
    return state->backend->vol_declare && state->backend->vol_declare(state, blob, declaration);
}

void cst_pool_state_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                             CstDeclaration **declarations)
{
    if (count > 0 && state->host && state->host->declared)
        state->host->declared(state, volumes, count, declarations, state->host->data);
}

CstBlob *cst_pool_state_vol_open(CstPoolState *state, const char *name, gboolean writable,
                                 GError **error)
{
    /* What opens no file for that (blob/dry.h) is not opened for writing at all. */
    gboolean below = writable && cst_dry_run() && state->backend->remote;
    CstBlob *blob;

    if (!state->backend->vol_open) {
        pool_unsupported(state, _("storage pool does not give access to volume contents"), error);
        return NULL;
    }
    blob = state->backend->vol_open(state, name, writable && !below, error);
    if (!pool_checked(blob != NULL, state, "vol_open", error))
        return NULL;
    if (below)
        return cst_blob_dry_new(blob, name);
    /* A machine that runs on it and this process refuse each other, whatever is to be written. */
    if (writable && !cst_image_hold(blob, error))
        g_clear_pointer(&blob, cst_blob_unref);
    return blob;
}

gboolean cst_pool_state_vol_resize(CstPoolState *state, const char *name, uint64_t capacity,
                                   CstTask *task, GError **error)
{
    if (!state->backend->vol_resize)
        return pool_unsupported(
            state, _("storage pool does not support changing of volume capacity"), error);
    if (!cst_may_change(error))
        return FALSE;
    return pool_checked(state->backend->vol_resize(state, name, capacity, task, error), state,
                        "vol_resize", error);
}

gboolean cst_pool_state_can_resize(CstPoolState *state)
{
    return state->backend->vol_resize != NULL;
}

gboolean cst_pool_state_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                      const char *snapshot, CstVolDraft *draft, GError **error)
{
    if (!state->backend->vol_reserve_clone || cst_dry_run())
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("pool type '%s' does not share content between volumes"),
                        cst_pool_type_name(state->backend->type));
    return pool_checked(
        state->backend->vol_reserve_clone(state, def, source, snapshot, draft, error), state,
        "vol_reserve_clone", error);
}

int cst_pool_state_watch_open(CstPoolState *state, GError **error)
{
    return state->backend->watch_open ? state->backend->watch_open(state, error) : -1;
}

void cst_pool_state_watch_read(CstPoolState *state, int fd,
                               void (*changed)(const char *name, gpointer data), gpointer data)
{
    g_assert(state->backend->watch_read);
    state->backend->watch_read(state, fd, changed, data);
}

gboolean cst_pool_discover(CstPoolType type, const CstPoolSource *spec, GArray *ret_sources,
                           GError **error)
{
    const CstBackend *backend = cst_backend_for(type, error);

    if (!backend)
        return FALSE;
    if (!backend->discover)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("pool type '%s' does not support source discovery"),
                        cst_pool_type_name(type));
    return backend->discover(spec, ret_sources, error);
}

void cst_vol_draft_clear(CstVolDraft *draft)
{
    g_clear_pointer(&draft->token, g_free);
    g_clear_pointer(&draft->blob, cst_blob_unref);
}

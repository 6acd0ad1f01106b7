/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checked dispatch of a pool's lifecycle, its volumes and its watch; relations.c, snapshot.c
 * and login.c have the other calls. Each call checks that the backend has the callback, and ends a
 * dry run before the first change. It then calls through the vtable, and checks that the backend
 * obeys its contract (dispatch.h).
 *
 * The dispatcher acquires no lock. A backend locks its own state, and the core decides which calls
 * run in parallel (pool/backend.h).
 */
#include <pool/pool.h>

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/text.h>
#include <blob/dry.h>
#include <image/hold.h>

#include "dispatch.h"

/* The data of a probe. A probe may outlive the state, so the data does not refer to it. */
typedef struct {
    gboolean (*touch)(const CstPoolDef *def, GError **error);
    CstPoolDef *def;
} Touched;

static gboolean pool_touch_work(gpointer data, GError **error)
{
    const Touched *touched = data;

    return touched->touch(touched->def, error);
}

static void touched_free(gpointer data)
{
    Touched *touched = data;

    cst_pool_def_free(touched->def);
    g_free(touched);
}

static CstLiveness *liveness_of(const CstBackend *backend, const CstPoolDef *def)
{
    CstProbe probe = {.touch = pool_touch_work, .free_data = touched_free};
    g_autofree char *what = NULL;
    Touched *touched;

    if (!backend->touch || (backend->may_hang && !backend->may_hang(def)))
        return NULL;
    what = g_strdup_printf(_("the storage of pool '%s'"), def->name);
    probe.patience = backend->patience ? backend->patience(def) : 0;
    probe.data = touched = g_new(Touched, 1);
    *touched = (Touched){backend->touch, cst_pool_def_copy(def)};
    return cst_liveness_new(&probe, what);
}

/* The file system mounted at the pool's directory may have changed to storage that hangs. */
static void renew_liveness(CstPoolState *state)
{
    CstLiveness *liveness;

    if (pool_liveness(state) || !state->backend->may_hang)
        return;
    liveness = liveness_of(state->backend, state->def);
    if (liveness && !g_atomic_pointer_compare_and_exchange(&state->liveness, NULL, liveness))
        cst_liveness_unref(liveness);
}

/* If the backend violates its contract by returning a state and an error, the state is closed. */
CstPoolState *cst_pool_state_open(const CstPoolDef *def, const CstPoolHost *host, GError **error)
{
    const CstBackend *backend = cst_backend_for(def->type, error);
    CstPoolState *state;
    CstCall call;

    if (!backend)
        return NULL;
    call = pool_call_begin_type(def->type, "open", def->name);
    state = backend->open(def, &call.why);
    if (state) {
        state->refs = 1;
        state->backend = backend;
        state->host = host;
        state->liveness = liveness_of(backend, def);
    }
    if (!cst_call_end(&call, state != NULL, error))
        g_clear_pointer(&state, cst_pool_state_unref);
    return state;
}

gboolean cst_pool_state_is_remote(CstPoolState *state)
{
    return state->backend->remote;
}

gboolean cst_pool_state_drafts_by_intent(CstPoolState *state)
{
    return state->backend->drafts_by_intent;
}

gboolean cst_pool_state_may_hang(CstPoolState *state)
{
    return pool_liveness(state) != NULL;
}

gboolean cst_pool_state_answers(CstPoolState *state, GError **error)
{
    return cst_liveness_check(pool_liveness(state), error);
}

gboolean cst_pool_state_await(CstPoolState *state, gint64 until, GError **error)
{
    return cst_liveness_await(pool_liveness(state), until, error);
}

gboolean cst_pool_state_works(CstPoolState *state, GError **error)
{
    return cst_liveness_works(pool_liveness(state), error);
}

gboolean cst_pool_state_check_may_hang(CstPoolState *state)
{
    return state->backend->check_touches && pool_liveness(state);
}

gboolean cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    renew_liveness(state);
    if (state->backend->check_touches)
        return POOL_CALL(state, check, NULL, error, ret_active);
    return POOL_CALL_OUTSIDE(state, check, error, ret_active);
}

/*
 * A backend that ends dry runs by itself makes its checks first. Other backends are not called in a
 * dry run.
 */
gboolean cst_pool_state_build(CstPoolState *state, unsigned flags, GError **error)
{
    if (!state->backend->build)
        return TRUE;
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, build, NULL, error, flags);
}

gboolean cst_pool_state_start(CstPoolState *state, GError **error)
{
    if (!state->backend->start)
        return TRUE;
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, start, NULL, error);
}

/* A dry run does not plan the removal of dead processes' drafts. */
gboolean cst_pool_state_settle(CstPoolState *state, GError **error)
{
    if (!state->backend->drop_drafts || cst_dry_run())
        return TRUE;
    return POOL_CALL(state, drop_drafts, NULL, error);
}

/* A stop makes the pool inactive even without a callback, so a dry run ends here. */
gboolean cst_pool_state_stop(CstPoolState *state, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    if (!state->backend->stop)
        return TRUE;
    return POOL_CALL_OUTSIDE(state, stop, error);
}

gboolean cst_pool_state_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    if (!state->backend->destroy)
        return pool_unsupported(state, _("pool does not support pool deletion"), error);
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, destroy, NULL, error, flags);
}

gboolean cst_pool_state_rescan_bus(CstPoolState *state, CstTask *task, GError **error)
{
    return !state->backend->rescan_bus || POOL_CALL(state, rescan_bus, NULL, error, task);
}

gboolean cst_pool_state_scan(CstPoolState *state, const CstScan *scan, CstTask *task,
                             GError **error)
{
    renew_liveness(state);
    return POOL_CALL(state, scan, NULL, error, scan, task);
}

gboolean cst_pool_state_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                                 CstVolume **ret_volume, GError **error)
{
    if (!state->backend->keeps_trash || !cst_name_is_trash(name))
        return cst_pool_state_scan_any(state, name, known, ret_volume, error);
    *ret_volume = NULL;
    return TRUE;
}

/* Checks the name of the record, because the core's table relies on it. */
gboolean cst_pool_state_scan_any(CstPoolState *state, const char *name, CstVolume *known,
                                 CstVolume **ret_volume, GError **error)
{
    CstCall call = pool_call_begin(state, "scan_one", name);
    g_autoptr(CstVolume) volume = NULL;
    gboolean done = cst_call_enter(&call, pool_liveness(state)) &&
                    state->backend->scan_one(state, name, known, &volume, &call.why);

    if (done && volume && strcmp(volume->name, name) != 0)
        return cst_call_broken(&call, "returned another volume than it was asked for", error);
    if (!cst_call_end(&call, done, error))
        return FALSE;
    *ret_volume = g_steal_pointer(&volume);
    return TRUE;
}

gboolean cst_pool_state_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    *ret_usage = CST_POOL_USAGE_UNKNOWN;
    return POOL_CALL(state, usage, NULL, error, ret_usage);
}

void cst_pool_state_describe(CstPoolState *state, CstPoolDef *def)
{
    if (state->backend->describe)
        state->backend->describe(state, def);
}

/* Callers do not expect a path to fail, so a backend's failure is only logged. */
char *cst_pool_state_vol_path(CstPoolState *state, const char *name)
{
    char *path = state->backend->vol_path(state, name);

    if (path)
        return path;
    cst_log(CST_LOG_ERROR, "the %s backend's vol_path returned no path for '%s'",
            cst_pool_type_name(state->backend->type), name);
    return g_strdup(name);
}

/* Only types with keys that are not paths (LVM's UUIDs) set a key. */
char *cst_pool_state_vol_key(CstPoolState *state, const CstVolume *volume)
{
    if (volume->extra && volume->extra->key)
        return g_strdup(volume->extra->key);
    return cst_pool_state_vol_path(state, volume->name);
}

char *cst_pool_state_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error)
{
    const CstFileId file = cst_volume_file_id(volume);
    g_autofree char *identity = NULL;
    CstCall call;

    if (!state->backend->vol_identity)
        return cst_file_id_text(&file);
    call = pool_call_begin(state, "vol_identity", volume->name);
    if (cst_call_enter(&call, pool_liveness(state)))
        identity = state->backend->vol_identity(state, volume, &call.why);
    return cst_call_end(&call, identity != NULL, error) ? g_steal_pointer(&identity) : NULL;
}

char *cst_pool_state_vol_resolve(CstPoolState *state, const char *path)
{
    return state->backend->vol_resolve(state, path);
}

char *cst_pool_state_identity(CstPoolState *state, GError **error)
{
    g_autofree char *line = NULL;
    CstCall call;

    if (!state->backend->identity)
        return NULL;
    call = pool_call_begin(state, "identity", NULL);
    if (cst_call_enter(&call, pool_liveness(state)))
        line = state->backend->identity(state, &call.why);
    return cst_call_end(&call, line != NULL, error) ? g_steal_pointer(&line) : NULL;
}

gboolean cst_pool_state_expect(CstPoolState *state, const char *recorded, gboolean starting,
                               GError **error)
{
    if (!state->backend->expect)
        return TRUE;
    /* Only a start accesses the storage; otherwise it must not even be probed. */
    if (!starting)
        return POOL_CALL_OUTSIDE(state, expect, error, recorded, starting);
    return POOL_CALL(state, expect, NULL, error, recorded, starting);
}

gboolean cst_pool_state_is_on_mounts(CstPoolState *state)
{
    return state->backend->on_mounts;
}

/* The prefix prevents user-defined names that the backend would hide or treat as drafts. */
gboolean cst_pool_state_name_check(CstPoolState *state, const char *name, const char *what,
                                   GError **error)
{
    const char *reserved = state->backend->reserved_prefix;

    if (!cst_name_check(name, what, error) || !cst_text_name_check(name, what, error))
        return FALSE;
    if (!reserved || !g_str_has_prefix(name, reserved))
        return TRUE;
    return cst_fail(error, CST_ERROR_INVALID,
                    _("%s name '%s' begins with '%s', which is reserved; choose another name"),
                    what, name, reserved);
}

/*
 * Each component of a nested name is checked. If the type has no nested names, the name is checked
 * as a whole.
 */
gboolean cst_pool_state_volume_name_check(CstPoolState *state, const char *name, GError **error)
{
    g_auto(GStrv) parts = NULL;

    if (!cst_pool_type_info(state->def->type)->nested_names)
        return cst_pool_state_name_check(state, name, _("volume"), error);
    parts = g_strsplit(*name ? name : "/", "/", -1);
    for (char **part = parts; *part; part++)
        if (!cst_pool_state_name_check(state, *part, _("volume"), error))
            return FALSE;
    return TRUE;
}

gboolean cst_pool_state_check_create(CstPoolState *state, GError **error)
{
    return state->backend->vol_reserve ||
           pool_unsupported(state, _("storage pool does not support volume creation"), error);
}

/* The backend must end a dry run before the creation, so success violates its contract. */
gboolean cst_pool_state_make(CstPoolState *state, const CstVolDef *def, GError **error)
{
    CstCall call;
    gboolean done;

    if (!state->backend->vol_make)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("pool type '%s' does not make volumes in one step"),
                        cst_pool_type_name(state->backend->type));
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    call = pool_call_begin(state, "vol_make", def->name);
    done = cst_call_enter(&call, pool_liveness(state)) &&
           state->backend->vol_make(state, def, &call.why);
    if (done && cst_dry_run())
        return cst_call_broken(&call, "made a volume in a dry run", error);
    return cst_call_end(&call, done, error);
}

/*
 * Makes the backend check whether it would create @def. The backend must end a dry run before the
 * creation, so success violates its contract.
 */
static gboolean try_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                            GError **error)
{
    CstCall call = pool_call_begin(state, "vol_reserve", def->name);
    g_autoptr(GError) why = NULL;

    if (cst_call_enter(&call, pool_liveness(state)) &&
        state->backend->vol_reserve(state, def, draft, &call.why))
        return cst_call_broken(&call, "made a volume in a dry run", error);
    cst_call_end(&call, FALSE, &why);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Makes a draft in memory, so that the creation of the image runs with all of its checks. */
static gboolean reserve_dry(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                            GError **error)
{
    if (state->backend->ends_dry_runs && !try_reserve(state, def, draft, error))
        return FALSE;
    draft->zeroed = TRUE;
    draft->blob = def->type == CST_VOL_DIR ? NULL : cst_blob_dry_new(NULL, def->name);
    return TRUE;
}

/* Only a directory may have no blob, because the content of all other types must be written. */
gboolean cst_pool_state_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                                GError **error)
{
    CstCall call;
    gboolean done;

    if (!cst_pool_state_check_create(state, error))
        return FALSE;
    if (cst_dry_run())
        return reserve_dry(state, def, draft, error);
    call = pool_call_begin(state, "vol_reserve", def->name);
    done = cst_call_enter(&call, pool_liveness(state)) &&
           state->backend->vol_reserve(state, def, draft, &call.why);
    if (done && !draft->blob && def->type != CST_VOL_DIR)
        return cst_call_broken(&call, "made a draft that can't be written", error);
    pool_blob_watched(state, draft->blob);
    return cst_call_end(&call, done, error);
}

/* A draft in memory has no commit, so a dry run ends here at the latest. */
gboolean cst_pool_state_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                               GError **error)
{
    return cst_may_change(error) && POOL_CALL(state, vol_commit, def->name, error, draft, def);
}

/* A dry run has no draft on the storage. */
gboolean cst_pool_state_abandon(CstPoolState *state, const char *token, GError **error)
{
    CST_TEST_POINT("pool.draft.abandon");
    if (!state->backend->vol_abandon || cst_dry_run())
        return TRUE;
    return POOL_CALL(state, vol_abandon, NULL, error, token);
}

gboolean cst_pool_state_check_delete(CstPoolState *state, GError **error)
{
    return state->backend->vol_delete ||
           pool_unsupported(state, _("storage pool does not support vol deletion"), error);
}

gboolean cst_pool_state_delete(CstPoolState *state, const char *name, unsigned flags,
                               GError **error)
{
    if (!cst_pool_state_check_delete(state, error))
        return FALSE;
    if (!state->backend->ends_dry_runs && !cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, vol_delete, name, error, name, flags);
}

gboolean cst_pool_state_vol_check_wipe(CstPoolState *state, const char *name, GError **error)
{
    return !state->backend->vol_check_wipe || POOL_CALL(state, vol_check_wipe, name, error, name);
}

/* FALSE is not a failure: the caller then relies on its own record of the declaration. */
gboolean cst_pool_state_vol_declare(CstPoolState *state, CstBlob *blob,
                                    const CstDeclaration *declaration)
{
    CstCall call;
    gboolean done;

    if (!state->backend->vol_declare)
        return FALSE;
    call = pool_call_begin(state, "vol_declare", blob->name);
    done = cst_call_enter(&call, pool_liveness(state)) &&
           state->backend->vol_declare(state, blob, declaration);
    cst_call_trace(&call, done);
    g_clear_error(&call.why);
    return done;
}

CstBlob *cst_pool_state_vol_open(CstPoolState *state, const char *name, gboolean writable,
                                 GError **error)
{
    /*
     * In a dry run, a file opened for writing gets a layer in memory from the blob layer
     * (blob/dry.h). Remote storage has no file, so it is opened for reading and gets such a layer
     * here.
     */
    gboolean below = writable && cst_dry_run() && state->backend->remote;
    CstBlob *blob = NULL;
    CstCall call;

    if (!state->backend->vol_open) {
        pool_unsupported(state, _("storage pool does not give access to volume contents"), error);
        return NULL;
    }
    call = pool_call_begin(state, "vol_open", name);
    if (cst_call_enter(&call, pool_liveness(state)))
        blob = state->backend->vol_open(state, name, writable && !below, &call.why);
    pool_blob_watched(state, blob);
    /*
     * Acquires QEMU's locks, so that a machine that runs on the volume and this process exclude
     * each other for any write. Over a network this may hang, too.
     */
    if (blob && !call.why && writable && !below && !cst_image_hold(blob, &call.why))
        g_clear_pointer(&blob, cst_blob_unref);
    if (!cst_call_end(&call, blob != NULL, error)) {
        cst_blob_unref(blob);
        return NULL;
    }
    return below ? cst_blob_dry_new(blob, name) : blob;
}

gboolean cst_pool_state_vol_resize(CstPoolState *state, const char *name, uint64_t capacity,
                                   CstTask *task, GError **error)
{
    if (!state->backend->vol_resize)
        return pool_unsupported(
            state, _("storage pool does not support changing of volume capacity"), error);
    if (!cst_may_change(error))
        return FALSE;
    return POOL_CALL(state, vol_resize, name, error, name, capacity, task);
}

gboolean cst_pool_state_can_resize(CstPoolState *state)
{
    return state->backend->vol_resize != NULL;
}

/* In a dry run the caller makes a copy instead, with a draft in memory. */
gboolean cst_pool_state_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                      const char *snapshot, CstVolDraft *draft, GError **error)
{
    if (!state->backend->vol_reserve_clone || cst_dry_run())
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("pool type '%s' does not share content between volumes"),
                        cst_pool_type_name(state->backend->type));
    if (!POOL_CALL(state, vol_reserve_clone, def->name, error, def, source, snapshot, draft))
        return FALSE;
    pool_blob_watched(state, draft->blob);
    return TRUE;
}

/* Returns -1 without an error if the backend has no watch. */
int cst_pool_state_watch_open(CstPoolState *state, GError **error)
{
    CstCall call;
    int fd = -1;

    if (!state->backend->watch_open || !state->backend->watch_read)
        return -1;
    call = pool_call_begin(state, "watch_open", NULL);
    if (cst_call_enter(&call, pool_liveness(state)))
        fd = state->backend->watch_open(state, &call.why);
    if (!cst_call_end(&call, fd >= 0, error))
        cst_pool_state_watch_close(state, &fd);
    return fd;
}

void cst_pool_state_watch_close(CstPoolState *state, int *fd)
{
    if (*fd >= 0 && state->backend->watch_close) {
        CstCall call = pool_call_begin(state, "watch_close", NULL);

        state->backend->watch_close(state, *fd);
        cst_call_trace(&call, TRUE);
        *fd = -1;
    }
    cst_fd_clear(fd);
}

void cst_pool_state_watch_read(CstPoolState *state, int fd,
                               void (*changed)(const char *name, gpointer data), gpointer data)
{
    CstCall call = pool_call_begin(state, "watch_read", NULL);

    state->backend->watch_read(state, fd, changed, data);
    cst_call_trace(&call, TRUE);
}

gboolean cst_pool_discover(CstPoolType type, const CstPoolSource *spec, GArray *ret_sources,
                           GError **error)
{
    const CstBackend *backend = cst_backend_for(type, error);
    CstCall call;

    if (!backend)
        return FALSE;
    if (!backend->discover)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("pool type '%s' does not support source discovery"),
                        cst_pool_type_name(type));
    call = pool_call_begin_type(type, "discover", NULL);
    return cst_call_end(&call, backend->discover(spec, ret_sources, &call.why), error);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dispatcher above a backend that violates its contract, and the log of calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/log.h>
#include <pool/pool.h>

#include "await.h"
#include "odd_backend.h"
#include "points.h"

/* Replaces the registry. */
const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &odd_backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return TRUE;
}

/* --- each call -------------------------------------------------------------------------------- */

static CstPoolState *pool;
static CstVolDef *volume_def;

static CstPoolState *open_pool(GError **error)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_new(CST_POOL_DIR);

    def->name = g_strdup("p");
    return cst_pool_state_open(def, NULL, error);
}

static int set_up(void **unused)
{
    odd_how = ODD_RIGHT;
    odd_found = NULL;
    odd_gives_blob = TRUE;
    odd_backend.ends_dry_runs = FALSE;
    pool = open_pool(NULL);
    volume_def = cst_vol_def_new();
    volume_def->name = g_strdup("v");
    volume_def->capacity = 1;
    return pool ? 0 : -1;
}

/* A hanging storage must be detected quickly. Other tests get enough time, even on a busy host. */
static int set_up_impatient(void **unused)
{
    cst_liveness_times.patience = 100 * G_TIME_SPAN_MILLISECOND;
    return set_up(unused);
}

static int tear_down(void **unused)
{
    cst_dry_run_set(FALSE);
    cst_liveness_times.patience = G_TIME_SPAN_DAY;
    cst_pool_state_unref(pool);
    cst_vol_def_free(volume_def);
    return 0;
}

static gboolean drop(GPtrArray *list)
{
    if (list)
        g_ptr_array_unref(list);
    return list != NULL;
}

static gboolean drop_blob(CstBlob *blob)
{
    cst_blob_unref(blob);
    return blob != NULL;
}

static gboolean call_open(GError **error)
{
    CstPoolState *state = open_pool(error);

    cst_pool_state_unref(state);
    return state != NULL;
}

static gboolean call_check(GError **error)
{
    gboolean active;

    return cst_pool_state_check(pool, &active, error);
}

static gboolean call_scan_one(GError **error)
{
    g_autoptr(CstVolume) volume = NULL;
    gboolean done = cst_pool_state_scan_one(pool, "v", NULL, &volume, error);

    /* The result of a failed call is not returned. */
    assert_true(done || !volume);
    return done;
}

static gboolean call_usage(GError **error)
{
    CstPoolUsage usage = {.mode = 7};
    gboolean done = cst_pool_state_usage(pool, &usage, error);

    assert_int_equal(usage.mode, CST_PERMS_UNSET);
    return done;
}

static gboolean call_identity(GError **error)
{
    g_autofree char *line = cst_pool_state_identity(pool, error);

    return line != NULL;
}

static gboolean call_vol_identity(GError **error)
{
    g_autoptr(CstVolume) volume = cst_volume_new("v");
    g_autofree char *identity = cst_pool_state_vol_identity(pool, volume, error);

    return identity != NULL;
}

static gboolean call_set_credential(GError **error)
{
    const CstSecretBytes value = {0};
    g_autofree char *account = NULL;
    gboolean done = cst_pool_state_set_credential(pool, NULL, &value, &account, error);

    assert_true(done == (account != NULL));
    return done;
}

static gboolean call_discover(GError **error)
{
    return cst_pool_discover(CST_POOL_DIR, NULL, NULL, error);
}

static gboolean call_reserve(GError **error)
{
    g_auto(CstVolDraft) draft = {0};

    return cst_pool_state_reserve(pool, volume_def, &draft, error);
}

static gboolean call_commit(GError **error)
{
    g_auto(CstVolDraft) draft = {0};

    return cst_pool_state_commit(pool, &draft, volume_def, error);
}

static gboolean call_reserve_clone(GError **error)
{
    g_auto(CstVolDraft) draft = {0};

    return cst_pool_state_reserve_clone(pool, volume_def, "s", NULL, &draft, error);
}

static gboolean call_watch_open(GError **error)
{
    int fd = cst_pool_state_watch_open(pool, error);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

#define CALL(name, expression)                  \
    static gboolean call_##name(GError **error) \
    {                                           \
        return expression;                      \
    }

static const char *const two_names[] = {"v", "w"};

/* Returns TRUE if the names of volumes with snapshots are listed, or need not be. */
static gboolean drop_names(GError **error)
{
    GHashTable *listed;
    gboolean done = cst_pool_state_snapshot_volumes(pool, &listed, error);

    g_clear_pointer(&listed, g_hash_table_unref);
    return done;
}

CALL(rescan_bus, cst_pool_state_rescan_bus(pool, NULL, error))
CALL(scan, cst_pool_state_scan(pool, NULL, NULL, error))
CALL(build, cst_pool_state_build(pool, 0, error))
CALL(start, cst_pool_state_start(pool, error))
CALL(stop, cst_pool_state_stop(pool, error))
CALL(destroy, cst_pool_state_destroy(pool, 0, error))
CALL(drop_drafts, cst_pool_state_settle(pool, error))
CALL(prove, cst_pool_state_prove(pool, error))
CALL(renew, cst_pool_state_renew(pool, error))
CALL(expect, cst_pool_state_expect(pool, NULL, TRUE, error))
CALL(vol_make, cst_pool_state_make(pool, volume_def, error))
CALL(vol_abandon, cst_pool_state_abandon(pool, "t", error))
CALL(vol_delete, cst_pool_state_delete(pool, "v", 0, error))
CALL(vol_check_wipe, cst_pool_state_vol_check_wipe(pool, "v", error))
CALL(vol_open, drop_blob(cst_pool_state_vol_open(pool, "v", FALSE, error)))
CALL(vol_resize, cst_pool_state_vol_resize(pool, "v", 1, NULL, error))
CALL(vol_holders, drop(cst_pool_state_vol_holders(pool, "v", error)))
CALL(vols_holders, drop(cst_pool_state_vols_holders(pool, two_names, 2, NULL, error)))
CALL(vol_children, drop(cst_pool_state_vol_children(pool, "v", error)))
CALL(vol_flatten, cst_pool_state_vol_flatten(pool, "v", NULL, error))
CALL(thin, drop(cst_pool_state_thin(pool, error)))
CALL(space_usage, drop(cst_pool_state_space_usage(pool, error)))
CALL(snapshots_list, drop(cst_pool_state_snapshots(pool, "v", error)))
CALL(snapshots_volumes, drop_names(error))
CALL(snapshots_create, cst_pool_state_snapshot_create(pool, "v", "s", NULL, NULL, error))
CALL(snapshots_revert, cst_pool_state_snapshot_revert(pool, "v", "s", NULL, NULL, error))
CALL(snapshots_remove, cst_pool_state_snapshot_remove(pool, "v", "s", NULL, error))
CALL(snapshots_rename, cst_pool_state_snapshot_rename(pool, "v", "s", "t", error))
CALL(snapshots_open, drop_blob(cst_pool_state_snapshot_open(pool, "v", "s", error)))

static const OddCall calls[] = {
    {"open", call_open, NULL},
    {"check", call_check, NULL},
    {"rescan_bus", call_rescan_bus, NULL},
    {"scan", call_scan, NULL},
    {"scan_one", call_scan_one, "v"},
    {"usage", call_usage, NULL},
    {"build", call_build, NULL},
    {"start", call_start, NULL},
    {"stop", call_stop, NULL},
    {"destroy", call_destroy, NULL},
    {"drop_drafts", call_drop_drafts, NULL},
    {"prove", call_prove, NULL},
    {"renew", call_renew, NULL},
    {"set_credential", call_set_credential, NULL},
    {"identity", call_identity, NULL},
    {"vol_identity", call_vol_identity, "v"},
    {"expect", call_expect, NULL},
    {"discover", call_discover, NULL},
    {"vol_make", call_vol_make, "v"},
    {"vol_reserve", call_reserve, "v"},
    {"vol_commit", call_commit, "v"},
    {"vol_abandon", call_vol_abandon, NULL},
    {"vol_delete", call_vol_delete, "v"},
    {"vol_check_wipe", call_vol_check_wipe, "v"},
    {"vol_open", call_vol_open, "v"},
    {"vol_resize", call_vol_resize, "v"},
    {"vol_reserve_clone", call_reserve_clone, "v"},
    {"vol_holders", call_vol_holders, "v"},
    {"vols_holders", call_vols_holders, NULL},
    {"vol_children", call_vol_children, "v"},
    {"vol_flatten", call_vol_flatten, "v"},
    {"thin", call_thin, NULL},
    {"space_usage", call_space_usage, NULL},
    {"snapshots.list", call_snapshots_list, "v"},
    {"snapshots.volumes", call_snapshots_volumes, NULL},
    {"snapshots.create", call_snapshots_create, "v"},
    {"snapshots.revert", call_snapshots_revert, "v"},
    {"snapshots.remove", call_snapshots_remove, "v"},
    {"snapshots.rename", call_snapshots_rename, "v"},
    {"snapshots.open", call_snapshots_open, "v"},
    {"watch_open", call_watch_open, NULL},
};

/* The discovery of sources needs no pool. */
static gboolean has_pool(const char *slot)
{
    return strcmp(slot, "discover") != 0;
}

static char *blame(const char *slot)
{
    return g_strdup_printf("%sthe dir backend's", has_pool(slot) ? "'p': " : "");
}

static char *trace(const OddCall *call)
{
    g_autofree char *volume = call->about ? g_strdup_printf(" '%s'", call->about) : g_strdup("");

    return g_strdup_printf("dir.%s%s%s: ", call->slot, has_pool(call->slot) ? " 'p'" : "", volume);
}

static const OddDispatcher dispatcher = {calls, G_N_ELEMENTS(calls), blame, trace};

/* --- tests ------------------------------------------------------------------------------------ */

static void a_result_and_an_error_are_handed_on(void **unused)
{
    odd_assert_handed_on(&dispatcher);
}

static void a_backend_that_breaks_its_contract_is_named(void **unused)
{
    odd_found = "v";
    odd_assert_broken_are_named(&dispatcher);
}

static void image_of_a_broken_vol_open_is_closed(void **unused)
{
    guint before = odd_closed;

    odd_how = ODD_BOTH;
    assert_false(call_open(NULL));
    assert_int_equal(odd_closed, before + 1);
}

static void results_that_may_not_be_are_internal_errors(void **unused)
{
    g_autoptr(GError) error = NULL;

    odd_found = "w";
    assert_false(call_scan_one(&error));
    odd_assert_broken(&dispatcher, error, "scan_one", "returned another volume");
    g_clear_error(&error);
    odd_found = "v";
    assert_true(call_scan_one(&error));

    odd_gives_blob = FALSE;
    assert_false(call_set_credential(&error));
    odd_assert_broken(&dispatcher, error, "set_credential", "returned no account");
    g_clear_error(&error);
    assert_false(call_reserve(&error));
    odd_assert_broken(&dispatcher, error, "vol_reserve", "made a draft that can't be written");
    g_clear_error(&error);
    volume_def->type = CST_VOL_DIR;
    assert_true(call_reserve(&error));
}

static void dispatcher_dry_run_creates_no_volume(void **unused)
{
    g_autoptr(GError) error = NULL;

    odd_backend.ends_dry_runs = TRUE;
    cst_dry_run_set(TRUE);
    assert_false(call_reserve(&error));
    odd_assert_broken(&dispatcher, error, "vol_reserve", "made a volume in a dry run");
    g_clear_error(&error);
    assert_false(call_vol_make(&error));
    odd_assert_broken(&dispatcher, error, "vol_make", "made a volume in a dry run");
    g_clear_error(&error);
    odd_how = ODD_SAYS_WHY;
    assert_false(call_reserve(&error));
    assert_int_equal(error->code, CST_ERROR_BUSY);
    odd_backend.ends_dry_runs = FALSE;
    assert_true(call_reserve(NULL));
}

static void a_volume_always_has_a_path(void **unused)
{
    g_autofree char *path = cst_pool_state_vol_path(pool, "v");
    g_autofree char *instead = NULL;

    assert_string_equal(path, "/v");
    odd_how = ODD_SILENT;
    instead = cst_pool_state_vol_path(pool, "v");
    assert_string_equal(instead, "v");
}

/* Types whose keys are not paths set a key. */
static void a_volume_without_a_key_of_its_own_has_its_path_as_key(void **unused)
{
    g_autoptr(CstVolume) volume = cst_volume_new("v");
    g_autofree char *bare = cst_pool_state_vol_key(pool, volume);
    CstVolumeExtra *extra = cst_volume_extra(volume);
    g_autofree char *without = cst_pool_state_vol_key(pool, volume);
    g_autofree char *with = NULL;

    assert_string_equal(bare, "/v");
    assert_string_equal(without, "/v");
    extra->key = g_strdup("uuid");
    with = cst_pool_state_vol_key(pool, volume);
    assert_string_equal(with, "uuid");
}

/* Undeclared properties of an image are not shown as facts. */
static void undeclared_reference_is_reported(void **unused)
{
    static const struct {
        int trust;
        gboolean told;
    } rows[] = {{CST_TRUST_NONE, TRUE}, {CST_TRUST_NAMED, FALSE}};

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstVolume) volume = cst_volume_new("v");
        CstVolumeExtra *extra = cst_volume_extra(volume);
        g_autoptr(CstVolDef) def = NULL;

        volume->format = "raw";
        extra->content = "qcow2";
        extra->backing_path = g_strdup("/base");
        extra->data_file = g_strdup("/data");
        extra->backing_trust = extra->data_trust = rows[i].trust;
        def = cst_volume_describe(pool, volume);
        assert_string_equal(cst_options_get(def->options, "content"), "qcow2");
        assert_true(g_strcmp0(cst_options_get(def->options, "undeclared-backing"),
                              rows[i].told ? "/base" : NULL) == 0);
        assert_true(g_strcmp0(cst_options_get(def->options, "undeclared-data-file"),
                              rows[i].told ? "/data" : NULL) == 0);
    }
}

static void backend_with_half_a_watch_has_no_watch(void **unused)
{
    g_autoptr(GError) error = NULL;

    void (*real)(CstPoolState *, int, void (*)(const char *, gpointer), gpointer) =
        odd_backend.watch_read;

    odd_backend.watch_read = NULL;
    assert_int_equal(cst_pool_state_watch_open(pool, &error), -1);
    assert_null(error);
    odd_backend.watch_read = real;
}

/* Optional callbacks of a backend, and calls that do not reach it in a dry run. */
static const struct {
    gboolean (*call)(GError **error);
    gsize slot;          /* of CstBackend */
    const char *without; /* message without the callback; NULL: success */
    int dry;             /* error in a dry run; 0: success, CALLED: that of the callback */
    gboolean checks;     /* a backend that ends dry runs itself is called in them */
} optional[] = {
#define CALLED     (-1)
#define SLOT(name) offsetof(CstBackend, name)
    {call_build, SLOT(build), NULL, CST_ERROR_DRY_RUN, TRUE},
    {call_start, SLOT(start), NULL, CST_ERROR_DRY_RUN, TRUE},
    {call_stop, SLOT(stop), NULL, CST_ERROR_DRY_RUN, FALSE},
    {call_destroy, SLOT(destroy), "does not support pool deletion", CST_ERROR_DRY_RUN, TRUE},
    {call_drop_drafts, SLOT(drop_drafts), NULL, 0, FALSE},
    {call_rescan_bus, SLOT(rescan_bus), NULL, CALLED, FALSE},
    {call_prove, SLOT(prove), "has no login that could be tried", CALLED, FALSE},
    {call_renew, SLOT(renew), NULL, CALLED, FALSE},
    {call_set_credential, SLOT(set_credential), "cannot be changed from here", CST_ERROR_DRY_RUN,
     FALSE},
    {call_expect, SLOT(expect), NULL, CALLED, FALSE},
    {call_discover, SLOT(discover), "does not support source discovery", CALLED, FALSE},
    {call_vol_make, SLOT(vol_make), "does not make volumes in one step", CST_ERROR_DRY_RUN, TRUE},
    {call_reserve, SLOT(vol_reserve), "does not support volume creation", 0, TRUE},
    {call_reserve_clone, SLOT(vol_reserve_clone), "does not share content", CST_ERROR_UNSUPPORTED,
     FALSE},
    {call_vol_abandon, SLOT(vol_abandon), NULL, 0, FALSE},
    {call_vol_delete, SLOT(vol_delete), "does not support vol deletion", CST_ERROR_DRY_RUN, TRUE},
    {call_vol_check_wipe, SLOT(vol_check_wipe), NULL, CALLED, FALSE},
    {call_vol_open, SLOT(vol_open), "does not give access to volume contents", CALLED, FALSE},
    {call_vol_resize, SLOT(vol_resize), "does not support changing of volume capacity",
     CST_ERROR_DRY_RUN, FALSE},
    {call_vol_holders, SLOT(vol_holders), NULL, CALLED, FALSE},
    {call_vols_holders, SLOT(vols_holders), NULL, CALLED, FALSE},
    {call_vol_children, SLOT(vol_children), NULL, CALLED, FALSE},
    {call_vol_flatten, SLOT(vol_flatten), "has no volumes that share content", CST_ERROR_DRY_RUN,
     FALSE},
    {call_thin, SLOT(thin), NULL, CALLED, FALSE},
    {call_space_usage, SLOT(space_usage), NULL, CALLED, FALSE},
    {call_snapshots_list, SLOT(snapshots), "has no snapshots of its own", CALLED, FALSE},
    {call_snapshots_volumes, SLOT(snapshots), NULL, CALLED, FALSE},
    {call_snapshots_create, SLOT(snapshots), "has no snapshots of its own", CALLED, FALSE},
    {call_snapshots_revert, SLOT(snapshots), "has no snapshots of its own", CALLED, FALSE},
    {call_snapshots_remove, SLOT(snapshots), "has no snapshots of its own", CALLED, FALSE},
    {call_snapshots_rename, SLOT(snapshots), "has no snapshots of its own", CALLED, FALSE},
    {call_snapshots_open, SLOT(snapshots), "has no snapshots of its own", CALLED, FALSE},
};

static void missing_callback_is_reported_or_not_needed(void **unused)
{
    for (gsize i = 0; i < G_N_ELEMENTS(optional); i++) {
        gpointer *slot = (gpointer *)((char *)&odd_backend + optional[i].slot);
        gpointer real = *slot;
        g_autoptr(GError) error = NULL;

        *slot = NULL;
        assert_int_equal(optional[i].call(&error), !optional[i].without);
        *slot = real;
        if (optional[i].without && !strstr(error->message, optional[i].without))
            fail_msg("%s", error->message);
    }
}

/* The callback itself would fail with BUSY. */
static void assert_dry(gsize row, int code)
{
    g_autoptr(GError) error = NULL;

    odd_how = ODD_SAYS_WHY;
    assert_int_equal(optional[row].call(&error), code == 0);
    if ((error ? error->code : 0) != (code == CALLED ? CST_ERROR_BUSY : code))
        fail_msg("row %zu: %s", row, error ? error->message : "success");
}

static void dry_run_calls_no_changing_callback(void **unused)
{
    cst_dry_run_set(TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(optional); i++) {
        odd_backend.ends_dry_runs = FALSE;
        assert_dry(i, optional[i].dry);
        odd_backend.ends_dry_runs = TRUE;
        assert_dry(i, optional[i].checks ? CALLED : optional[i].dry);
    }
}

static gboolean declares = TRUE;

static gboolean declare(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration)
{
    return declares;
}

/* FALSE tells the caller to keep its own record. */
static void pool_without_declarations_reports_it(void **unused)
{
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 1);
    g_autoptr(CstDeclaration) raw = cst_declaration_new("raw", FALSE);

    assert_false(cst_pool_state_vol_declare(pool, blob, raw));
    odd_backend.vol_declare = declare;
    for (int kept = FALSE; kept <= TRUE; kept++) {
        declares = kept;
        assert_int_equal(cst_pool_state_vol_declare(pool, blob, raw), kept);
    }
    odd_backend.vol_declare = NULL;
}

/* --- storage that hangs ----------------------------------------------------------------------- */

#define HANGS "the storage of pool 'p' has not answered for "

/* Returns whether a callback needs no pool, or never waits for the storage. */
static gboolean is_outside(const char *slot)
{
    static const char *const outside[] = {"open",  "discover", "check",          "stop",
                                          "prove", "renew",    "set_credential", NULL};

    return g_strv_contains(outside, slot);
}

/* A copy into a draft that shares content with its source ends like any other read or write. */
static void no_callback_is_called_while_the_storage_hangs(void **unused)
{
    g_auto(CstVolDraft) draft = {0}, clone = {0};
    g_autoptr(CstBlob) volume = cst_pool_state_vol_open(pool, "v", FALSE, NULL);
    char byte;

    AWAIT(cst_pool_state_reserve(pool, volume_def, &draft, NULL));
    AWAIT(cst_pool_state_reserve_clone(pool, volume_def, "s", NULL, &clone, NULL));
    g_atomic_int_set(&odd_hangs, TRUE);
    AWAIT(!cst_pool_state_answers(pool, NULL));
    odd_found = "v";
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        if (calls[i].call(&error) != is_outside(calls[i].slot))
            fail_msg("%s", calls[i].slot);
        if (error)
            assert_true(g_str_has_prefix(error->message, HANGS));
    }
    assert_false(cst_blob_pread(volume, &byte, 1, 0, NULL));
    assert_false(cst_blob_pread(draft.blob, &byte, 1, 0, NULL));
    assert_false(cst_blob_pread(clone.blob, &byte, 1, 0, NULL));
    g_atomic_int_set(&odd_hangs, FALSE);
    AWAIT(call_usage(NULL) && cst_blob_pread(volume, &byte, 1, 0, NULL));
}

/* --- the log ---------------------------------------------------------------------------------- */

static void calls_are_logged_when_debug_is_on(void **unused)
{
    odd_assert_traced(&dispatcher);
}

int main(void)
{
#define TEST(name)    cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define HANGING(name) cmocka_unit_test_setup_teardown(name, set_up_impatient, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_result_and_an_error_are_handed_on),
        TEST(a_backend_that_breaks_its_contract_is_named),
        TEST(image_of_a_broken_vol_open_is_closed),
        TEST(results_that_may_not_be_are_internal_errors),
        TEST(dispatcher_dry_run_creates_no_volume),
        TEST(a_volume_always_has_a_path),
        TEST(a_volume_without_a_key_of_its_own_has_its_path_as_key),
        TEST(undeclared_reference_is_reported),
        TEST(backend_with_half_a_watch_has_no_watch),
        TEST(missing_callback_is_reported_or_not_needed),
        TEST(dry_run_calls_no_changing_callback),
        TEST(pool_without_declarations_reports_it),
        HANGING(no_callback_is_called_while_the_storage_hangs),
        TEST(calls_are_logged_when_debug_is_on),
    };

    cst_log_init();
    cst_liveness_times = (struct CstLivenessTimes){.patience = G_TIME_SPAN_DAY, .period = 1000};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

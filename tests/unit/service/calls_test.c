/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Common properties of all calls. Each call is a job while it runs, with its kind and volume. Each
 * call rejects unknown flags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log.h>
#include <service/images.h>
#include <service/snapshots.h>
#include <service/trust.h>

#include "fixture.h"

/* A flag that no call knows. */
#define STRANGE_FLAG (1u << 30)

#define NEW_XML "<volume><name>new</name><capacity>1048576</capacity></volume>"

typedef gboolean (*Call)(CstPool *pool, const char *name, unsigned flags, GError **error);

static gboolean call_create(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create(pool, NEW_XML, flags, NULL, &made, error);
}

static gboolean call_clone(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create_from(pool, NEW_XML, pool, name, flags, NULL, &made, error);
}

static gboolean call_convert(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    const CstVolConvert how = {.name = "new", .format = "raw", .flags = flags};

    return cst_vol_convert(pool, pool, name, &how, NULL, error);
}

static gboolean call_delete(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_vol_delete(pool, name, flags, NULL, error);
}

static gboolean call_resize(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_vol_resize(pool, name, 1 << 21, flags, NULL, error);
}

static gboolean call_wipe(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_vol_wipe(pool, name, CST_WIPE_ZERO, flags, NULL, error);
}

static gboolean call_upload(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autoptr(CstUpload) upload = cst_vol_upload(pool, name, 0, 0, flags, NULL, error);

    return upload != NULL;
}

static gboolean call_download(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autoptr(CstDownload) download = cst_vol_download(pool, name, 0, 0, flags, NULL, error);

    return download != NULL;
}

static gboolean call_declare(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    const CstVolDeclare how = {.format = "raw", .flags = flags};

    return cst_vol_declare(pool, name, &how, NULL, error);
}

static gboolean call_check(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_auto(CstCheckReport) report = {0};

    return cst_vol_check(pool, name, flags, NULL, &report, error);
}

static gboolean call_commit(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_vol_commit(pool, name, NULL, flags, NULL, error);
}

static gboolean call_rebase(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    const CstVolRebase how = {.flags = flags};

    return cst_vol_rebase(pool, name, &how, NULL, error);
}

static gboolean call_flatten(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_vol_flatten(pool, name, NULL, error);
}

static gboolean call_sparsify(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    uint64_t given_back;

    return cst_vol_sparsify(pool, name, NULL, &given_back, error);
}

static gboolean call_compare(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    CstCompareReport report;

    return cst_vol_compare(pool, name, pool, "v", NULL, &report, error);
}

static gboolean call_measure(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    CstMeasureReport report;

    return cst_vol_measure(pool, name, "raw", NULL, NULL, &report, error);
}

static gboolean call_map(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autoptr(CstVolMap) map = cst_vol_map(pool, name, 0, 0, NULL, error);

    return map != NULL;
}

static gboolean call_bitmap(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(CstBitmapStep));
    const CstBitmapStep step = {.action = "add"};
    const CstBitmapChange change = {.name = "b", .steps = steps};

    g_array_append_val(steps, step);
    return cst_vol_bitmap(pool, name, &change, NULL, NULL, NULL, error);
}

static gboolean call_snapshot(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_vol_snapshot_create(pool, name, "s", 0, NULL, error);
}

static gboolean call_snapshot_revert(CstPool *pool, const char *name, unsigned flags,
                                     GError **error)
{
    return cst_vol_snapshot_revert(pool, name, "s", NULL, NULL, error);
}

static gboolean call_snapshot_delete(CstPool *pool, const char *name, unsigned flags,
                                     GError **error)
{
    return cst_vol_snapshot_delete(pool, name, "s", NULL, error);
}

static gboolean call_snapshot_rename(CstPool *pool, const char *name, unsigned flags,
                                     GError **error)
{
    return cst_vol_snapshot_rename(pool, name, "s", "t", NULL, error);
}

static gboolean call_snapshot_clone(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_vol_snapshot_clone(pool, name, "s", "new", NULL, error);
}

static gboolean call_xml(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autofree char *xml = cst_vol_get_xml(pool, name, flags, error);

    return xml != NULL;
}

static gboolean call_pool_xml(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    g_autofree char *xml = cst_pool_get_xml(pool, flags, error);

    return xml != NULL;
}

static gboolean call_pool_start(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_pool_start(pool, flags, NULL, error);
}

static gboolean call_pool_build(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_pool_build(pool, flags, NULL, error);
}

static gboolean call_pool_delete(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_pool_delete(pool, flags, NULL, error);
}

static gboolean call_pool_refresh(CstPool *pool, const char *name, unsigned flags, GError **error)
{
    return cst_pool_refresh(pool, flags, NULL, error);
}

static const struct {
    const char *kind;   /* of its job; NULL: the call is not a job */
    const char *volume; /* volume that the job names, for a call on the volume "none"; NULL: no
                           volume */
    Call call;
    gboolean takes_flags;
} calls[] = {
    {"clone", "new", call_clone, TRUE},
    {"convert", "new", call_convert, TRUE},
    {"delete", "none", call_delete, TRUE},
    {"resize", "none", call_resize, TRUE},
    {"wipe", "none", call_wipe, TRUE},
    {"upload", "none", call_upload, TRUE},
    {"download", "none", call_download, TRUE},
    {"declare", "none", call_declare, TRUE},
    {"check", "none", call_check, TRUE},
    {"commit", "none", call_commit, TRUE},
    {"rebase", "none", call_rebase, TRUE},
    {"flatten", "none", call_flatten, FALSE},
    {"sparsify", "none", call_sparsify, FALSE},
    {"compare", "none", call_compare, FALSE},
    {"measure", "none", call_measure, FALSE},
    {"map", "none", call_map, FALSE},
    {"bitmap", "none", call_bitmap, FALSE},
    {"snapshot", "none", call_snapshot, FALSE},
    {"revert", "none", call_snapshot_revert, FALSE},
    {"delete", "none", call_snapshot_delete, FALSE},
    {"rename", "none", call_snapshot_rename, FALSE},
    {"clone", "new", call_snapshot_clone, FALSE},
    {NULL, NULL, call_xml, TRUE},
    {NULL, NULL, call_pool_xml, TRUE},
    {"start", NULL, call_pool_start, TRUE},
    {"build", NULL, call_pool_build, FALSE},
    {"pool-delete", NULL, call_pool_delete, FALSE},
    {"refresh", NULL, call_pool_refresh, TRUE},
    {"create", "new", call_create, TRUE}, /* the only one that succeeds */
};

/* --- log messages ----------------------------------------------------------------------------- */

static GMutex lock; /* guards the lines */
static GString *logged;

static GLogWriterOutput keep_message(GLogLevelFlags level, const GLogField *fields, gsize count,
                                     gpointer unused)
{
    g_mutex_lock(&lock);
    for (gsize i = 0; logged && i < count; i++)
        if (g_str_equal(fields[i].key, "MESSAGE"))
            g_string_append_printf(logged, "%s\n", (const char *)fields[i].value);
    g_mutex_unlock(&lock);
    return G_LOG_WRITER_HANDLED;
}

/* Returns the log of one call; the caller frees it. */
static char *log_of(Call call, CstPool *pool)
{
    char *text;

    g_mutex_lock(&lock);
    logged = g_string_new(NULL);
    g_mutex_unlock(&lock);
    cst_log_set_level(CST_LOG_DEBUG);
    call(pool, "none", 0, NULL);
    cst_log_set_level(CST_LOG_WARNING);
    g_mutex_lock(&lock);
    text = g_string_free(g_steal_pointer(&logged), FALSE);
    g_mutex_unlock(&lock);
    return text;
}

/* --- tests ------------------------------------------------------------------------------------ */

static CstPool *pool_with_volume(Fixture *f)
{
    CstPool *pool = fixture_pool(f, "p");

    fixture_write(f, "p", "v", "content");
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    return pool;
}

/* Returns "job (KIND of …) ", as in the log; the caller frees it. */
static char *name_of_job(const char *kind, const char *volume)
{
    return volume ? g_strdup_printf("job (%s of volume '%s' in pool 'p') ", kind, volume)
                  : g_strdup_printf("job (%s of pool 'p') ", kind);
}

/*
 * Other clients see each call as a job. A job may learn its volume's name while it runs; its end
 * has the name.
 */
static void each_call_is_a_job_of_its_kind(void **state)
{
    g_autoptr(CstPool) pool = pool_with_volume(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autofree char *text = log_of(calls[i].call, pool);
        g_autofree char *job = calls[i].kind ? name_of_job(calls[i].kind, calls[i].volume) : NULL;
        const char *last = g_strrstr(text, "job (");

        if (job && !g_str_has_prefix(last, job))
            fail_msg("no \"%s\" in:\n%s", job, text);
    }
}

static void unknown_flags_are_refused_before_any_change(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = pool_with_volume(f);
    g_autofree char *path = cst_vol_get_path(pool, "v", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autofree char *content = NULL;
        g_autoptr(GError) error = NULL;
        guint count = 0;

        if (!calls[i].takes_flags)
            continue;
        if (calls[i].call(pool, "v", STRANGE_FLAG, &error))
            fail_msg("%s succeeds", calls[i].kind);
        assert_non_null(strstr(error->message, "0x40000000"));
        assert_error(&error, CST_ERROR_FLAGS);
        assert_true(g_file_get_contents(path, &content, NULL, NULL));
        assert_string_equal(content, "content");
        assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
        assert_true(cst_pool_count_volumes(pool, &count, NULL));
        assert_int_equal(count, 1);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_call_is_a_job_of_its_kind),
        TEST(unknown_flags_are_refused_before_any_change),
    };

    g_log_set_writer_func(keep_message, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

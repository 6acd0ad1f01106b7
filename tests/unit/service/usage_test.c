/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sizes of a pool are up to date when a change returns, not only after the next refresh. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <model/pool_type.h>
#include <pool/pool.h>
#include <service/events.h>
#include <service/images.h>
#include <service/snapshots.h>
#include <service/usage.h>

#include "await.h"

/* --- storage used by the test only ------------------------------------------------------------ */

static gboolean is_full; /* the storage has no space left */
static GThread *asking;  /* the only thread whose calls are answered, so that no other scan helps */

gboolean __wrap_cst_pool_state_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);

/* Returns the bytes written to the files in @dir, except hidden files. */
static uint64_t written_to(const char *dir)
{
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    uint64_t sum = 0;
    const char *name;

    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        struct stat st;

        if (name[0] != '.' && stat(path, &st) == 0)
            sum += (uint64_t)st.st_size;
    }
    return sum;
}

/* Wrapped with --wrap. */
gboolean __wrap_cst_pool_state_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    *ret_usage = CST_POOL_USAGE_UNKNOWN;
    if (g_thread_self() != asking)
        return cst_fail(error, CST_ERROR_BUSY, "only the test asks");
    ret_usage->capacity = CST_GIB;
    ret_usage->allocation = is_full ? CST_GIB : written_to(state->def->target_path);
    ret_usage->available = ret_usage->capacity - ret_usage->allocation;
    return TRUE;
}

/* --- changes ---------------------------------------------------------------------------------- */

static gboolean create(CstPool *pool, GError **error)
{
    fixture_create(pool, "new", "raw", "");
    return TRUE;
}

static gboolean copy(CstPool *pool, GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create_from(pool, "<volume><name>copy</name></volume>", pool, "v", 0, NULL,
                               &made, error);
}

static gboolean convert(CstPool *pool, GError **error)
{
    const CstVolConvert how = {.name = "converted", .format = "qcow2"};

    return cst_vol_convert(pool, pool, "v", &how, NULL, error);
}

static gboolean grow(CstPool *pool, GError **error)
{
    return cst_vol_resize(pool, "v", 3 * CST_MIB, 0, NULL, error);
}

static gboolean take_snapshot(CstPool *pool, GError **error)
{
    return cst_vol_snapshot_create(pool, "converted", "s", 0, NULL, error);
}

static gboolean upload(CstPool *pool, GError **error)
{
    g_autoptr(CstUpload) stream = cst_vol_upload(pool, "converted", 0, 0, 0, NULL, error);
    static const char bytes[3 * CST_MIB] = "no image";

    return stream && cst_upload_write(stream, bytes, sizeof(bytes), error) &&
           cst_upload_finish(stream, error);
}

static gboolean drop(CstPool *pool, GError **error)
{
    return cst_vol_delete(pool, "v", 0, NULL, error);
}

static gboolean refresh(CstPool *pool, GError **error)
{
    g_autofree char *path = cst_vol_get_path(pool, "copy", error);

    return path && g_file_set_contents(path, "shorter", -1, NULL) &&
           cst_pool_refresh(pool, 0, NULL, error);
}

static void a_pool_has_the_sizes_that_its_storage_has(void **state)
{
    static const struct {
        const char *name;
        gboolean (*change)(CstPool *pool, GError **error);
    } rows[] = {{"create", create},
                {"clone", copy},
                {"convert", convert},
                {"grow", grow},
                {"snapshot", take_snapshot},
                {"upload", upload},
                {"delete", drop},
                {"refresh", refresh}};
    Fixture *f = *state;
    g_autofree char *dir = g_build_filename(f->images, "p", NULL);
    g_autoptr(CstPool) pool = NULL;
    uint64_t before;

    asking = g_thread_self();
    pool = fixture_pool(f, "p");
    fixture_create(pool, "v", "raw", "");
    before = written_to(dir);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        CstPoolInfo info;

        if (!rows[i].change(pool, &error))
            fail_msg("%s: %s", rows[i].name, error->message);
        cst_pool_get_info(pool, &info);
        if (written_to(dir) == before)
            fail_msg("%s changes no size", rows[i].name);
        if (info.allocation != written_to(dir) || info.available != CST_GIB - info.allocation)
            fail_msg("%s: %" G_GUINT64_FORMAT " instead of %" G_GUINT64_FORMAT, rows[i].name,
                     info.allocation, written_to(dir));
        before = info.allocation;
    }
}

/* --- samples ---------------------------------------------------------------------------------- */

static guint events_of(Fixture *f, const char *kind)
{
    const CstEventQuery query = {.kind = kind, .max = 10};
    int64_t last;
    g_autoptr(GPtrArray) rows = cst_service_events(f->service, &query, &last, NULL);

    assert_non_null(rows);
    return rows->len;
}

static void full_pool_is_an_event_if_its_history_cannot_be_written(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = g_build_filename(f->paths->data_dir, "usage.db", NULL);
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir' xmlns:cistern='" CST_XML_NAMESPACE "'><name>p</name><target>"
        "<path>%s/p</path></target><cistern:thresholds warn='80' critical='90'/></pool>",
        f->images);
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) error = NULL;

    asking = g_thread_self();
    pool = cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, &error);
    assert_no_error(error);
    assert_int_equal(g_mkdir_with_parents(path, 0700), 0);
    assert_int_equal(events_of(f, "pool-critical"), 0);
    is_full = TRUE;
    assert_false(cst_service_usage_sample(f->service, NULL, NULL, &error));
    is_full = FALSE;
    assert_non_null(error);
    AWAIT(events_of(f, "pool-critical") == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pool_has_the_sizes_that_its_storage_has, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(full_pool_is_an_event_if_its_history_cannot_be_written,
                                        fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

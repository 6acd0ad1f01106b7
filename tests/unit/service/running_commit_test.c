/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The replay of a commit that was interrupted during its pivot, when libvirt no longer has the
 * domain. The questions to libvirt are part of the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <base/error.h>
#include <blob/blob.h>

#include "await.h"
#include "fixture.h"

#include "core/claim.h"
#include "volume/running/commit.h"
#include "volume/running/definition.h"

static CstPool *pool;
static char *path;           /* of the volume */
static struct timespec last; /* change of the file before the last flush */

gboolean __wrap_running_record_claim(CstService *service, const CstIntentRecord *record,
                                     const char *pool_field, const char *volume_field,
                                     const char *identity_field, VolumeClaim *claim,
                                     CstVolume **ret_volume, GError **error);
gboolean __wrap_running_definition_read(CstService *service, const CstIntentRecord *record,
                                        RunningDefinition *ret_definition, GError **error);
gboolean __wrap_running_record_is_unused(CstService *service, const CstIntentRecord *record,
                                         const VolumeClaim *claim, GError **error);
gboolean __wrap_cst_blob_flush(CstBlob *blob, GError **error);
gboolean __real_cst_blob_flush(CstBlob *blob, GError **error);

gboolean __wrap_running_record_claim(CstService *service, const CstIntentRecord *record,
                                     const char *pool_field, const char *volume_field,
                                     const char *identity_field, VolumeClaim *claim,
                                     CstVolume **ret_volume, GError **error)
{
    return volume_claim_now(claim, pool, "top", CLAIM_WRITE, ret_volume, error);
}

/* The domain is not defined. */
gboolean __wrap_running_definition_read(CstService *service, const CstIntentRecord *record,
                                        RunningDefinition *ret_definition, GError **error)
{
    return TRUE;
}

gboolean __wrap_running_record_is_unused(CstService *service, const CstIntentRecord *record,
                                         const VolumeClaim *claim, GError **error)
{
    return TRUE;
}

static struct timespec changed_at(void)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mtim;
}

gboolean __wrap_cst_blob_flush(CstBlob *blob, GError **error)
{
    last = changed_at();
    return __real_cst_blob_flush(blob, error);
}

/*
 * A resumed job refuses a volume whose file has changed. So the change must survive a power cut, or
 * the job would commit old data to the base.
 */
static void undecided_volume_is_changed_durably(void **state)
{
    Fixture *f = *state;
    g_autoptr(GHashTable) fields = g_hash_table_new(g_str_hash, g_str_equal);
    const CstIntentRecord record = {.operation = RUNNING_COMMIT, .fields = fields};
    g_autoptr(GError) error = NULL;
    struct timespec before, after;

    pool = fixture_pool(f, "p");
    path = g_build_filename(f->images, "p", "top", NULL);
    fixture_create(pool, "top", "qcow2", "");
    g_hash_table_insert(fields, (gpointer) "switching", (gpointer) "yes");
    g_hash_table_insert(fields, (gpointer) "domain", (gpointer) "d");
    before = changed_at();
    await_file_clock();
    running_commit_replay(f->service, &record, &error);
    assert_no_error(error);
    after = changed_at();
    assert_memory_not_equal(&after, &before, sizeof(after));
    assert_memory_equal(&last, &after, sizeof(after));
    g_free(path);
    cst_pool_unref(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(undecided_volume_is_changed_durably, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

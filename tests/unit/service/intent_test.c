/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drafts that can be distinguished from volumes only by their intent. The intent is durable before
 * the draft is made. The end of the intent is durable before the call returns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <pool/memory.h>
#include <pool/registry.h>

#include "fixture.h"

/* --- storage with such drafts, and the order of steps ----------------------------------------- */

static CstBackend backend;
static GString *seen;           /* NULL: steps are not recorded */
static const char *unsyncable;  /* suffix of the file whose sync fails; NULL: all succeed */
static int patience;            /* number of syncs that succeed first */
static const CstPoolHost *host; /* the pool's host interface */

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == backend.type;
}

/* Records the step, and the number of drafts that the host knows. */
static void note(const char *what)
{
    g_autoptr(GHashTable) drafts = host->drafts(host->data, NULL);

    if (seen)
        g_string_append_printf(seen, "%s:%u ", what, g_hash_table_size(drafts));
}

static gboolean spy_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                            GError **error)
{
    host = state->host;
    note("reserve");
    return cst_memory_backend.vol_reserve(state, def, draft, error);
}

static gboolean spy_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                           GError **error)
{
    note("commit");
    return cst_memory_backend.vol_commit(state, draft, def, error);
}

static gboolean spy_abandon(CstPoolState *state, const char *token, GError **error)
{
    note("abandon");
    return cst_memory_backend.vol_abandon(state, token, error);
}

int __wrap_fsync(int fd);
int __real_fsync(int fd);

/* Records syncs in the journal. */
int __wrap_fsync(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = g_file_read_link(link, NULL);
    const char *what = NULL;

    if (path && g_str_has_suffix(path, "/journal"))
        what = "folder";
    if (path && strstr(path, ".intent"))
        what = "record";
    if (!seen || !what)
        return __real_fsync(fd);
    g_string_append_printf(seen, "%s ", what);
    if (g_strcmp0(what, unsyncable) != 0 || patience-- > 0)
        return 0;
    errno = EIO;
    return -1;
}

/* --- a pool on it ----------------------------------------------------------------------------- */

static CstPool *start_pool(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_create(
        f->service,
        "<pool type='rbd'><name>p</name><source><host name='localhost'/><name>s</name></source>"
        "</pool>",
        CST_POOL_CREATE_WITH_BUILD, NULL, &error);

    assert_no_error(error);
    seen = g_string_new(NULL);
    return pool;
}

static gboolean create(CstPool *pool, GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create(pool, "<volume><name>v</name><capacity unit='MiB'>1</capacity></volume>",
                          0, NULL, &made, error);
}

static int set_up(void **state)
{
    backend = cst_memory_backend;
    backend.drafts_by_intent = TRUE;
    backend.vol_make = NULL;
    backend.vol_reserve = spy_reserve;
    backend.vol_commit = spy_commit;
    backend.vol_abandon = spy_abandon;
    unsyncable = NULL;
    patience = 0;
    return fixture_setup(state);
}

static int tear_down(void **state)
{
    if (seen)
        g_string_free(seen, TRUE);
    seen = NULL;
    cst_memory_clear();
    return fixture_teardown(state);
}

/* --- order ------------------------------------------------------------------------------------ */

static void the_intent_is_durable_around_the_draft(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state);

    assert_true(create(pool, NULL));
    assert_string_equal(seen->str, "record folder reserve:1 commit:1 folder ");
    note("after");
    assert_true(g_str_has_suffix(seen->str, "after:0 "));
}

/* Storage with names for drafts needs no sync of intents. */
static void backend_with_names_for_drafts_syncs_no_intent(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state);

    backend.drafts_by_intent = FALSE;
    assert_true(create(pool, NULL));
    assert_string_equal(seen->str, "reserve:1 commit:1 ");
}

static void no_draft_is_made_without_a_durable_intent(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state);
    g_autoptr(GError) error = NULL;

    unsyncable = "record";
    assert_false(create(pool, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_string_equal(seen->str, "record ");
}

/*
 * After a power failure the intent may exist again, and the next start would then remove the
 * volume.
 */
static void possible_draft_is_not_listed_as_a_volume(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state);
    g_autoptr(GError) error = NULL;

    unsyncable = "folder";
    patience = 1; /* the sync at the start of the intent */
    assert_false(create(pool, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_string_equal(seen->str, "record folder reserve:1 commit:1 folder abandon:0 ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_intent_is_durable_around_the_draft),
        TEST(backend_with_names_for_drafts_syncs_no_intent),
        TEST(no_draft_is_made_without_a_durable_intent),
        TEST(possible_draft_is_not_listed_as_a_volume),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations on a small set of volumes, one step of which fails (step.h). */
#include "step.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/backend.h>
#include <service/images.h>
#include <service/snapshots.h>
#include <service/trash.h>
#include <store/declarations.h>
#include <store/protected.h>
#include <store/trash.h>

#define HALF "the copy '" /* message of a failed move whose copy is complete */

/* --- steps that fail -------------------------------------------------------------------------- */

/* The operations run in the test's own thread. Other threads of the service are not counted. */
static __thread gboolean counting;
static guint left;       /* steps until the failing one; 0: it has failed */
static const char *step; /* the last failed step; NULL: no step has failed */

/* Counts a step. Returns FALSE if it fails. */
static gboolean take_step(const char *name)
{
    if (!counting || left == 0 || --left > 0)
        return TRUE;
    step = name;
    /* For any other error of linkat() the file is copied instead. */
    errno = strcmp(name, "linkat") == 0 ? EEXIST : EIO;
    return FALSE;
}

#define FAILING(type, name, declared, passed)                \
    type __wrap_##name declared;                             \
    type __real_##name declared;                             \
    type __wrap_##name declared                              \
    {                                                        \
        return take_step(#name) ? __real_##name passed : -1; \
    }

FAILING(int, fsync, (int fd), (fd))
FAILING(int, fdatasync, (int fd), (fd))
FAILING(int, ftruncate64, (int fd, off_t size), (fd, size))
FAILING(ssize_t, pwrite64, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
FAILING(int, linkat, (int from, const char *a, int to, const char *b, int flags),
        (from, a, to, b, flags))
FAILING(int, renameat, (int from, const char *a, int to, const char *b), (from, a, to, b))
FAILING(int, renameat2, (int from, const char *a, int to, const char *b, unsigned flags),
        (from, a, to, b, flags))
FAILING(int, rename, (const char *a, const char *b), (a, b))
FAILING(int, unlinkat, (int dir, const char *name, int flags), (dir, name, flags))
FAILING(int, unlink, (const char *path), (path))

#define FAILING_RECORD(name, declared, passed)                                              \
    gboolean __wrap_##name declared;                                                        \
    gboolean __real_##name declared;                                                        \
    gboolean __wrap_##name declared                                                         \
    {                                                                                       \
        return take_step(#name) ? __real_##name passed                                      \
                                : cst_fail(error, CST_ERROR_IO, #name " was told to fail"); \
    }

FAILING_RECORD(cst_declarations_set,
               (CstDeclarations * all, const CstDeclaredFile *file, const CstDeclaration *declared,
                gboolean durable, GError **error),
               (all, file, declared, durable, error))
FAILING_RECORD(cst_declarations_remove,
               (CstDeclarations * all, const char *dir, const char *name, GError **error),
               (all, dir, name, error))

/* --- the environment -------------------------------------------------------------------------- */

static Fixture *fixture;

static CstPool *pool_of(const char *name)
{
    CstPool *pool = cst_service_pool_by_name(fixture->service, name, NULL);

    assert_non_null(pool);
    return pool;
}

/* Replaces the random part of hidden names by a constant. */
static void hide_ids(GString *text)
{
    for (char *at = text->str; (at = strstr(at, CST_TRASH_PREFIX));) {
        char *end = at + strcspn(at, " \n");

        if ((size_t)(end - at) > strlen(CST_TRASH_PREFIX) + 12)
            memset(end - 12, 'x', 12);
        at = end;
    }
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_sorted(GString *text, GPtrArray *lines)
{
    g_ptr_array_sort(lines, compare_texts);
    for (guint i = 0; i < lines->len; i++)
        g_string_append_printf(text, "%s\n", (char *)g_ptr_array_index(lines, i));
}

/* An undone change of an image may leave different unused bytes. */
static gboolean is_plain(const char *file)
{
    return strcmp(file, "base") != 0 && strcmp(file, "over") != 0 && strcmp(file, "snapped") != 0;
}

/* Adds the files of the directory, with a checksum of their content. */
static void add_files(GString *text, const char *dir, gboolean sums)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    const char *name;

    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_autofree char *content = NULL, *sum = NULL;
        gsize len = 0;

        if (sums && is_plain(name) && g_file_get_contents(path, &content, &len, NULL))
            sum = g_compute_checksum_for_data(G_CHECKSUM_SHA1, (guchar *)content, len);
        g_ptr_array_add(lines, g_strdup_printf("file %s %s", name, sum ? sum : ""));
    }
    add_sorted(text, lines);
}

static void add_journal(GString *text)
{
    g_autofree char *journal = g_build_filename(fixture->paths->data_dir, "journal", NULL);

    add_files(text, journal, FALSE);
}

static gboolean is_left(void)
{
    g_autoptr(GString) text = g_string_new(NULL);

    add_journal(text);
    return text->len > 0;
}

static void add_declared(GString *text, CstPool *pool, const CstVolRow *row)
{
    g_autofree char *dir = g_build_filename(fixture->images, cst_pool_name(pool), NULL);
    CstDeclarations *all = cst_declarations_new(fixture->paths);
    g_autofree char *path = g_build_filename(dir, row->name, NULL);
    struct statx st = {0};
    CstDeclaredFile file = {.dir = dir, .name = row->name};
    g_autoptr(CstDeclaration) declared = NULL;

    statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &st);
    file.id.inode = st.stx_ino;
    file.id.btime_ns = st.stx_btime.tv_sec * G_GINT64_CONSTANT(1000000000) + st.stx_btime.tv_nsec;
    assert_true(cst_declarations_find(all, &file, TRUE, &declared, NULL));
    if (declared)
        g_string_append_printf(text, "declared %s, backing %s, restricted %d\n", declared->format,
                               declared->backing, declared->restricted);
    cst_declarations_free(all);
}

static void add_volume(GString *text, CstPool *pool, const CstVolRow *row)
{
    g_autofree char *xml = cst_vol_get_xml(pool, row->name, 0, NULL);
    g_autoptr(GPtrArray) chain = cst_vol_chain(pool, row->name, NULL);
    g_autoptr(GPtrArray) snapshots = cst_vol_snapshots(pool, row->name, NULL, NULL);

    if (!xml)
        fail_msg("volume '%s' is listed, and it is gone", row->name);
    g_string_append_printf(text, "volume %s of %s, %d bytes, chain of %d, %d snapshots\n",
                           row->name, row->format, (int)row->info.capacity,
                           chain ? (int)chain->len : -1, snapshots ? (int)snapshots->len : -1);
    add_declared(text, pool, row);
    if (g_strcmp0(row->format, "qcow2") == 0) {
        g_auto(CstCheckReport) report = {0};

        assert_true(cst_vol_check(pool, row->name, 0, NULL, &report, NULL));
        g_string_append_printf(text, "%d errors\n", (int)report.errors);
    }
}

static void add_kept(GString *text, CstPool *pool)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) names = cst_pool_protected(pool, NULL);
    g_autoptr(GPtrArray) records = cst_trash_list(fixture->paths, cst_pool_uuid(pool), NULL);

    for (guint i = 0; names && i < names->len; i++)
        g_ptr_array_add(lines, g_strconcat("protected ", g_ptr_array_index(names, i), NULL));
    for (guint i = 0; records && i < records->len; i++) {
        const CstTrashed *trashed = g_ptr_array_index(records, i);

        g_ptr_array_add(lines, g_strdup_printf("trashed %s as %s", trashed->name, trashed->hidden));
    }
    add_sorted(text, lines);
}

/* Adds the names in the pool's table, without accessing the storage. */
static void add_names(GString *text, CstPool *pool)
{
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_BRIEF, NULL);

    for (guint i = 0; rows && i < rows->len; i++)
        g_string_append_printf(text, "listed %s\n",
                               ((const CstVolRow *)g_ptr_array_index(rows, i))->name);
}

static void add_pool(GString *text, const char *name, gboolean sums)
{
    g_autoptr(CstPool) pool = pool_of(name);
    g_autofree char *dir = g_build_filename(fixture->images, name, NULL);
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(pool, NULL, 0, CST_VOL_ROWS_DETAILS, NULL);

    g_string_append_printf(text, "pool %s\n", name);
    add_names(text, pool);
    add_files(text, dir, sums);
    add_kept(text, pool);
    for (guint i = 0; rows && i < rows->len; i++)
        add_volume(text, pool, g_ptr_array_index(rows, i));
}

/* @sums: include the content of the files, which differs between two environments. */
static char *world_text(gboolean sums)
{
    g_autoptr(GString) text = g_string_new(NULL);

    add_journal(text);
    add_pool(text, "p", sums);
    add_pool(text, "q", sums);
    hide_ids(text);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* --- the operations --------------------------------------------------------------------------- */

static gboolean rename_base(CstPool *p, CstPool *q, GError **error)
{
    return cst_vol_rename(p, "base", "renamed", NULL, error);
}

static gboolean rename_plain(CstPool *p, CstPool *q, GError **error)
{
    return cst_vol_rename(p, "plain", "renamed", NULL, error);
}

static gboolean delete_plain(CstPool *p, CstPool *q, GError **error)
{
    return cst_vol_delete(p, "plain", 0, NULL, error);
}

static gboolean use_trash(CstPool *p, CstPool *q, GError **error)
{
    g_autofree char *xml = cst_pool_get_xml(p, CST_STORAGE_XML_INACTIVE, error);
    g_autoptr(GString) text = g_string_new(xml);
    g_autoptr(CstPool) same = NULL;

    g_string_replace(text, "</pool>",
                     "<c:trash xmlns:c='urn:cistern:storage:1.0' days='7'/></pool>", 1);
    same = cst_service_pool_define(fixture->service, text->str, 0, error);
    return same && cst_vol_protect(p, "plain", FALSE, NULL, error);
}

static gboolean fill_trash(CstPool *p, CstPool *q, GError **error)
{
    return use_trash(p, q, error) && cst_vol_delete(p, "plain", 0, NULL, error);
}

static gboolean restore(CstPool *p, CstPool *q, GError **error)
{
    g_autofree char *made = NULL;

    return cst_pool_trash_restore(p, "plain", "back", NULL, &made, error);
}

static gboolean empty(CstPool *p, CstPool *q, GError **error)
{
    uint64_t bytes;
    guint count;

    return cst_pool_trash_empty(p, NULL, 0, NULL, &count, &bytes, error);
}

static gboolean move_as(CstPool *p, CstPool *q, const char *name, const char *format,
                        GError **error)
{
    const CstVolMove how = {.name = "moved", .format = format};

    return cst_vol_move(p, name, q, &how, NULL, error);
}

static gboolean unprotect(CstPool *p, CstPool *q, GError **error)
{
    return cst_vol_protect(p, "plain", FALSE, NULL, error);
}

static gboolean move_link(CstPool *p, CstPool *q, GError **error)
{
    return move_as(p, q, "plain", NULL, error);
}

static gboolean move_copy(CstPool *p, CstPool *q, GError **error)
{
    return move_as(p, q, "plain", "qcow2", error);
}

static gboolean move_snapshots(CstPool *p, CstPool *q, GError **error)
{
    return move_as(p, q, "snapped", NULL, error);
}

static gboolean create_overlay(CstPool *p, CstPool *q, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>new</name><target><format type='qcow2'/></target>"
                        "<backingStore><path>%s/p/base</path></backingStore></volume>",
                        fixture->images);
    g_autofree char *made = NULL;

    return cst_vol_create(q, xml, 0, NULL, &made, error);
}

static gboolean clone_plain(CstPool *p, CstPool *q, GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create_from(q, "<volume><name>new</name></volume>", p, "plain", 0, NULL, &made,
                               error);
}

static gboolean snapshot_set(CstPool *p, CstPool *q, GError **error)
{
    const CstSnapshotVolume volumes[] = {{p, "base"}, {p, "snapped"}, {p, "over"}};
    const CstSnapshotRequest request = {.name = "t"};
    g_auto(CstSnapshotSet) set = {0};

    return cst_vol_snapshot_create_set(volumes, G_N_ELEMENTS(volumes), &request, NULL, &set, error);
}

static gboolean receive(CstPool *p, CstPool *q, GError **error)
{
    g_autofree char *made = NULL;
    g_autoptr(CstUpload) upload =
        cst_vol_receive(q,
                        "<volume><name>new</name><capacity>65536</capacity>"
                        "<target><format type='qcow2'/></target></volume>",
                        0, NULL, &made, error);

    return upload && cst_upload_write(upload, "content", 7, error) &&
           cst_upload_finish(upload, error);
}

static gboolean make_fresh(CstPool *p, CstPool *q, GError **error)
{
    fixture_create(q, "fresh", "raw", "");
    return TRUE;
}

/* The bytes already exist; the upload declares them as the sender's. */
static gboolean upload_zeroes(CstPool *p, CstPool *q, GError **error)
{
    static const char zeroes[512];
    g_autoptr(CstUpload) upload = cst_vol_upload(q, "fresh", 0, 0, 0, NULL, error);

    return upload && cst_upload_write(upload, zeroes, sizeof(zeroes), error) &&
           cst_upload_finish(upload, error);
}

const StepOperation step_operations[] = {
    {"upload", upload_zeroes, make_fresh, FALSE, TRUE},
    {"rename with overlays", rename_base, NULL, FALSE, FALSE},
    {"rename", rename_plain, NULL, FALSE, FALSE},
    {"delete", delete_plain, unprotect, TRUE, FALSE},
    {"trash", delete_plain, use_trash, FALSE, FALSE},
    {"restore", restore, fill_trash, FALSE, FALSE},
    {"empty", empty, fill_trash, TRUE, FALSE},
    {"move by a link", move_link, unprotect, FALSE, FALSE},
    {"move by a copy", move_copy, unprotect, FALSE, FALSE},
    {"move with snapshots", move_snapshots, NULL, FALSE, FALSE},
    {"create", create_overlay, NULL, FALSE, FALSE},
    {"clone", clone_plain, NULL, FALSE, FALSE},
    {"snapshots", snapshot_set, NULL, FALSE, FALSE},
    {"receive", receive, NULL, FALSE, FALSE},
    {0},
};

/* --- one run ---------------------------------------------------------------------------------- */

/* Makes "plain", which is protected and has untrusted content, and "base" with two overlays. */
static void make_world(void **state, const StepOperation *operation)
{
    g_autoptr(CstPool) p = NULL, q = NULL;
    g_autoptr(CstUpload) upload = NULL;
    g_autofree char *on_base = NULL;
    g_autoptr(GError) error = NULL;

    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    p = fixture_pool(fixture, "p");
    q = fixture_pool(fixture, "q");
    on_base = g_strdup_printf("<backingStore><path>%s/p/base</path><format type='qcow2'/>"
                              "</backingStore>",
                              fixture->images);
    fixture_create(p, "plain", "raw", "");
    upload = cst_vol_upload(p, "plain", 0, 0, 0, NULL, NULL);
    assert_true(cst_upload_write(upload, "QFI\xfb", 4, NULL) && cst_upload_finish(upload, NULL));
    g_clear_pointer(&upload, cst_upload_free);
    assert_true(cst_vol_protect(p, "plain", TRUE, NULL, NULL));
    fixture_create(p, "base", "qcow2", "");
    fixture_create(p, "snapped", "qcow2", "");
    assert_true(cst_vol_snapshot_create(p, "snapped", "s", 0, NULL, NULL));
    fixture_create(p, "over", "qcow2", on_base);
    fixture_create(q, "over", "qcow2", on_base);
    assert_true(cst_vol_protect(p, "base", TRUE, NULL, NULL));
    if (operation->before && !operation->before(p, q, &error))
        fail_msg("%s: %s", operation->name, error->message);
}

static gboolean call(const StepOperation *operation, GError **error)
{
    g_autoptr(CstPool) p = pool_of("p"), q = pool_of("q");

    return operation->call(p, q, error);
}

static void assert_world(const StepOperation *operation, guint nth, const char *wanted,
                         gboolean sums, const char *when)
{
    g_autofree char *now = world_text(sums);

    if (strcmp(now, wanted) != 0)
        fail_msg("%s, step %u (%s) fails; %s there is\n%s\nand not\n%s", operation->name, nth, step,
                 when, now, wanted);
}

static gboolean is_world(const char *wanted)
{
    g_autofree char *now = world_text(FALSE);

    return strcmp(now, wanted) == 0;
}

/* Returns TRUE if the next start has completed the operation. */
static gboolean is_completed_by_start(const char *after)
{
    if (!is_left())
        return FALSE;
    fixture_restart(fixture, CST_SERVICE_DAEMON);
    return is_world(after);
}

static void remove_copy(const GError *error)
{
    g_autoptr(CstPool) q = pool_of("q");

    if (g_str_has_prefix(error->message, HALF))
        assert_true(cst_vol_delete(q, "moved", 0, NULL, NULL));
}

static void assert_undone(const StepOperation *operation, guint nth, const GError *error,
                          const char *before, const char *after)
{
    gboolean is_gone = operation->deletes && strcmp(step, "fsync") == 0;
    g_autoptr(GError) again = NULL;

    if (is_completed_by_start(after) || (is_gone && is_world(after)))
        return;
    remove_copy(error);
    if (!is_gone && !(operation->stays && is_world(after)))
        assert_world(operation, nth, before, TRUE, "afterwards");
    if (!call(operation, &again))
        fail_msg("%s, step %u (%s) fails, and so does another try: %s", operation->name, nth, step,
                 again->message);
    assert_world(operation, nth, after, FALSE, "after another try");
}

gboolean step_fail(void **state, const StepOperation *operation, guint nth, const char *after)
{
    g_autofree char *before = NULL;
    g_autoptr(GError) error = NULL;
    gboolean done;

    make_world(state, operation);
    before = world_text(TRUE);
    left = nth;
    step = NULL;
    counting = TRUE;
    done = call(operation, &error);
    counting = FALSE;
    if (!done && !step)
        fail_msg("%s: %s", operation->name, error->message);
    if (done) {
        is_completed_by_start(after);
        assert_world(operation, nth, after, FALSE, "after a success");
    } else {
        assert_undone(operation, nth, error, before, after);
    }
    assert_int_equal(fixture_teardown(state), 0);
    return left == 0;
}

char *step_after(void **state, const StepOperation *operation)
{
    g_autoptr(GError) error = NULL;
    char *after;

    make_world(state, operation);
    if (!call(operation, &error))
        fail_msg("%s: %s", operation->name, error->message);
    after = world_text(FALSE);
    assert_int_equal(fixture_teardown(state), 0);
    return after;
}

const StepOperation *step_operation(const char *name)
{
    const StepOperation *operation = step_operations;

    while (strcmp(operation->name, name) != 0)
        operation++;
    return operation;
}

void step_fail_again(guint nth)
{
    left = nth;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Storage that starts to reject writes, or loses data. For each write or sync of a call that fails,
 * the call fails too. It leaves no partial new volume. A volume that was changed in place is sound
 * and keeps its content.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <service/images.h>
#include <service/snapshots.h>

#include "fixture.h"

#define CAPACITY CST_MIB
#define LARGER   (64 * CST_GIB)

/* --- the storage ------------------------------------------------------------------------------ */

static struct {
    GMutex lock;
    const char *dir;      /* directory of the observed files; NULL: no file */
    guint calls_left;     /* writes and syncs until the one that fails */
    gboolean lost;        /* the failed call was a sync */
    GHashTable *unsynced; /* paths of files written to since their last sync */
} storage;

/*
 * Returns the path of an observed file, or NULL for another file. Call it with the lock held. The
 * caller frees the result.
 */
static char *path_of(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = storage.dir ? g_file_read_link(link, NULL) : NULL;
    gboolean is_in = path && g_str_has_prefix(path, storage.dir);

    return is_in && path[strlen(storage.dir)] == '/' ? g_steal_pointer(&path) : NULL;
}

/* Counts a write or a sync. Returns FALSE if it is the one that fails. */
static gboolean enter(int fd, gboolean writes, int code)
{
    gboolean fails = FALSE;
    char *path;

    g_mutex_lock(&storage.lock);
    path = path_of(fd);
    if (path)
        fails = storage.calls_left > 0 && --storage.calls_left == 0;
    storage.lost |= fails && !writes;
    if (path && writes)
        g_hash_table_add(storage.unsynced, path);
    else if (path) {
        g_hash_table_remove(storage.unsynced, path);
        g_free(path);
    }
    g_mutex_unlock(&storage.lock);
    errno = code;
    return !fails;
}

/* Lets call @nth on the files of @dir fail. The log of events writes in another thread. */
static void storage_watch(const char *dir, guint nth)
{
    g_mutex_lock(&storage.lock);
    g_hash_table_remove_all(storage.unsynced);
    storage.calls_left = nth;
    storage.lost = FALSE;
    storage.dir = dir;
    g_mutex_unlock(&storage.lock);
}

/* Returns TRUE if the call existed, and failed. *ret_lost: it was a sync. */
static gboolean storage_end(gboolean *ret_lost)
{
    gboolean struck;

    g_mutex_lock(&storage.lock);
    storage.dir = NULL;
    struck = storage.calls_left == 0;
    *ret_lost = storage.lost;
    g_mutex_unlock(&storage.lock);
    return struck;
}

/* Replacements of libc functions. The tests need no durable data. */

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    return enter(fd, TRUE, ENOSPC) ? syscall(SYS_pwrite64, fd, buf, len, offset) : -1;
}

int ftruncate64(int fd, off_t size)
{
    return enter(fd, TRUE, EIO) ? (int)syscall(SYS_ftruncate, fd, size) : -1;
}

int fdatasync(int fd)
{
    return enter(fd, FALSE, EIO) ? 0 : -1;
}

int fsync(int fd)
{
    return enter(fd, FALSE, EIO) ? 0 : -1;
}

/* --- the calls -------------------------------------------------------------------------------- */

static CstPool *pool;
static const char *format; /* of "w" */

static gboolean create(const char *more, unsigned flags, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>new</name><capacity>1048576</capacity>%s</volume>", more);
    g_autofree char *made = NULL;

    return cst_vol_create(pool, xml, flags, NULL, &made, error);
}

static gboolean create_raw(GError **error)
{
    return create("", CST_VOL_CREATE_PREALLOC_FULL, error);
}

static gboolean create_qcow2(GError **error)
{
    return create("<target><format type='qcow2'/></target>", CST_VOL_CREATE_PREALLOC_METADATA,
                  error);
}

static gboolean copy(const char *as, const char *size, GError **error)
{
    g_autofree char *xml = g_strdup_printf("<volume><name>new</name>%s<target><format type='%s'/>"
                                           "</target></volume>",
                                           size, as);
    g_autofree char *made = NULL;

    return cst_vol_create_from(pool, xml, pool, "w", 0, NULL, &made, error);
}

static gboolean copy_bytes(GError **error)
{
    return copy("qcow2", "", error);
}

static gboolean copy_larger(GError **error)
{
    return copy(format, "<capacity unit='GiB'>64</capacity>", error);
}

static gboolean copy_to_vmdk(GError **error)
{
    return copy("vmdk", "", error);
}

static gboolean copy_to_raw(GError **error)
{
    return copy("raw", "", error);
}

static gboolean copy_snapshot(GError **error)
{
    return cst_vol_snapshot_clone(pool, "w", "s", "new", NULL, error);
}

static gboolean convert(GError **error)
{
    const CstVolConvert how = {.name = "new", .format = "vhdx"};

    return cst_vol_convert(pool, pool, "top", &how, NULL, error);
}

static gboolean resize(GError **error)
{
    return cst_vol_resize(pool, "w", LARGER, 0, NULL, error);
}

static gboolean snapshot(GError **error)
{
    return cst_vol_snapshot_create(pool, "w", "t", 0, NULL, error);
}

static gboolean revert(GError **error)
{
    return cst_vol_snapshot_revert(pool, "w", "s", NULL, NULL, error);
}

static gboolean drop_snapshot(GError **error)
{
    return cst_vol_snapshot_delete(pool, "w", "s", NULL, error);
}

static gboolean rename_snapshot(GError **error)
{
    return cst_vol_snapshot_rename(pool, "w", "s", "t", NULL, error);
}

static gboolean commit(GError **error)
{
    return cst_vol_commit(pool, "top", NULL, 0, NULL, error);
}

static gboolean flatten(GError **error)
{
    return cst_vol_flatten(pool, "top", NULL, error);
}

static gboolean rebase(GError **error)
{
    const CstVolRebase how = {0};

    return cst_vol_rebase(pool, "top", &how, NULL, error);
}

static gboolean bitmap(GError **error)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(CstBitmapStep));
    const CstBitmapStep step = {.action = "add"};
    const CstBitmapChange change = {.name = "b", .steps = steps};

    g_array_append_val(steps, step);
    return cst_vol_bitmap(pool, "w", &change, NULL, NULL, NULL, error);
}

/* Only the uploaded bytes may differ from the content before. */
static gboolean upload(GError **error)
{
    g_autoptr(CstUpload) stream = cst_vol_upload(pool, "plain", 0, 4, 0, NULL, error);

    return stream && cst_upload_write(stream, "xxxx", 4, error) && cst_upload_finish(stream, error);
}

/*
 * Excludes formats whose close completes the image, because a failure there is reported by the next
 * open.
 */
static const struct {
    const char *name;
    gboolean (*call)(GError **error);
    gboolean makes;     /* the volume "new" */
    const char *format; /* of "w"; NULL: qcow2, with a snapshot "s" */
} calls[] = {
    {"create raw", create_raw, TRUE, NULL},
    {"create qcow2", create_qcow2, TRUE, NULL},
    {"copy bytes", copy_bytes, TRUE, NULL},
    {"copy larger", copy_larger, TRUE, NULL},
    {"copy larger", copy_larger, TRUE, "raw"},
    {"copy larger", copy_larger, TRUE, "vdi"},
    {"copy larger", copy_larger, TRUE, "vmdk"},
    {"copy to vmdk", copy_to_vmdk, TRUE, NULL},
    {"copy to raw", copy_to_raw, TRUE, NULL},
    {"copy snapshot", copy_snapshot, TRUE, NULL},
    {"convert", convert, TRUE, NULL},
    {"resize", resize, FALSE, NULL},
    {"resize", resize, FALSE, "raw"},
    {"resize", resize, FALSE, "vdi"},
    {"resize", resize, FALSE, "vmdk"},
    {"snapshot", snapshot, FALSE, NULL},
    {"revert", revert, FALSE, NULL},
    {"delete snapshot", drop_snapshot, FALSE, NULL},
    {"rename snapshot", rename_snapshot, FALSE, NULL},
    {"commit", commit, FALSE, NULL},
    {"flatten", flatten, FALSE, NULL},
    {"rebase", rebase, FALSE, NULL},
    {"bitmap", bitmap, FALSE, NULL},
    {"upload", upload, FALSE, NULL},
};

/* --- the tests -------------------------------------------------------------------------------- */

static void copy_plain(const char *name, const char *as)
{
    const CstVolConvert how = {.name = name, .format = as};

    assert_true(cst_vol_convert(pool, pool, "plain", &how, NULL, NULL));
}

/* Makes "plain", and with its content "v", "w" and "top", whose base is "v". */
static void make_volumes(Fixture *f, const char *plain, const char *w_format)
{
    g_autofree char *xml = g_strdup_printf(
        "<volume><name>top</name><target><format type='qcow2'/></target><backingStore>"
        "<path>%s/p/v</path></backingStore></volume>",
        f->images);

    fixture_write(f, "p", "plain", plain);
    copy_plain("v", "qcow2");
    format = w_format ? w_format : "qcow2";
    copy_plain("w", format);
    if (!w_format)
        assert_true(cst_vol_snapshot_create(pool, "w", "s", 0, NULL, NULL));
    fixture_create_xml(pool, xml);
}

static void remove_volumes(void)
{
    static const char *const names[] = {"new", "top", "v", "w", "plain"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        cst_vol_delete(pool, names[i], 0, NULL, NULL);
}

static void assert_sound(const char *call, guint nth, const char *name)
{
    g_auto(CstCheckReport) report = {0};
    CstCompareReport compared = {0};
    g_autoptr(GError) error = NULL;

    cst_vol_check(pool, name, 0, NULL, &report, &error);
    if (g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED))
        g_clear_error(&error);
    if (!error)
        cst_vol_compare(pool, name, pool, "plain", NULL, &compared, &error);
    if (error || report.errors > 0 || !compared.same)
        fail_msg("%s of %s, failure %u: '%s': %s", call, format, nth, name,
                 error               ? error->message
                 : report.errors > 0 ? "damaged"
                                     : "another content");
}

/* A successful call must have synced its files. */
static void assert_synced(const char *call)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, storage.unsynced);
    if (g_hash_table_iter_next(&iter, &path, NULL))
        fail_msg("%s of %s: '%s' is not synced", call, format, (char *)path);
}

/*
 * The call succeeded. If a write failed, it must have been unnecessary, such as marking an image as
 * closed.
 */
static void assert_done(size_t i, guint nth, gboolean struck)
{
    const char *name = calls[i].makes ? "new" : "w";
    gboolean larger = calls[i].call == copy_larger || calls[i].call == resize;
    CstVolInfo info;

    assert_true(cst_vol_get_info(pool, name, &info, NULL));
    if (larger && info.capacity != LARGER)
        fail_msg("%s of %s, failure %u: %d bytes", calls[i].name, format, nth, (int)info.capacity);
    if (calls[i].call != create_raw && calls[i].call != create_qcow2)
        assert_sound(calls[i].name, nth, name);
    if (!struck)
        assert_synced(calls[i].name);
}

/* *ret_struck: an @nth write or sync existed, and failed. */
static gboolean play(Fixture *f, size_t i, guint nth, gboolean *ret_struck)
{
    g_autofree char *dir = g_build_filename(f->images, "p", NULL);
    g_autoptr(GError) error = NULL;
    gboolean done, lost;

    storage_watch(dir, nth);
    done = calls[i].call(&error);
    *ret_struck = storage_end(&lost);
    if (done && lost)
        fail_msg("%s of %s succeeds in spite of failure %u", calls[i].name, format, nth);
    if (!done && !*ret_struck)
        fail_msg("%s of %s: %s", calls[i].name, format, error->message);
    if (done)
        assert_done(i, nth, *ret_struck);
    return done;
}

static guint count_files(Fixture *f)
{
    g_autofree char *path = g_build_filename(f->images, "p", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    while (g_dir_read_name(dir))
        count++;
    return count;
}

static void no_failure_is_lost(void **state)
{
    Fixture *f = *state;
    g_autofree char *plain = g_strnfill(CAPACITY, 'x');
    g_autoptr(CstPool) made = pool = fixture_pool(f, "p");

    storage.unsynced = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        gboolean struck = TRUE, done;

        for (guint nth = 1; struck; nth++) {
            make_volumes(f, plain, calls[i].format);
            done = play(f, i, nth, &struck);
            assert_sound(calls[i].name, nth, "v");
            assert_sound(calls[i].name, nth, "w");
            assert_sound(calls[i].name, nth, "top");
            if (count_files(f) != (calls[i].makes && done ? 5 : 4))
                fail_msg("%s, failure %u: %u files", calls[i].name, nth, count_files(f));
            assert_true(nth > 1 || struck);
            remove_volumes();
        }
    }
    g_hash_table_unref(storage.unsynced);
}

/* --- overwriting ------------------------------------------------------------------------------ */

static gboolean wipe_zero(GError **error)
{
    return cst_vol_wipe(pool, "plain", CST_WIPE_ZERO, 0, NULL, error);
}

static gboolean wipe_dod(GError **error)
{
    return cst_vol_wipe(pool, "plain", CST_WIPE_DOD, 0, NULL, error);
}

static gboolean wipe_trim(GError **error)
{
    return cst_vol_wipe(pool, "w", CST_WIPE_TRIM, 0, NULL, error);
}

static gboolean patch(GError **error)
{
    g_autoptr(CstUpload) stream = cst_vol_patch(pool, "w", 4096, 0, NULL, error);

    return stream && cst_upload_write(stream, "yyyy", 4, error) &&
           cst_upload_hole(stream, 8192, error) && cst_upload_finish(stream, error);
}

static gboolean upload_hole(GError **error)
{
    g_autoptr(CstUpload) stream = cst_vol_upload(pool, "plain", 0, 0, 0, NULL, error);

    return stream && cst_upload_hole(stream, 8192, error) && cst_upload_finish(stream, error);
}

static const struct {
    const char *name;
    gboolean (*call)(GError **error);
} overwriting[] = {
    {"wipe with zeroes", wipe_zero}, {"wipe with passes", wipe_dod},
    {"wipe by trimming", wipe_trim}, {"patch", patch},
    {"upload a hole", upload_hole},
};

/* *ret_struck: an @nth write or sync existed, and failed. */
static void overwrite(Fixture *f, size_t i, guint nth, gboolean *ret_struck)
{
    g_autofree char *dir = g_build_filename(f->images, "p", NULL);
    g_autoptr(GError) error = NULL;
    gboolean done, lost;

    storage_watch(dir, nth);
    done = overwriting[i].call(&error);
    *ret_struck = storage_end(&lost);
    if (done && *ret_struck)
        fail_msg("%s succeeds in spite of failure %u", overwriting[i].name, nth);
    if (!done && !*ret_struck)
        fail_msg("%s: %s", overwriting[i].name, error->message);
    if (done)
        assert_synced(overwriting[i].name);
}

/* After a failure the volume has no claim, because it is deleted for the next round. */
static void overwritten_data_is_synced_or_reported(void **state)
{
    Fixture *f = *state;
    g_autofree char *plain = g_strnfill(CAPACITY, 'x');
    g_autoptr(CstPool) made = pool = fixture_pool(f, "p");

    storage.unsynced = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(overwriting); i++) {
        gboolean struck = TRUE;

        for (guint nth = 1; struck; nth++) {
            make_volumes(f, plain, NULL);
            overwrite(f, i, nth, &struck);
            assert_true(nth > 1 || struck);
            remove_volumes();
            assert_int_equal(count_files(f), 0);
        }
    }
    g_hash_table_unref(storage.unsynced);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_failure_is_lost, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(overwritten_data_is_synced_or_reported, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

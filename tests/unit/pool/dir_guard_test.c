/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects that a directory pool never touches: unsafe entries, names hidden from listings, drafts
 * of living processes, and a directory that is not the pool's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <base/error.h>
#include <dir/beneath.h>
#include <dir/dir.h>

#include "../descriptors.h"
#include "tree.h"

#define OTHER_BOOT "aaaaaaaa-0000-0000-0000-000000000001"

static CstPoolState *pool; /* in "pool", which other users may write to */

static CstPoolState *open_pool(const char *path)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir'><name>p</name><target><path>%s</path></target></pool>", path);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *state = cst_dir_backend.open(def, NULL);

    assert_non_null(state);
    return state;
}

static int set_up(void **unused)
{
    g_autofree char *path = NULL;

    root = g_dir_make_tmp("cistern-guard-XXXXXX", NULL);
    make_dir("pool", 0777);
    path = at("pool");
    pool = open_pool(path);
    return 0;
}

static int tear_down(void **unused)
{
    cst_dir_backend.close(pool);
    remove_tree();
    return 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

static void plant_link(const char *name)
{
    g_autofree char *victim = at("victim");

    make_link(name, victim);
}

static void plant_hard_link(const char *name)
{
    g_autofree char *path = at(name), *victim = at("victim");

    assert_int_equal(link(victim, path), 0);
}

static void plant_fifo(const char *name)
{
    g_autofree char *path = at(name);

    assert_int_equal(mkfifo(path, 0600), 0);
}

/*
 * Makes a loop device, which may not exist. Only root on the host can make one; otherwise makes a
 * link.
 */
static void plant_device(const char *name)
{
    g_autofree char *path = at(name);

    if (mknod(path, S_IFBLK | 0600, makedev(7, 0)) < 0)
        plant_link(name);
}

static int watch_pool(void)
{
    g_autofree char *path = at("pool");
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    assert_true(inotify_add_watch(watch, path, IN_OPEN) >= 0);
    return watch;
}

/* Returns whether the entry @name of the pool was opened since the last call. */
static gboolean was_opened(int watch, const char *name)
{
    union {
        struct inotify_event event;
        char bytes[4096];
    } buf;
    ssize_t len = read(watch, &buf, sizeof(buf));
    gboolean found = FALSE;

    for (ssize_t at_byte = 0; at_byte < len;) {
        struct inotify_event *event = (gpointer)(buf.bytes + at_byte);

        found = found || (event->len > 0 && g_str_equal(event->name, name));
        at_byte += (ssize_t)(sizeof(*event) + event->len);
    }
    return found;
}

/* Opening a FIFO or a device may have side effects that an attacker controls. */
static void refused_file_is_not_opened(void **unused)
{
    static void (*const plants[])(const char *) = {plant_link, plant_hard_link, plant_fifo,
                                                   plant_device};
    g_auto(CstDirHandle) dir = CST_DIR_HANDLE_NONE;
    g_autofree char *path = at("pool");
    int watch = watch_pool();

    put("victim", "x");
    assert_true(cst_handle_open(path, &dir, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(plants); i++) {
        g_autofree char *planted = at("pool/planted");
        g_autoptr(GError) error = NULL;

        plants[i]("pool/planted");
        assert_int_equal(cst_entry_open(&dir, "planted", O_RDONLY, &error), -1);
        assert_non_null(error);
        assert_false(was_opened(watch, "planted"));
        assert_int_equal(unlink(planted), 0);
    }
    put("pool/planted", "x");
    close(cst_entry_open(&dir, "planted", O_RDONLY, NULL));
    assert_true(was_opened(watch, "planted"));
    close(watch);
}

/* The check does not wait for a FIFO. */
static void only_directories_are_pools(void **unused)
{
    g_auto(CstDirHandle) dir = CST_DIR_HANDLE_NONE;
    static const char *const names[] = {"file", "fifo", "none"};

    put("file", "x");
    plant_fifo("fifo");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = at(names[i]);
        g_autoptr(GError) error = NULL;

        assert_false(cst_handle_open(path, &dir, &error));
        assert_non_null(strstr(error->message, "cannot open directory"));
        assert_int_equal(dir.fd, -1);
    }
}

/* --- names ------------------------------------------------------------------------------------ */

static CstVolume *none_known(const char *name, gpointer data)
{
    return NULL;
}

static void count(CstVolume *volume, gpointer data)
{
    (*(guint *)data)++;
    cst_volume_unref(volume);
}

static guint shown(void)
{
    guint volumes = 0;
    CstScan scan = {.known = none_known, .sink = count, .data = &volumes};

    assert_true(cst_dir_backend.scan(pool, &scan, NULL, NULL));
    return volumes;
}

/* Linux's NFS client keeps such a name for a deleted file that is still open. */
#define OF_NFS ".nfs00000000000a00e200000001"

/* In a listing, in a lookup, and in a creation. */
static void names_are_volumes_or_hidden(void **unused)
{
    static const struct {
        const char *name;
        gboolean hidden;
    } rows[] = {
        {"disk", FALSE},       {".", TRUE},         {"..", TRUE},         {"...", FALSE},
        {".d", FALSE},         {"..d", FALSE},      {".cistern-x", TRUE}, {".cistern", FALSE},
        {"x.cistern-", FALSE}, {"a\tb", FALSE},     {"a\nb", FALSE},      {"\t", FALSE},
        {"a\rb", TRUE},        {"\x01", TRUE},      {"a\x1f", TRUE},      {"a\x7f", TRUE},
        {"a b", FALSE},        {"\xc3\xbc", FALSE}, {"a\x0b\x62", TRUE},  {"a\x08\x62", TRUE},
        {OF_NFS, TRUE},        {OF_NFS "1", FALSE}, {"x" OF_NFS, FALSE},  {".nfs0000", FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = g_build_filename("pool", rows[i].name, NULL);
        g_autofree char *path = at(name);
        CstVolume *volume = NULL;

        assert_int_equal(cst_dir_name_hidden(rows[i].name), rows[i].hidden);
        if (rows[i].name[0] == '.' && strspn(rows[i].name, ".") == strlen(rows[i].name) &&
            rows[i].hidden)
            continue;
        put(name, "x");
        assert_int_equal(shown(), rows[i].hidden ? 0 : 1);
        assert_true(cst_dir_backend.scan_one(pool, rows[i].name, NULL, &volume, NULL));
        assert_int_equal(volume == NULL, rows[i].hidden);
        if (volume)
            cst_volume_unref(volume);
        assert_int_equal(unlink(path), 0);
    }
}

/* --- drafts ----------------------------------------------------------------------------------- */

static gboolean is_there(const char *name)
{
    g_autofree char *path = at(name);
    struct stat st;

    return lstat(path, &st) == 0;
}

/* Locks the file like its maker. */
static int lock_file(const char *name)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = G_MAXINT64 - 1, .l_len = 1};
    g_autofree char *path = at(name);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    return fd;
}

static void only_drafts_of_the_dead_are_dropped(void **unused)
{
    static const char *const stay[] = {
        "pool/.cistern-living.part", "pool/.cistern-link.part", "pool/.cistern-fifo.part",
        "pool/.cistern-full.part",   "pool/.cistern-other",     "pool/disk.part",
    };
    int maker, watch = watch_pool();

    put("victim", "x");
    put("pool/.cistern-dead.part", "x");
    make_dir("pool/.cistern-empty.part", 0777);
    put("pool/.cistern-living.part", "x");
    plant_link("pool/.cistern-link.part");
    plant_fifo("pool/.cistern-fifo.part");
    make_dir("pool/.cistern-full.part", 0777);
    put("pool/.cistern-full.part/x", "x");
    put("pool/.cistern-other", "x");
    put("pool/disk.part", "x");
    maker = lock_file("pool/.cistern-living.part");
    assert_true(cst_dir_backend.drop_drafts(pool, NULL));
    assert_false(was_opened(watch, ".cistern-fifo.part"));
    assert_false(is_there("pool/.cistern-dead.part"));
    assert_false(is_there("pool/.cistern-empty.part"));
    for (size_t i = 0; i < G_N_ELEMENTS(stay); i++)
        if (!is_there(stay[i]))
            fail_msg("%s", stay[i]);
    assert_true(is_there("victim"));
    close(maker);
    close(watch);
    assert_true(cst_dir_backend.drop_drafts(pool, NULL));
    assert_false(is_there("pool/.cistern-living.part"));
}

/* --- identity of the directory ---------------------------------------------------------------- */

/* Returns @line with the value of "@key=" replaced by @value. */
static char *with(const char *line, const char *key, const char *value)
{
    g_autofree char *field = g_strconcat(key, "=", NULL);
    const char *begin = strstr(line, field);
    const char *end;

    assert_non_null(begin);
    begin += strlen(field);
    end = begin + strcspn(begin, " \n");
    return g_strdup_printf("%.*s%s%s", (int)(begin - line), line, value, end);
}

/* Replaces the pool's directory by another one. */
static void exchange(void)
{
    static guint number;
    g_autofree char *name = g_strdup_printf("away%u", number++);
    g_autofree char *path = at("pool"), *away = at(name);

    assert_int_equal(rename(path, away), 0);
    make_dir("pool", 0777);
}

static gboolean is_used(CstPoolState *state, const char *why)
{
    g_autoptr(GError) error = NULL;
    CstPoolUsage usage;

    if (cst_dir_backend.usage(state, &usage, &error))
        return TRUE;
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_STATE));
    assert_non_null(strstr(error->message, why));
    return FALSE;
}

#define NOT_THE_ONE "is not the directory that the pool was started with"

static void the_record_names_the_boot(void **unused)
{
    g_autofree char *line = cst_dir_backend.identity(pool, NULL);
    g_autofree char *boot = cst_kernel_read("/proc/sys/kernel/random/boot_id");
    g_autofree char *ending = g_strdup_printf(" boot=%s\n", g_strchomp(boot));

    assert_int_equal(strlen(boot), 36);
    assert_true(g_str_has_prefix(line, "mounted=0 type="));
    assert_true(g_str_has_suffix(line, ending));
}

/*
 * Inode and device are compared within a boot. After a boot they are compared again from the first
 * use on.
 */
static void another_directory_is_found_out_within_a_boot(void **unused)
{
    g_autofree char *line = cst_dir_backend.identity(pool, NULL);
    g_autofree char *earlier = with(line, "boot", OTHER_BOOT);
    g_autofree char *nameless = with(line, "boot", "");
    const char *const of_other_boots[] = {earlier, nameless};

    assert_true(cst_dir_backend.expect(pool, line, FALSE, NULL));
    assert_true(is_used(pool, ""));
    exchange();
    assert_false(is_used(pool, NOT_THE_ONE));
    for (size_t i = 0; i < G_N_ELEMENTS(of_other_boots); i++) {
        assert_true(cst_dir_backend.expect(pool, of_other_boots[i], FALSE, NULL));
        assert_true(is_used(pool, ""));
        exchange();
        assert_false(is_used(pool, NOT_THE_ONE));
    }
    /* A start accepts the directory, and expects it from then on. */
    assert_true(cst_dir_backend.expect(pool, line, TRUE, NULL));
    exchange();
    assert_false(is_used(pool, NOT_THE_ONE));
}

static void unreadable_record_expects_no_directory(void **unused)
{
    static const char *const records[] = {"", "garbage\n", "mounted=1 type=1 inode=2\n",
                                          "mounted=yes type=1 inode=2 device=3\n"};

    for (size_t i = 0; i < G_N_ELEMENTS(records); i++) {
        assert_true(cst_dir_backend.expect(pool, records[i], FALSE, NULL));
        assert_true(is_used(pool, ""));
        exchange();
        assert_true(is_used(pool, ""));
    }
    assert_true(cst_dir_backend.expect(pool, "mounted=1 type=1 inode=2 device=3\n", FALSE, NULL));
    assert_false(is_used(pool, "has no mount now"));
}

/* /proc is a separate file system on every host. */
static void another_file_system_is_found_out_by_its_type(void **unused)
{
    CstPoolState *mounted = open_pool("/proc");
    g_autofree char *line = cst_dir_backend.identity(mounted, NULL);
    g_autofree char *earlier = with(line, "boot", OTHER_BOOT);
    g_autofree char *type = with(earlier, "type", "1");
    g_autofree char *inode = with(earlier, "inode", "12345");
    g_autofree char *device = with(earlier, "device", "12345");
    g_autofree char *other_device = with(line, "device", "12345");
    g_autofree char *other_inode = with(line, "inode", "12345");
    g_autoptr(GError) error = NULL;

    assert_true(g_str_has_prefix(line, "mounted=1 type=9fa0 "));
    assert_true(cst_dir_backend.expect(mounted, type, FALSE, NULL));
    assert_false(is_used(mounted, "another file system is mounted"));
    assert_false(cst_dir_backend.expect(mounted, type, TRUE, &error));
    assert_non_null(strstr(error->message, "another file system is mounted"));
    /* After a boot the numbers are ignored. Within a boot each of them is compared. */
    assert_true(cst_dir_backend.expect(mounted, inode, FALSE, NULL));
    assert_true(is_used(mounted, ""));
    assert_true(cst_dir_backend.expect(mounted, device, FALSE, NULL));
    assert_true(is_used(mounted, ""));
    assert_true(cst_dir_backend.expect(mounted, other_device, FALSE, NULL));
    assert_false(is_used(mounted, NOT_THE_ONE));
    assert_true(cst_dir_backend.expect(mounted, other_inode, FALSE, NULL));
    assert_false(is_used(mounted, NOT_THE_ONE));
    cst_dir_backend.close(mounted);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void walk(const char *name)
{
    g_auto(CstDirHandle) dir = CST_DIR_HANDLE_NONE;
    g_autofree char *path = at(name);

    cst_handle_open_trusted(path, FALSE, 0, &dir, NULL);
}

/* A leak of one descriptor per call would end a daemon some day. */
static void no_call_keeps_a_descriptor(void **unused)
{
    static const char *const names[] = {"disk", "none", "link", "hard", "fifo", "folder"};
    guint before, volumes = 0;
    CstScan scan = {.known = none_known, .sink = count, .data = &volumes};

    put("victim", "x");
    put("pool/disk", "x");
    plant_link("pool/link");
    plant_hard_link("pool/hard");
    plant_fifo("pool/fifo");
    make_dir("pool/folder", 0777);
    assert_true(cst_dir_backend.expect(pool, NULL, TRUE, NULL));
    before = count_descriptors();
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = g_build_filename("pool", names[i], NULL);
        CstVolume *volume = NULL;
        CstBlob *blob = cst_dir_backend.vol_open(pool, names[i], TRUE, NULL);

        g_clear_pointer(&blob, cst_blob_unref);
        cst_dir_backend.scan_one(pool, names[i], NULL, &volume, NULL);
        g_clear_pointer(&volume, cst_volume_unref);
        walk(name);
        assert_int_equal(count_descriptors(), before);
    }
    walk("pool/folder/deeper");
    assert_true(cst_dir_backend.scan(pool, &scan, NULL, NULL));
    assert_true(cst_dir_backend.drop_drafts(pool, NULL));
    g_free(cst_dir_backend.identity(pool, NULL));
    assert_int_equal(count_descriptors(), before);
    exchange();
    assert_false(is_used(pool, NOT_THE_ONE));
    assert_false(cst_dir_backend.scan(pool, &scan, NULL, NULL));
    assert_int_equal(count_descriptors(), before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(refused_file_is_not_opened),
        TEST(only_directories_are_pools),
        TEST(names_are_volumes_or_hidden),
        TEST(only_drafts_of_the_dead_are_dropped),
        TEST(the_record_names_the_boot),
        TEST(another_directory_is_found_out_within_a_boot),
        TEST(unreadable_record_expects_no_directory),
        TEST(no_call_keeps_a_descriptor),
        TEST(another_file_system_is_found_out_by_its_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

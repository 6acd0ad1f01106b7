/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packages of several disks. Each disk is verified and read by itself, and must not change between.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include <base/error.h>
#include <import/import.h>

#include "archive.h"
#include "points.h"

#define DISKS 3
#define SIZE  2048
#define OTHER 12345 /* a user who is neither root nor the user of this process */

typedef struct {
    char *dir, *ova, *ovf;
    uint8_t content[DISKS][SIZE];   /* content of the guest's disk */
    GByteArray *file[DISKS];        /* the second one is compressed */
    GString *descriptor, *manifest; /* NULL: no manifest */
    GByteArray *archive;
} Package;

static const char *const names[DISKS] = {"a.raw", "b.raw.gz", "c.raw"};

static void add_digest(GString *manifest, const char *name, const void *bytes, size_t len)
{
    g_autofree char *hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, len);

    g_string_append_printf(manifest, "SHA256(%s)= %s\n", name, hex);
}

static GByteArray *compress_gzip(const uint8_t *bytes, size_t len)
{
    GByteArray *packed = g_byte_array_new();
    z_stream stream = {.next_in = (Bytef *)bytes, .avail_in = (uInt)len};

    g_byte_array_set_size(packed, (guint)len + 1024);
    stream.next_out = packed->data;
    stream.avail_out = packed->len;
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    g_byte_array_set_size(packed, packed->len - stream.avail_out);
    deflateEnd(&stream);
    return packed;
}

static void write_descriptor(Package *package)
{
    g_string_assign(package->descriptor,
                    "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" "
                    "xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\"><References>");
    for (guint i = 0; i < DISKS; i++)
        g_string_append_printf(package->descriptor, "<File ovf:id=\"f%u\" ovf:href=\"%s\"/>", i,
                               names[i]);
    g_string_append(package->descriptor, "</References><DiskSection><Info/>");
    for (guint i = 0; i < DISKS; i++)
        g_string_append_printf(package->descriptor,
                               "<Disk ovf:diskId=\"d%u\" ovf:fileRef=\"f%u\"/>", i, i);
    g_string_append(package->descriptor, "</DiskSection></Envelope>");
}

static int set_up(void **state)
{
    Package *package = g_new0(Package, 1);

    package->dir = g_dir_make_tmp("package-XXXXXX", NULL);
    package->ova = g_build_filename(package->dir, "vm.ova", NULL);
    package->ovf = g_build_filename(package->dir, "vm.ovf", NULL);
    package->descriptor = g_string_new(NULL);
    package->manifest = g_string_new(NULL);
    package->archive = g_byte_array_new();
    write_descriptor(package);
    add_digest(package->manifest, "vm.ovf", package->descriptor->str, package->descriptor->len);
    for (guint i = 0; i < DISKS; i++) {
        memset(package->content[i], 0x81 + (int)i, SIZE);
        package->file[i] = i == 1
                               ? compress_gzip(package->content[i], SIZE)
                               : g_byte_array_append(g_byte_array_new(), package->content[i], SIZE);
        add_digest(package->manifest, names[i], package->file[i]->data, package->file[i]->len);
    }
    *state = package;
    return 0;
}

static int tear_down(void **state)
{
    Package *package = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", package->dir);

    assert_int_equal(system(command), 0);
    for (guint i = 0; i < DISKS; i++)
        g_byte_array_unref(package->file[i]);
    g_byte_array_unref(package->archive);
    g_string_free(package->descriptor, TRUE);
    g_string_free(package->manifest, TRUE);
    g_free(package->dir);
    g_free(package->ova);
    g_free(package->ovf);
    g_free(package);
    return 0;
}

static void save_bytes(const char *path, const void *bytes, size_t len)
{
    assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
    assert_int_equal(chmod(path, 0600), 0);
}

/* As an archive, with the manifest at its end. */
static void save_ova(Package *package, gboolean with_manifest, gboolean with_end)
{
    g_byte_array_set_size(package->archive, 0);
    archive_add(package->archive, '0', "vm.ovf", package->descriptor->str,
                package->descriptor->len);
    for (guint i = 0; i < DISKS; i++)
        archive_add(package->archive, '0', names[i], package->file[i]->data, package->file[i]->len);
    if (with_manifest)
        archive_add(package->archive, '0', "vm.mf", package->manifest->str, package->manifest->len);
    if (with_end)
        archive_end(package->archive);
    save_bytes(package->ova, package->archive->data, package->archive->len);
}

/* Saves the package as files in one directory. */
static void save_ovf(const Package *package)
{
    g_autofree char *manifest = g_build_filename(package->dir, "vm.mf", NULL);

    save_bytes(package->ovf, package->descriptor->str, package->descriptor->len);
    save_bytes(manifest, package->manifest->str, package->manifest->len);
    for (guint i = 0; i < DISKS; i++) {
        g_autofree char *path = g_build_filename(package->dir, names[i], NULL);

        save_bytes(path, package->file[i]->data, package->file[i]->len);
    }
}

static gboolean take(const void *bytes, size_t len, uint64_t hole, gpointer data, GError **error)
{
    GByteArray *sent = data;
    guint before = sent->len;

    g_byte_array_append(sent, bytes, (guint)len);
    g_byte_array_set_size(sent, sent->len + (guint)hole);
    memset(sent->data + before + len, 0, hole);
    return TRUE;
}

static gboolean send_disk(CstImport *import, guint number, const uint8_t *content, GError **error)
{
    g_autoptr(GByteArray) sent = g_byte_array_new();

    if (!cst_import_send(import, number, take, sent, error))
        return FALSE;
    assert_int_equal(sent->len, SIZE);
    assert_memory_equal(sent->data, content, SIZE);
    return TRUE;
}

static void assert_imported(const Package *package, const char *source)
{
    const CstImportHow how = {.source = source};
    g_autoptr(GError) error = NULL;
    g_autoptr(CstImport) import = cst_import_open(&how, NULL, &error);

    assert_null(error);
    assert_int_equal(cst_import_disks(import), DISKS);
    /* In another order than they were opened in. */
    for (guint i = DISKS; i-- > 0;)
        assert_true(send_disk(import, i, package->content[i], NULL));
}

static void assert_refused(const CstImportHow *how, CstErrorCode code)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_import_open(how, NULL, &error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("other error: %s", error->message);
}

static void each_disk_has_its_own_content(void **state)
{
    Package *package = *state;

    save_ova(package, TRUE, TRUE);
    assert_imported(package, package->ova);
    save_ovf(package);
    assert_imported(package, package->ovf);
}

typedef struct {
    const Package *package;
    char *moved;
} Exchange;

/* The owner of the directory puts another one in its place, with other disks and no manifest. */
static void exchange_directory(gpointer data)
{
    const Exchange *exchange = data;
    const Package *package = exchange->package;

    assert_int_equal(rename(package->dir, exchange->moved), 0);
    assert_int_equal(mkdir(package->dir, 0700), 0);
    for (guint i = 0; i < DISKS; i++) {
        g_autofree char *path = g_build_filename(package->dir, names[i], NULL);

        save_bytes(path, package->content[0], SIZE);
    }
}

static void disks_come_from_the_opened_directory_of_the_descriptor(void **state)
{
    Package *package = *state;
    g_autofree char *moved = g_strconcat(package->dir, ".moved", NULL);
    Exchange exchange = {package, moved};
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", package->dir);

    save_ovf(package);
    point_run("import_source.beside", exchange_directory, &exchange);
    assert_imported(package, package->ovf);
    points_clear();
    assert_int_equal(system(command), 0);
    assert_int_equal(rename(moved, package->dir), 0);
}

static void disk_that_another_user_linked_is_refused(void **state)
{
    Package *package = *state;
    g_autofree char *disk = g_build_filename(package->dir, names[0], NULL);
    g_autofree char *other = g_build_filename(package->dir, "other", NULL);

    if (geteuid() != 0)
        skip();
    save_ovf(package);
    assert_int_equal(link(disk, other), 0);
    assert_imported(package, package->ovf);
    assert_int_equal(chown(package->dir, OTHER, OTHER), 0);
    assert_refused(&(CstImportHow){.source = package->ovf}, CST_ERROR_DENIED);
    assert_int_equal(chown(disk, OTHER, OTHER), 0);
    assert_imported(package, package->ovf);
}

static void requested_disk_is_the_only_one_imported(void **state)
{
    Package *package = *state;
    CstImportHow how = {.source = package->ova};

    save_ova(package, TRUE, TRUE);
    for (guint i = 0; i < DISKS; i++) {
        g_autoptr(CstImport) import = NULL;

        how.disk = i + 1;
        import = cst_import_open(&how, NULL, NULL);
        assert_non_null(import);
        assert_int_equal(cst_import_disks(import), 1);
        assert_true(send_disk(import, 0, package->content[i], NULL));
    }
    how.disk = DISKS + 1;
    assert_refused(&how, CST_ERROR_NOT_FOUND);
}

/* Of each disk in turn a byte is another one, where the format does not notice it. */
static void damage_of_each_disk_is_noticed(void **state)
{
    Package *package = *state;

    for (guint i = 0; i < DISKS; i++) {
        uint8_t *byte = &package->file[i]->data[i == 1 ? 4 : SIZE - 1]; /* gzip: the time */

        ++*byte;
        save_ova(package, TRUE, TRUE);
        assert_refused(&(CstImportHow){.source = package->ova}, CST_ERROR_MISMATCH);
        save_ovf(package);
        assert_refused(&(CstImportHow){.source = package->ovf}, CST_ERROR_MISMATCH);
        --*byte;
    }
    g_string_append_c(package->descriptor, '\n');
    save_ova(package, TRUE, TRUE);
    assert_refused(&(CstImportHow){.source = package->ova}, CST_ERROR_MISMATCH);
}

/* A manifest without a line for a disk is as wrong as one with another digest. */
static void disk_that_the_manifest_lacks_is_refused(void **state)
{
    Package *package = *state;
    char *line = strstr(package->manifest->str, "SHA256(c.raw)");

    g_string_truncate(package->manifest, (gsize)(line - package->manifest->str));
    save_ova(package, TRUE, TRUE);
    assert_refused(&(CstImportHow){.source = package->ova}, CST_ERROR_MISMATCH);
}

static void archive_that_was_cut_off_is_refused(void **state)
{
    Package *package = *state;

    save_ova(package, FALSE, FALSE);
    assert_refused(&(CstImportHow){.source = package->ova}, CST_ERROR_CORRUPT);
    save_ova(package, FALSE, TRUE);
    assert_imported(package, package->ova);
}

/* The checksum includes bytes that belong to no disk: the padding at the end. */
static void checksum_is_that_of_the_whole_archive(void **state)
{
    Package *package = *state;
    g_autofree char *hex = NULL, *checksum = NULL;
    CstImportHow how = {.source = package->ova};

    save_ova(package, TRUE, TRUE);
    hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, package->archive->data,
                                      package->archive->len);
    how.checksum = checksum = g_strdup_printf("sha256:%s", hex);
    {
        g_autoptr(CstImport) import = cst_import_open(&how, NULL, NULL);

        assert_non_null(import);
    }
    package->archive->data[package->archive->len - 1]++;
    save_bytes(package->ova, package->archive->data, package->archive->len);
    assert_refused(&how, CST_ERROR_MISMATCH);
}

/* Writes the first byte of a file again, so that its time changes. */
static void touch_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat before, after;
    char byte;

    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
    do {
        assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
        assert_int_equal(fstat(fd, &after), 0);
    } while (before.st_ctim.tv_sec == after.st_ctim.tv_sec &&
             before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
    close(fd);
}

static void assert_changed(const CstImportHow *how, const char *path, guint disk, gboolean changes)
{
    g_autoptr(CstImport) import = cst_import_open(how, NULL, NULL);
    g_autoptr(GByteArray) sent = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    assert_non_null(import);
    touch_file(path);
    assert_int_equal(cst_import_send(import, disk, take, sent, &error), !changes);
    if (changes)
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_MISMATCH));
}

static void file_that_changes_while_a_disk_is_sent_is_noticed(void **state)
{
    Package *package = *state;
    const CstImportHow ova = {.source = package->ova}, ovf = {.source = package->ovf};

    save_ova(package, TRUE, TRUE);
    for (guint i = 0; i < DISKS; i++)
        assert_changed(&ova, package->ova, i, TRUE);
    save_ovf(package);
    for (guint i = 0; i < DISKS; i++) {
        g_autofree char *path = g_build_filename(package->dir, names[i], NULL);

        assert_changed(&ovf, package->ovf, i, TRUE);
        /* The compressed disk was unpacked at the open. The other files are not that disk. */
        assert_changed(&ovf, path, i, i != 1);
        assert_changed(&ovf, path, (i + 1) % DISKS, FALSE);
    }
}

#define package_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        package_test(each_disk_has_its_own_content),
        package_test(disks_come_from_the_opened_directory_of_the_descriptor),
        package_test(disk_that_another_user_linked_is_refused),
        package_test(requested_disk_is_the_only_one_imported),
        package_test(damage_of_each_disk_is_noticed),
        package_test(disk_that_the_manifest_lacks_is_refused),
        package_test(archive_that_was_cut_off_is_refused),
        package_test(checksum_is_that_of_the_whole_archive),
        package_test(file_that_changes_while_a_disk_is_sent_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

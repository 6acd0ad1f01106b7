/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include <base/units.h>

#include "commands/volume/volume.h"
#include "fake_conn.h"
#include "fake_vol.h"
#include "session.h"

static int setup(void **state)
{
    session_setup(state);
    fake_world_add_pool("other", "11111111-8b86-d011-b42d-00c04fc964ff", TRUE);
    fake_vols_add("images", "Beta", CST_GIB, CST_MIB);
    fake_vols_add("images", "alpha", 2 * CST_GIB, 0);
    fake_vols_add("other", "gamma", 512, 512);
    return 0;
}

static char *with_file(const char *text, const char *file)
{
    g_auto(GStrv) parts = g_strsplit(text, "FILE", -1);

    return g_strjoinv(file, parts);
}

/** Like says(), with the name of a file in place of FILE. */
static void says_of(void **state, const char *file, const char *line, CstExitStatus status,
                    const char *out, const char *err)
{
    g_autofree char *full_line = with_file(line, file);
    g_autofree char *full_out = with_file(out, file);
    g_autofree char *full_err = with_file(err, file);

    says(state, full_line, status, full_out, full_err);
}

/* --- documents ------------------------------------------------------------------------------- */

static void assert_spec(const CliVolSpec *spec, const char *want)
{
    g_autofree char *xml = cli_vol_spec_xml(spec, NULL);

    assert_string_equal(xml, want);
}

static void volume_xml_has_the_minimum_or_all_fields(void **state)
{
    assert_spec(&(CliVolSpec){.name = "a", .capacity = 5},
                "<volume>\n  <name>a</name>\n  <capacity>5</capacity>\n</volume>\n");
    assert_spec(&(CliVolSpec){.name = "a",
                              .capacity = UINT64_MAX,
                              .has_allocation = TRUE,
                              .format = "qcow2",
                              .backing_path = "/b",
                              .backing_format = "raw"},
                "<volume>\n  <name>a</name>\n  <capacity>18446744073709551615</capacity>\n"
                "  <allocation>0</allocation>\n  <target>\n    <format type='qcow2'/>\n"
                "  </target>\n  <backingStore>\n    <path>/b</path>\n    <format type='raw'/>\n"
                "  </backingStore>\n</volume>\n");
}

static void thin_travels_in_our_own_namespace(void **state)
{
    assert_spec(&(CliVolSpec){.name = "a", .capacity = 5, .thin = "yes"},
                "<volume xmlns:cistern='urn:cistern:storage:1.0'>\n  <name>a</name>\n"
                "  <capacity>5</capacity>\n  <cistern:options>\n"
                "    <cistern:option name='thin' value='yes'/>\n  </cistern:options>\n"
                "</volume>\n");
}

static void backing_format_needs_a_backing_volume(void **state)
{
    assert_spec(&(CliVolSpec){.name = "a", .capacity = 5, .backing_format = "raw"},
                "<volume>\n  <name>a</name>\n  <capacity>5</capacity>\n</volume>\n");
}

static void assert_clone(const char *xml, const char *name, const char *want)
{
    g_autofree char *clone = cli_vol_clone_xml(xml, name, NULL);

    assert_string_equal(clone, want);
}

static void clone_changes_the_name_alone(void **state)
{
    const char *xml = "<?xml version='1.0'?>\n<volume type='file'>\n  <name>a</name>\n"
                      "  <target><name>a</name></target>\n</volume>\n";

    assert_clone(xml, "b c",
                 "<volume type=\"file\">\n  <name>b c</name>\n  <target><name>a</name></target>\n"
                 "</volume>");
}

static void clone_names_may_hold_entities_or_a_plain_ampersand(void **state)
{
    const char *xml = "<volume><name>a<!-- b --></name></volume>";

    assert_clone(xml, "x&lt;y", "<volume>\n  <name>x&lt;y</name>\n</volume>");
    assert_clone(xml, "x&y", "<volume>\n  <name>x&amp;y</name>\n</volume>");
    assert_clone(xml, "x<y", "<volume>\n  <name>x&lt;y</name>\n</volume>");
}

static void clone_refuses_xml_that_is_not_a_volume(void **state)
{
    static const char *const bad[] = {"", "<volume", "<volume/>", "<pool><name>a</name></pool>",
                                      "<volume><target><name>a</name></target></volume>"};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(cli_vol_clone_xml(bad[i], "b", &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_XML));
    }
}

/* --- finding --------------------------------------------------------------------------------- */

static void a_volume_is_found_by_name_key_or_path(void **state)
{
    says(state, "vol-key Beta images", CST_EXIT_OK, "/images/Beta\n\n", "");
    says(state, "vol-key /images/Beta --pool images", CST_EXIT_OK, "/images/Beta\n\n", "");
    says(state, "vol-path --vol /images/Beta", CST_EXIT_OK, "/images/Beta\n\n", "");
    says(state, "vol-name /other/gamma", CST_EXIT_OK, "gamma\n\n", "");
    says(state, "vol-pool /other/gamma", CST_EXIT_OK, "other\n\n", "");
    says(state, "vol-pool /other/gamma --uuid", CST_EXIT_OK,
         "11111111-8b86-d011-b42d-00c04fc964ff\n\n", "");
}

static void missing_volume_is_reported_with_the_text_of_virsh(void **state)
{
    says(state, "vol-path nothing", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get vol 'nothing', specifying --pool might help\n"
         "error: Storage volume not found: no storage vol with matching path 'nothing'\n");
    says(state, "vol-name nothing", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get vol 'nothing'\n"
         "error: Storage volume not found: no storage vol with matching path 'nothing'\n");
    says(state, "vol-path gamma --pool images", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get vol 'gamma'\n"
         "error: Storage volume not found: no storage vol with matching path 'gamma'\n");
    says(state, "vol-path gamma --pool none", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get pool 'none'\n"
         "error: Storage pool not found: no storage pool with matching name 'none'\n");
}

static void a_name_that_one_pool_has_needs_no_pool(void **state)
{
    says(state, "vol-path Beta", CST_EXIT_OK, "/images/Beta\n\n", "");
    says(state, "vol-name Beta", CST_EXIT_OK, "Beta\n\n", "");
    says(state, "vol-path images/Beta", CST_EXIT_OK, "/images/Beta\n\n", "");
    says(state, "vol-path images/Beta --pool images", CST_EXIT_OK, "/images/Beta\n\n", "");
    fake_vols_add("images", "twin", 1, 1);
    fake_vols_add("images2", "twin", 1, 1);
    says(state, "vol-path images/twin", CST_EXIT_OK, "/images/twin\n\n", "");
}

static void lookup_by_name_that_fails_is_reported_without_a_suggestion(void **state)
{
    fake_vols.no_names = "images";
    says(state, "vol-path alpha --pool images", CST_EXIT_FAILED, "\n",
         "error: failed to get vol 'alpha'\n"
         "error: cannot open directory '/images': Too many open files\n");
}

static void similar_name_is_suggested(void **state)
{
    says(state, "vol-path alhpa", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get vol 'alhpa', specifying --pool might help\n"
         "error: Storage volume not found: no storage vol with matching path 'alhpa'\n"
         "hint: did you mean 'alpha'?\n");
    says(state, "vol-path images/bea", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get vol 'images/bea', specifying --pool might help\n"
         "error: Storage volume not found: no storage vol with matching path 'images/bea'\n"
         "hint: did you mean 'images/Beta'?\n");
    says(state, "vol-list imgaes", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get pool 'imgaes'\n"
         "error: Storage pool not found: no storage pool with matching name 'imgaes'\n"
         "hint: did you mean 'images'?\n");
    /* The next failure has no suggestion. */
    says(state, "vol-list nothing", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get pool 'nothing'\n"
         "error: Storage pool not found: no storage pool with matching name 'nothing'\n");
}

static void mistakes_in_the_words_are_usage_errors(void **state)
{
    fake_vols.fail = g_strdup("no");
    says(state, "vol-create-as images a/b 1M", CST_EXIT_USAGE, "\n",
         "error: Failed to create vol a/b\nerror: operation failed: no\n"
         "hint: there is no pool 'a', which 'a/b' would name as POOL/NAME\n");
    says(state, "vol-clone alpha a/b --pool images", CST_EXIT_USAGE, "\n",
         "error: Failed to clone vol from alpha\nerror: operation failed: no\n"
         "hint: there is no pool 'a', which 'a/b' would name as POOL/NAME\n");
    says(state, "vol-create-as images a 1M", CST_EXIT_FAILED, "\n",
         "error: Failed to create vol a\nerror: operation failed: no\n");
}

static void a_volume_of_another_pool_is_refused(void **state)
{
    says(state, "vol-delete /other/gamma --pool images", CST_EXIT_NOT_FOUND, "\n",
         "error: Requested volume '/other/gamma' is not in pool 'images'\n");
    assert_int_equal(fake_vols.changes, 0);
}

static void an_inactive_pool_has_no_volumes(void **state)
{
    says(state, "vol-info x --pool backup", CST_EXIT_CONFLICT, "\n",
         "error: pool 'backup' is not active\n");
}

/*
 * --- information ---------------------------------------------------------------------------------
 */

static void info_has_its_own_way_with_bytes(void **state)
{
    says(state, "vol-info Beta images", CST_EXIT_OK,
         "Name:           Beta\nType:           file\nCapacity:       1.00 GiB\n"
         "Allocation:     1.00 MiB\n\n",
         "");
    says(state, "vol-info Beta images --bytes --physical", CST_EXIT_OK,
         "Name:           Beta\nType:           file\nCapacity:       1073741824 bytes\n"
         "Physical:       1048576 bytes\n\n",
         "");
}

static void dumpxml_accepts_xpath_only_as_a_named_option(void **state)
{
    says(state, "vol-dumpxml Beta images --xpath //key", CST_EXIT_OK, "<key>/images/Beta</key>\n\n",
         "");
    says_of(state, "//key", "vol-dumpxml Beta images FILE", CST_EXIT_USAGE, "",
            "error: unexpected data 'FILE'\n");
}

/* --- making ---------------------------------------------------------------------------------- */

static void create_as_reads_sizes_and_the_backing_volume(void **state)
{
    says(state,
         "vol-create-as images new 1G --allocation 1k --format qcow2 --backing-vol Beta "
         "--backing-vol-format raw --prealloc-metadata --validate",
         CST_EXIT_OK, "Vol new created\n\n", "");
    assert_string_equal(fake_vols.last_xml,
                        "<volume>\n  <name>new</name>\n  <capacity>1073741824</capacity>\n"
                        "  <allocation>1024</allocation>\n  <target>\n"
                        "    <format type='qcow2'/>\n  </target>\n  <backingStore>\n"
                        "    <path>/images/Beta</path>\n    <format type='raw'/>\n"
                        "  </backingStore>\n</volume>\n");
    assert_int_equal(fake_vols.last_flags,
                     CST_VOL_CREATE_PREALLOC_METADATA | CST_VOL_CREATE_VALIDATE);
    says(state, "vol-create-as images new 1 --backing-vol none", CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get vol 'none'\n"
         "error: Storage volume not found: no storage vol with matching path 'none'\n");
}

static void create_as_can_print_instead(void **state)
{
    says(state, "vol-create-as images new 3 '' raw --print-xml", CST_EXIT_OK,
         "<volume>\n  <name>new</name>\n  <capacity>3</capacity>\n  <target>\n"
         "    <format type='raw'/>\n  </target>\n</volume>\n\n",
         "");
    says(state, "vol-create-as images new 3 --dry-run", CST_EXIT_OK,
         "Would create vol new in pool images\n\n", "");
    assert_int_equal(fake_vols.changes, 0);
}

static void malformed_sizes(void **state)
{
    says(state, "vol-create-as images a 1X", CST_EXIT_USAGE, "\n",
         "error: Malformed size 1X\nerror: invalid argument: unknown suffix 'X'\n");
    says(state, "vol-create-as images a -1", CST_EXIT_USAGE, "\n", "error: Malformed size -1\n");
    says(state, "vol-create-as images a 1 --allocation x", CST_EXIT_USAGE, "\n",
         "error: Malformed size x\n");
    says(state, "vol-create-as images a 99999999999999999999", CST_EXIT_USAGE, "\n",
         "error: Malformed size 99999999999999999999\n");
    says(state, "vol-create-as images a 16E", CST_EXIT_USAGE, "\n",
         "error: Malformed size 16E\nerror: numerical overflow: value too large: 16E\n");
    says(state, "vol-create-as images a ''", CST_EXIT_USAGE, "\n",
         "error: Failed to get option 'capacity': Option argument is empty\n");
}

/** A file that is removed with its directory. */
typedef struct {
    char *dir, *path;
} TempFile;

static TempFile temp_file(const char *content)
{
    TempFile file = {.dir = g_dir_make_tmp("cst-XXXXXX", NULL)};

    assert_non_null(file.dir);
    file.path = g_build_filename(file.dir, "f", NULL);
    if (content)
        assert_true(g_file_set_contents(file.path, content, -1, NULL));
    return file;
}

static void temp_file_clear(TempFile *file)
{
    g_unlink(file->path);
    g_rmdir(file->dir);
    g_free(file->path);
    g_free(file->dir);
}

static void create_and_create_from_read_a_file(void **state)
{
    TempFile file = temp_file("<volume><name>n</name></volume>");

    says_of(state, file.path, "vol-create images FILE", CST_EXIT_OK, "Vol n created from FILE\n\n",
            "");
    assert_null(fake_vols.last_source);
    says_of(state, file.path, "vol-create-from images FILE gamma other --reflink", CST_EXIT_OK,
            "Vol n created from input vol gamma\n\n", "");
    assert_string_equal(fake_vols.last_source, "gamma");
    assert_int_equal(fake_vols.last_flags, CST_VOL_CREATE_REFLINK);
    fake_vols.fail = g_strdup("no");
    says_of(state, file.path, "vol-create images FILE", CST_EXIT_FAILED, "\n",
            "error: Failed to create vol from FILE\nerror: operation failed: no\n");
    temp_file_clear(&file);
}

static void clone_names_both(void **state)
{
    says(state, "vol-clone Beta copy --pool images --dry-run", CST_EXIT_OK,
         "Would clone vol Beta of pool images as copy\n\n", "");
    says(state, "vol-clone Beta copy --pool images --reflink", CST_EXIT_OK,
         "Vol copy cloned from Beta\n\n", "");
    assert_string_equal(fake_vols.last_source, "Beta");
    says(state, "vol-clone Beta copy --pool images --print-xml", CST_EXIT_OK,
         "<volume type=\"file\">\n  <name>copy</name>\n  <key>/images/Beta</key>\n</volume>\n", "");
    says(state, "vol-clone Beta '' --pool images", CST_EXIT_USAGE, "\n",
         "error: Failed to get option 'newname': Option argument is empty\n");
    assert_int_equal(fake_vols.changes, 1);
}

/* --- changing -------------------------------------------------------------------------------- */

static void resize_by_and_to(void **state)
{
    says(state, "vol-resize Beta 2M images", CST_EXIT_OK,
         "Size of volume 'Beta' successfully changed to 2M\n\n", "");
    assert_int_equal(fake_vols.last_size, 2 * CST_MIB);
    assert_int_equal(fake_vols.last_flags, 0);
    says(state, "vol-resize Beta --capacity -1M images --shrink", CST_EXIT_OK,
         "Size of volume 'Beta' successfully changed by 1M\n\n", "");
    assert_int_equal(fake_vols.last_size, CST_MIB);
    assert_int_equal(fake_vols.last_flags, CST_VOL_RESIZE_SHRINK | CST_VOL_RESIZE_DELTA);
    says(state, "vol-resize Beta 1 images --allocate --delta", CST_EXIT_OK,
         "Size of volume 'Beta' successfully changed by 1\n\n", "");
    assert_int_equal(fake_vols.last_flags, CST_VOL_RESIZE_ALLOCATE | CST_VOL_RESIZE_DELTA);
    says(state, "vol-resize Beta -1M images", CST_EXIT_USAGE, "\n",
         "error: negative size requires --shrink\n");
    says(state, "vol-resize Beta 3M images --qmp monitor", CST_EXIT_OK,
         "Size of volume 'Beta' successfully changed to 3M\n\n", "");
    assert_int_equal(fake_vols.last_size, 3 * CST_MIB);
}

static void resize_by_a_size_with_a_plus(void **state)
{
    says(state, "vol-resize Beta +2M images", CST_EXIT_OK,
         "Size of volume 'Beta' successfully changed by 2M\n\n", "");
    assert_int_equal(fake_vols.last_flags, CST_VOL_RESIZE_DELTA);
    assert_true(fake_vols.last_size == 2 * CST_MIB);
    says(state, "vol-resize Beta +2M images --delta", CST_EXIT_OK,
         "Size of volume 'Beta' successfully changed by 2M\n\n", "");
    assert_int_equal(fake_vols.last_flags, CST_VOL_RESIZE_DELTA);
    /* It shrank a volume of 20G to 5G. */
    fake_vols.last_size = 0;
    says(state, "vol-resize Beta +5G images --shrink", CST_EXIT_USAGE, "\n",
         "error: '+5G' grows the volume, which --shrink contradicts: write '-5G' to shrink it by "
         "that much, or '5G' for the new size\n");
    assert_true(fake_vols.last_size == 0);
}

static void wipe_knows_virshs_algorithms(void **state)
{
    static const char *const names[] = {"zero",     "nnsa",      "dod",        "bsi",    "gutmann",
                                        "schneier", "pfitzner7", "pfitzner33", "random", "trim"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        assert_int_equal(cli_wipe_algorithm(names[i]), i);
    says(state, "vol-wipe Beta images --algorithm trim", CST_EXIT_OK, "Vol Beta wiped\n\n", "");
    assert_int_equal(fake_vols.last_algorithm, CST_WIPE_TRIM);
    says(state, "vol-wipe Beta images hammer", CST_EXIT_USAGE, "\n",
         "error: Unsupported algorithm 'hammer'\n");
}

static void delete_never_asks(void **state)
{
    says(state, "vol-delete Beta images --dry-run", CST_EXIT_OK, "Would delete vol Beta\n\n", "");
    assert_int_equal(fake_vols.changes, 0);
    says(state, "vol-delete /images/Beta --delete-snapshots", CST_EXIT_OK,
         "Vol /images/Beta deleted\n\n", "");
    assert_int_equal(fake_vols.last_flags, CST_VOL_DELETE_WITH_SNAPSHOTS);
    says(state, "vol-delete Beta images --yes --json", CST_EXIT_OK,
         "{\"schema\":1,\"command\":\"vol-delete\",\"volume\":\"Beta\","
         "\"message\":\"Vol Beta deleted\"}\n",
         "");
}

/* --- moving bytes ---------------------------------------------------------------------------- */

static void upload_and_download(void **state)
{
    TempFile file = temp_file("some bytes");
    g_autofree char *got = NULL;
    struct stat st;

    says_of(state, file.path, "vol-upload Beta FILE images --offset 5 --length -1 --sparse",
            CST_EXIT_OK, "\n", "");
    assert_string_equal(fake_vols.uploaded->str, "some bytes");
    assert_int_equal(fake_vols.last_offset, 5);
    assert_true(fake_vols.last_length == UINT64_MAX);
    assert_int_equal(fake_vols.last_flags, CST_VOL_STREAM_SPARSE);
    fake_vols.content = "other";
    says_of(state, file.path, "vol-download Beta FILE images --length 9 --json", CST_EXIT_OK,
            "{\"schema\":1,\"command\":\"vol-download\",\"volume\":\"Beta\","
            "\"file\":\"FILE\",\"bytes\":5}\n",
            "");
    assert_int_equal(fake_vols.last_length, 9);
    assert_true(g_file_get_contents(file.path, &got, NULL, NULL));
    assert_string_equal(got, "other");
    /* The volume's permissions are unknown, so only its owner may read the copy. */
    assert_int_equal(g_unlink(file.path), 0);
    says_of(state, file.path, "vol-download Beta FILE images", CST_EXIT_OK, "\n", "");
    assert_int_equal(g_stat(file.path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    temp_file_clear(&file);
}

static void malformed_offsets(void **state)
{
    says(state, "vol-upload Beta /dev/null images --offset -1", CST_EXIT_USAGE, "\n",
         "error: Numeric value '-1' for <offset> option is malformed or out of range\n");
    says(state, "vol-upload Beta /dev/null images --length 1k", CST_EXIT_USAGE, "\n",
         "error: Numeric value '1k' for <length> option is malformed or out of range\n");
    says(state, "vol-download Beta /dev/null images --offset 18446744073709551616", CST_EXIT_USAGE,
         "\n",
         "error: Numeric value '18446744073709551616' for <offset> option is malformed or out of "
         "range\n");
}

static void failed_upload_reports_the_step(void **state)
{
    static const struct {
        uint64_t after;
        const char *headline;
    } steps[] = {{0, "cannot upload to volume Beta"}, {3, "cannot send data to volume Beta"}};
    TempFile file = temp_file("some bytes");

    fake_vols.fail = g_strdup("no");
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autofree char *err =
            g_strdup_printf("error: %s\nerror: operation failed: no\n", steps[i].headline);

        fake_vols.fail_after = steps[i].after;
        says_of(state, file.path, "vol-upload Beta FILE images", CST_EXIT_FAILED, "\n", err);
    }
    g_unlink(file.path);
    says_of(state, file.path, "vol-upload Beta FILE images", CST_EXIT_NOT_FOUND, "\n",
            "error: cannot read FILE: No such file or directory\n");
    temp_file_clear(&file);
}

static void a_failed_download_leaves_no_new_file(void **state)
{
    TempFile file = temp_file(NULL);
    struct stat st;

    fake_vols.fail = g_strdup("no");
    fake_vols.content = "other";
    fake_vols.fail_after = 2;
    says_of(state, file.path, "vol-download Beta FILE images", CST_EXIT_FAILED, "\n",
            "error: cannot receive data from volume Beta\nerror: operation failed: no\n");
    assert_int_not_equal(g_lstat(file.path, &st), 0);
    /* An existing file is not removed. */
    assert_true(g_file_set_contents(file.path, "mine", -1, NULL));
    fake_vols.fail_after = 0;
    says_of(state, file.path, "vol-download Beta FILE images", CST_EXIT_FAILED, "\n",
            "error: cannot download from volume Beta\nerror: operation failed: no\n");
    assert_int_equal(g_lstat(file.path, &st), 0);
    temp_file_clear(&file);
}

static void a_download_needs_a_place(void **state)
{
    TempFile file = temp_file(NULL);

    says_of(state, file.path, "vol-download Beta FILE/x images", CST_EXIT_NOT_FOUND, "\n",
            "error: cannot create FILE/x: No such file or directory\n");
    says_of(state, file.path, "vol-download Beta FILE images --dry-run", CST_EXIT_OK,
            "Would download vol Beta to FILE\n\n", "");
    temp_file_clear(&file);
}

#define VOL_TEST(function) cmocka_unit_test_setup_teardown(function, setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volume_xml_has_the_minimum_or_all_fields),
        cmocka_unit_test(thin_travels_in_our_own_namespace),
        cmocka_unit_test(backing_format_needs_a_backing_volume),
        cmocka_unit_test(clone_changes_the_name_alone),
        cmocka_unit_test(clone_names_may_hold_entities_or_a_plain_ampersand),
        cmocka_unit_test(clone_refuses_xml_that_is_not_a_volume),
        VOL_TEST(a_volume_is_found_by_name_key_or_path),
        VOL_TEST(missing_volume_is_reported_with_the_text_of_virsh),
        VOL_TEST(a_name_that_one_pool_has_needs_no_pool),
        VOL_TEST(lookup_by_name_that_fails_is_reported_without_a_suggestion),
        VOL_TEST(similar_name_is_suggested),
        VOL_TEST(mistakes_in_the_words_are_usage_errors),
        VOL_TEST(a_volume_of_another_pool_is_refused),
        VOL_TEST(an_inactive_pool_has_no_volumes),
        VOL_TEST(info_has_its_own_way_with_bytes),
        VOL_TEST(dumpxml_accepts_xpath_only_as_a_named_option),
        VOL_TEST(create_as_reads_sizes_and_the_backing_volume),
        VOL_TEST(create_as_can_print_instead),
        VOL_TEST(malformed_sizes),
        VOL_TEST(create_and_create_from_read_a_file),
        VOL_TEST(clone_names_both),
        VOL_TEST(resize_by_and_to),
        VOL_TEST(resize_by_a_size_with_a_plus),
        VOL_TEST(wipe_knows_virshs_algorithms),
        VOL_TEST(delete_never_asks),
        VOL_TEST(upload_and_download),
        VOL_TEST(malformed_offsets),
        VOL_TEST(failed_upload_reports_the_step),
        VOL_TEST(a_failed_download_leaves_no_new_file),
        VOL_TEST(a_download_needs_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

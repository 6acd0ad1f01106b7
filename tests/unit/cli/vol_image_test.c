/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "fake_conn.h"
#include "fake_image.h"
#include "fake_vol.h"
#include "session.h"

static int setup(void **state)
{
    fake_images = (FakeImages){.report = {.format = "qcow2", .total_clusters = 16}};
    session_setup(state);
    fake_world_add_pool("other", "11111111-8b86-d011-b42d-00c04fc964ff", TRUE);
    fake_vols_add("images", "disk", 1 << 20, 1 << 20);
    fake_vols_add("images", "low", 1 << 20, 1 << 20);
    fake_vols_add("other", "gamma", 512, 512);
    return 0;
}

static int teardown(void **state)
{
    g_clear_pointer(&fake_images.base, g_free);
    return session_teardown(state);
}

static void test_check(void **state)
{
    Session *session = *state;

    says(state, "vol-check disk --pool images", CST_EXIT_OK,
         "errors: 0\nleaked clusters: 0\nclusters: 16\nallocated clusters: 0\nend of the image in "
         "the file: 0\n\n",
         "");
    assert_int_equal(fake_images.flags, 0);
    fake_images.report.leaks = 2;
    session_run(session, "vol-check disk --pool images --repair all");
    assert_int_equal(session->status, CST_EXIT_MISMATCH);
    assert_int_equal(fake_images.flags, CST_REPAIR_LEAKS | CST_REPAIR_ALL);
    assert_non_null(strstr(session->err, "takes space that it does not use"));
    session_run(session, "vol-check disk --pool images --repair x");
    assert_int_equal(session->status, CST_EXIT_USAGE);
    fake_images.report.leaks = 0;
    session_run(session, "vol-check disk --pool images --json");
    assert_non_null(strstr(session->out, "\"filename\":\"/images/disk\",\"format\":\"qcow2\""));
}

static void vol_image_dry_run_makes_no_change(void **state)
{
    static const struct {
        const char *line, *plan;
    } cases[] = {
        {"vol-rebase disk --pool images --backing-vol low --dry-run",
         "Would base vol disk on low\n\n"},
        {"vol-rebase disk --pool images --backing-vol '' --dry-run",
         "Would base vol disk on nothing\n\n"},
        {"vol-sparsify disk --pool images --dry-run", "Would sparsify vol disk\n\n"},
        {"vol-commit disk --pool images --dry-run", "Would commit vol disk\n\n"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        says(state, cases[i].line, CST_EXIT_OK, cases[i].plan, "");
    session_run(*state, "vol-check disk --pool images --repair leaks --dry-run");
    assert_non_null(strstr(((Session *)*state)->out, "Would check and repair vol disk\n"));
}

static void test_check_lists(void **state)
{
    Session *session = *state;

    fake_images.listed = 2;
    fake_images.report.errors = 2;
    fake_images.report.leaks = 7;
    session_run(session, "vol-check disk --pool images");
    assert_int_equal(session->status, CST_EXIT_MISMATCH);
    assert_true(g_str_has_prefix(session->out, "error: number 0 in \\x1b[2J\n"
                                               "leak: number 1 in \\x1b[2J\n"
                                               "and 5 more, which are not listed\n"
                                               "errors: 2\nleaked clusters: 7\n"));
    session_run(session, "vol-check disk --pool images --json");
    assert_non_null(strstr(session->out,
                           "\"findings\":[{\"kind\":\"error\",\"count\":2,\"text\":\"number 0 "
                           "in \\u001b[2J\"},{\"kind\":\"leak\",\"count\":2,"));
    assert_non_null(strstr(session->out, "],\"findings_left_out\":5"));
    fake_images.counts_only = TRUE;
    session_run(session, "vol-check disk --pool images --json");
    assert_null(strstr(session->out, "findings"));
    session_run(session, "vol-check disk --pool images");
    assert_true(g_str_has_prefix(session->out, "errors: 2\n"));
}

static void test_changes(void **state)
{
    says(state, "vol-flatten disk --pool images", CST_EXIT_OK,
         "Vol disk holds all of its content\n\n", "");
    assert_string_equal(fake_images.last, "flatten");
    says(state, "vol-sparsify disk --pool images", CST_EXIT_OK, "Vol disk gave back 3.00 MiB\n\n",
         "");
    says(state, "vol-commit disk --pool images --keep --yes", CST_EXIT_OK, "Vol disk committed\n\n",
         "");
    assert_int_equal(fake_images.flags, CST_VOL_COMMIT_KEEP);
    assert_string_equal(fake_images.base, "-");
    fake_images.last = NULL;
    says(state, "vol-flatten disk --pool images --dry-run", CST_EXIT_OK,
         "Would flatten vol disk\n\n", "");
    assert_null(fake_images.last);
}

/* A commit into a deeper base makes the images between invalid. The command asks first. */
static void test_commit_deeper_asks(void **state)
{
    Session *session = *state;

    session_run(session, "vol-commit disk --pool images --base low");
    assert_int_not_equal(session->status, CST_EXIT_OK);
    assert_null(fake_images.last);
    session_run(session, "vol-commit disk --pool images --base low --yes");
    assert_int_equal(session->status, CST_EXIT_OK);
    assert_string_equal(fake_images.base, "low");
}

static void test_chain(void **state)
{
    Session *session = *state;

    session_run(session, "vol-chain disk --pool images");
    assert_int_equal(session->status, CST_EXIT_OK);
    assert_non_null(strstr(session->out, "\n /base "));
    assert_non_null(strstr(session->out, "\n   - disk *    images   qcow2    1.00 MiB"));
    assert_non_null(strstr(session->out, "\n     - above "));
    session_run(session, "vol-chain disk --pool images --json");
    assert_non_null(strstr(session->out, "\"chain\":{\"name\":\"/base\",\"pool\":null,"));
    assert_non_null(strstr(session->out,
                           "\"children\":[{\"name\":\"disk\",\"pool\":\"images\","
                           "\"self\":true,\"format\":\"qcow2\",\"capacity\":1048576,"));
    assert_non_null(strstr(session->out, "\"children\":[{\"name\":\"above\","));
    assert_non_null(strstr(session->out, "\"children\":[]}]},{\"name\":\"beside\","));
}

static void asked(const char *last, unsigned flags, const char *what)
{
    assert_string_equal(fake_images.last, last);
    assert_int_equal(fake_images.flags, flags);
    assert_string_equal(fake_images.base, what);
    fake_images.last = NULL;
}

static void test_convert(void **state)
{
    says(state, "vol-convert disk copy --pool images --format qcow2 -c", CST_EXIT_OK,
         "Vol disk converted to vol copy\n\n", "");
    asked("convert", CST_VOL_CONVERT_COMPRESS, "images/disk images/copy qcow2 -");
    output(state,
           "vol-convert disk copy --pool images -O raw --newpool other -o preallocation=full");
    asked("convert", 0, "images/disk other/copy raw preallocation=full");
    says(state, "vol-convert disk copy --pool images --format qcow2 --dry-run", CST_EXIT_OK,
         "Would convert vol disk to vol copy, format qcow2\n\n", "");
    assert_non_null(
        strstr(output(state, "vol-convert disk copy --format vmdk -o help"), "subformat="));
    assert_null(fake_images.last);
    says(state, "vol-convert disk copy --pool images --format x", CST_EXIT_USAGE, "\n",
         "error: invalid argument: unknown image format 'x'\n");
    says(state, "vol-convert disk copy --pool images", CST_EXIT_USAGE, "",
         "error: command 'vol-convert' requires --format option\n");
}

static void test_rebase(void **state)
{
    says(state, "vol-rebase disk --pool images --backing-vol low --backing-vol-format qcow2",
         CST_EXIT_OK, "Vol disk is based on low\n\n", "");
    asked("rebase", 0, "disk /images/low qcow2");
    output(state, "vol-rebase disk --pool images -u -b /other/gamma -F raw");
    asked("rebase", CST_VOL_REBASE_UNSAFE, "disk /other/gamma raw");
    says(state, "vol-rebase disk --pool images --backing-vol ''", CST_EXIT_OK,
         "Vol disk is based on nothing\n\n", "");
    asked("rebase", 0, "disk - -");
    output(state, "vol-rebase disk --pool images --backing-vol low");
    asked("rebase", 0, "disk /images/low -");
    says(state, "vol-rebase disk --pool images --backing-vol /etc/passwd -F raw",
         CST_EXIT_NOT_FOUND, "\n",
         "error: failed to get vol '/etc/passwd'\n"
         "error: Storage volume not found: no storage vol with matching path '/etc/passwd'\n");
    assert_null(fake_images.last);
}

static void test_compare(void **state)
{
    fake_images.difference = (CstCompareReport){.same = TRUE, .sizes_same = FALSE};
    says(state, "vol-compare disk low --pool images", CST_EXIT_OK,
         "Warning: Image size mismatch!\nImages are identical.\n\n", "");
    asked("compare", 0, "images/disk images/low");
    says(state, "vol-compare disk low --pool images -s", CST_EXIT_MISMATCH, "\n",
         "error: operation failed: the images differ in size\n");
    fake_images.difference = (CstCompareReport){.sizes_same = TRUE, .offset = 4096};
    says(state, "vol-compare disk gamma --pool images --otherpool other", CST_EXIT_MISMATCH, "\n",
         "error: operation failed: the images differ, first at offset 4096\n");
    asked("compare", 0, "images/disk other/gamma");
    fake_images.difference = (CstCompareReport){.same = TRUE, .sizes_same = TRUE};
    says(state, "vol-compare disk low --pool images --json", CST_EXIT_OK,
         "{\"schema\":1,\"identical\":true,\"same_size\":true}\n", "");
}

static void test_map(void **state)
{
    const char *out = output(state, "vol-map disk --pool images");

    assert_non_null(strstr(out, " 0        4096     data    0       /images/disk\n"));
    assert_non_null(strstr(out, " 4096     4096     zero    1       /images/low\n"));
    assert_non_null(strstr(out, " 8192     8192     below   1       /images/low\n"));
    out = output(state, "vol-map disk --pool images --json");
    assert_non_null(
        strstr(out, "{\"start\":0,\"length\":4096,\"state\":\"data\",\"depth\":0,\"filename\":"
                    "\"/images/disk\",\"present\":true,\"zero\":false,\"data\":true,"
                    "\"offset\":65536}"));
}

static void test_measure(void **state)
{
    says(state, "vol-measure disk --pool images -O qcow2 -o cluster_size=4k", CST_EXIT_OK,
         "required size: 327680\nfully allocated size: 1376256\n\n", "");
    asked("measure", 0, "disk qcow2 cluster_size=4k");
    says(state, "vol-measure --size 1M -O qcow2 --json", CST_EXIT_OK,
         "{\"schema\":1,\"required\":327680,\"fully_allocated\":1376256}\n", "");
    assert_null(fake_images.last);
    says(state, "vol-measure disk --pool images -O qcow2 --size 1M", CST_EXIT_USAGE, "\n",
         "error: give either <vol> or --size\n");
    says(state, "vol-measure -O qcow2", CST_EXIT_USAGE, "\n",
         "error: give either <vol> or --size\n");
}

static void test_bitmap(void **state)
{
    says(state, "vol-bitmap disk b0 --pool images --add --disable -g 64k", CST_EXIT_OK,
         "Bitmap b0 of vol disk changed\n\n", "");
    asked("bitmap", 65536, "disk b0 add disable of itself");
    output(state, "vol-bitmap disk b0 --pool images --clear --merge b1 -b low");
    asked("bitmap", 0, "disk b0 clear merge=b1 of low");
    output(state, "vol-bitmap disk b0 --pool images --merge b1 -b gamma --source-pool other");
    asked("bitmap", 0, "disk b0 merge=b1 of gamma");
    says(state, "vol-bitmap disk b0 --pool images --remove --dry-run", CST_EXIT_OK,
         "Would change bitmap b0 of vol disk\n\n", "");
    assert_null(fake_images.last);
    says(state, "vol-bitmap disk b0 --pool images --clear -b low", CST_EXIT_USAGE, "\n",
         "error: --source-vol needs --merge\n");
    says(state, "vol-bitmap disk b0 --pool images", CST_EXIT_USAGE, "\n",
         "error: give one or more of --add, --remove, --clear, --enable, --disable and --merge\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(vol_image_dry_run_makes_no_change),
        TEST(test_check),
        TEST(test_check_lists),
        TEST(test_changes),
        TEST(test_commit_deeper_asks),
        TEST(test_chain),
        TEST(test_convert),
        TEST(test_rebase),
        TEST(test_compare),
        TEST(test_map),
        TEST(test_measure),
        TEST(test_bitmap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <base/units.h>

#include "fake_conn.h"
#include "fake_vol.h"
#include "session.h"

/* Lists of volumes: the output of virsh, and additional columns. */

static int setup(void **state)
{
    session_setup(state);
    fake_world_add_pool("other", "11111111-8b86-d011-b42d-00c04fc964ff", TRUE);
    fake_vols_add("images", "Beta", CST_GIB, CST_MIB);
    fake_vols_add("images", "alpha", 2 * CST_GIB, 0);
    fake_vols_add("other", "gamma", 512, 512);
    return 0;
}

static void lists_are_virshs(void **state)
{
    says(state, "vol-list images", CST_EXIT_OK,
         " Name    Path\n------------------------\n alpha   /images/alpha\n"
         " Beta    /images/Beta\n\n",
         "");
    says(state, "vol-list images --details", CST_EXIT_OK,
         " Name    Path            Type   Capacity   Allocation\n"
         "-------------------------------------------------------\n"
         " alpha   /images/alpha   file   2.00 GiB   0.00 B\n"
         " Beta    /images/Beta    file   1.00 GiB   1.00 MiB\n\n",
         "");
    says(state, "vol-list backup", CST_EXIT_OK, " Name   Path\n--------------\n\n", "");
}

static void without_a_pool_all_are_listed(void **state)
{
    says(state, "vol-list", CST_EXIT_OK,
         " Pool     Name    Path\n---------------------------------\n"
         " images   alpha   /images/alpha\n"
         " images   Beta    /images/Beta\n"
         " other    gamma   /other/gamma\n\n",
         "");
    /* A pool that cannot be listed is reported, and the volumes of the other pools are listed. */
    fake_vols.no_lists = "images";
    says(state, "vol-list --columns name", CST_EXIT_PARTIAL, " Name\n--------\n gamma\n\n",
         "error: Failed to list the volumes of all pools\n"
         "error: operation failed: images: the storage of 'images' is away\n");
    says(state, "vol-list images", CST_EXIT_UNREACHABLE, "\n",
         "error: Failed to list volumes\nerror: the storage of 'images' is away\n");
}

static void list_requests_only_the_needed_fields(void **state)
{
    static const struct {
        const char *line;
        unsigned wants;
    } cases[] = {
        {"vol-list --columns name", 0},
        {"vol-list --details", 0},
        {"vol-list --json --details", 0},
        {"vol-list --columns backing", CST_VOL_MORE_BACKING},
        {"vol-list --columns name --sort snapshots", CST_VOL_MORE_SNAPSHOTS},
        {"vol-list --columns name --filter holder=-", CST_VOL_MORE_HOLDERS},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        fake_vols.wants = 0;
        output(state, cases[i].line);
        assert_int_equal(fake_vols.wants, cases[i].wants);
    }
}

static void holders_of_a_volume_are_shown(void **state)
{
    FakeVol *vol = fake_vols_add("images", "disk", 512, 0);

    vol->holder = "process 812 (qemu, domain 'web')";
    vol->snapshots = 2;
    vol->backing = "/images/alpha";
    says(state, "vol-list images --columns name,backing,snapshots,holder -H --filter name=disk",
         CST_EXIT_OK,
         "disk\t/images/alpha\t2\tprocess 812 (qemu, domain 'web'), "
         "job 3 (wipe) of process 42, user 0\n",
         "");
    says(state, "vol-holders disk --pool images -H", CST_EXIT_OK,
         "process 812 (qemu, domain 'web')\tmay write\t-\n"
         "job 3 (wipe) of process 42, user 0\t-\t3\n",
         "");
    says(state, "vol-holders alpha --pool images -H", CST_EXIT_OK, "", "");
}

static void problems_are_printed_on_stderr(void **state)
{
    fake_vols_add("other", "wreck", 0, 0)->problem = g_strdup("not a disk image");
    says(state, "vol-list other --details", CST_EXIT_OK,
         " Name    Path           Type      Capacity   Allocation\n"
         "---------------------------------------------------------\n"
         " gamma   /other/gamma   file      512.00 B   512.00 B\n"
         " wreck   /other/wreck   unknown   unknown    unknown\n\n",
         "warning: volume 'wreck': not a disk image\n");
}

/* One known size makes the other sizes known. */
static void known_sizes_of_a_volume_with_a_problem_are_shown(void **state)
{
    static const CstVolInfo known[] = {{.capacity = 512}, {.allocation = 512}, {.physical = 512}};
    FakeVol *vol = fake_vols_add("backup", "v", 0, 0);

    vol->problem = g_strdup("odd");
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
        g_autofree char *json = g_strdup_printf(
            "{\"schema\":1,\"volumes\":[{\"name\":\"v\",\"path\":\"/backup/v\","
            "\"key\":\"/backup/v\",\"type\":\"file\",\"capacity\":%d,\"allocation\":%d,"
            "\"allocation_estimated\":false,\"physical\":%s,\"format\":null,"
            "\"problem\":\"odd\"}]}\n",
            i == 0 ? 512 : 0, i == 1 ? 512 : 0, i == 2 ? "512" : "null");

        vol->info = known[i];
        says(state, "vol-list backup --details --json", CST_EXIT_OK, json, "");
    }
}

static void json_rows_have_fields_that_the_table_omits(void **state)
{
    FakeVol *b;

    fake_vols_add("backup", "a", 0, 0)->problem = g_strdup("broken");
    b = fake_vols_add("backup", "b", 512, 4096);
    b->format = g_strdup("qcow2");
    b->info.estimated = TRUE;
    says(state, "vol-list backup --details --json", CST_EXIT_OK,
         "{\"schema\":1,\"volumes\":["
         "{\"name\":\"a\",\"path\":\"/backup/a\",\"key\":\"/backup/a\",\"type\":null,"
         "\"capacity\":null,\"allocation\":null,\"allocation_estimated\":null,"
         "\"physical\":null,\"format\":null,"
         "\"problem\":\"broken\"},"
         "{\"name\":\"b\",\"path\":\"/backup/b\",\"key\":\"/backup/b\",\"type\":\"file\","
         "\"capacity\":512,\"allocation\":4096,\"allocation_estimated\":true,"
         "\"physical\":4096,\"format\":\"qcow2\","
         "\"problem\":null}]}\n",
         "");
}

#define VOL_TEST(function) cmocka_unit_test_setup_teardown(function, setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOL_TEST(lists_are_virshs),
        VOL_TEST(without_a_pool_all_are_listed),
        VOL_TEST(list_requests_only_the_needed_fields),
        VOL_TEST(holders_of_a_volume_are_shown),
        VOL_TEST(problems_are_printed_on_stderr),
        VOL_TEST(known_sizes_of_a_volume_with_a_problem_are_shown),
        VOL_TEST(json_rows_have_fields_that_the_table_omits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The persistent definition names a copy by its pool and volume. */
#include "block_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../await.h"

#define PIVOT  "virDomainBlockJobAbort PIVOT"
#define UPDATE "virDomainUpdateDeviceFlags"

static CstHypervisorVolume old_volume;

/* Sets the layers of the running domain, and those of its persistent definition. */
static void set_definitions(const char *chain, const char *config)
{
    live_set(pause_live, "chain", chain);
    live_set(pause_live, "config", config);
}

/* Both definitions name volume v of pool p. The copy is volume "copy" of pool n. */
static int block_name_setup(void **unused)
{
    g_autofree char *document = NULL;

    block_setup(unused);
    document = fake_at("device.xml");
    fake_add("[pool n]\ndirectory = %s\n[domain 1]\ndevice-xml = %s\n", fake_dir, document);
    old_volume = *block_request.volume;
    old_volume.pool = "p";
    old_volume.volume = "v";
    block_request.volume = &old_volume;
    block_request.pool = "n";
    block_request.pool_volume = "copy";
    set_definitions("p/v", "p/v");
    return 0;
}

/* An earlier copy has given the running disk a path. libvirt keeps the definition of a volume. */
static void disk_has_a_path(void)
{
    g_autofree char *path = fake_at("disk");

    set_definitions(path, "p/v");
}

static gboolean config_is(const char *expected)
{
    g_autofree char *found = live_get(pause_live, "config"), *path = fake_at(expected);

    return strcmp(found, expected[0] == '/' ? path : expected) == 0;
}

/* @config: "n/copy"; a path begins with "/". */
static void assert_definition(const char *config)
{
    if (!config_is(config)) {
        g_autofree char *found = live_get(pause_live, "config");

        fail_msg("the persistent definition has %s", found);
    }
}

/* Pivots, and ends the job. The pivot has succeeded. @reason: part of that of the result; NULL. */
static void pivot_and_check(CstHypervisorJob *job, gboolean persistent, gboolean named,
                            const char *reason)
{
    CstHypervisorPivotResult result;

    assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
    assert_int_equal(result.pivot, CST_HYPERVISOR_PIVOTED);
    assert_int_equal(result.persistent, persistent);
    assert_int_equal(result.named, named);
    if (reason ? !result.reason || !strstr(result.reason, reason) : result.reason != NULL)
        fail_msg("the reason is: %s", result.reason);
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOTED);
    await_block_closed();
    await_processes();
    assert_chain("copy");
}

static void assert_document_has(const char *text)
{
    g_autofree char *path = fake_at("device.xml"), *document = NULL;

    assert_true(g_file_get_contents(path, &document, NULL, NULL));
    if (!strstr(document, text))
        fail_msg("the document is: %s", document);
}

/* --- names ------------------------------------------------------------------------------------ */

static void definition_of_a_volume_names_the_copy(void **unused)
{
    pivot_and_check(block_begin_ready(), TRUE, TRUE, NULL);
    assert_definition("n/copy");
    assert_document_has("<disk type=\"volume\">");
    assert_int_equal(fake_calls("update vda 0x2"), 1); /* CONFIG */
}

/* libvirt changes neither its source nor its format. */
static void definition_that_libvirt_keeps_names_the_copy(void **unused)
{
    disk_has_a_path();
    block_request.destination_format = "raw";
    pivot_and_check(block_begin_ready(), TRUE, TRUE, NULL);
    assert_definition("n/copy");
    assert_document_has("type=\"raw\"");
}

/* The entry was removed, and is not written again: a later job would be aborted by a repair. */
static void pivot_of_another_program_names_the_copy(void **unused)
{
    g_autofree char *entry = g_build_filename(block_directory, PAUSE_UUID, NULL);
    CstHypervisorJob *job = block_begin_ready();

    live_block_end(pause_live, "C");
    AWAIT(config_is("n/copy"));
    assert_false(g_file_test(entry, G_FILE_TEST_EXISTS));
    pivot_and_check(job, TRUE, TRUE, NULL);
}

static void assert_not_changed(const char *config, gboolean persistent)
{
    pivot_and_check(block_begin_ready(), persistent, FALSE, NULL);
    assert_definition(config);
    assert_int_equal(fake_calls(UPDATE), 0);
}

static void definition_of_a_path_keeps_a_path(void **unused)
{
    block_set_chain("disk");
    assert_not_changed("/copy", TRUE);
}

static void request_without_names_leaves_the_path(void **unused)
{
    block_request.pool_volume = NULL;
    assert_not_changed("/copy", TRUE);
}

/* libvirt may know other pools by these names. */
static void definition_of_another_volume_is_kept(void **unused)
{
    g_autofree char *path = fake_at("disk");

    set_definitions(path, "q/v");
    assert_not_changed("q/v", FALSE);
    set_definitions(path, "p/w");
    assert_not_changed("p/w", FALSE);
}

static void transient_domain_has_no_name(void **unused)
{
    fake_add("transient = yes\n");
    block_request.transient = TRUE;
    pivot_and_check(block_begin_ready(), FALSE, FALSE, NULL);
    assert_int_equal(fake_calls(UPDATE), 0);
}

/* --- other programs --------------------------------------------------------------------------- */

/* Begins a copy whose pivot waits for a process that runs @func. */
static CstHypervisorJob *job_begin_waiting(void (*func)(void))
{
    fake_add("[calls]\n" PIVOT " = wait %s/go\n", fake_dir);
    if (fork() == 0) {
        AWAIT(fake_calls(PIVOT) > 0);
        func();
        fake_write_file("go", "");
        _exit(0);
    }
    return block_begin_ready();
}

static void definition_gets_another_image(void)
{
    live_block_end(pause_live, "C");
    live_set(pause_live, "config", "p/w");
}

static void definition_that_another_program_has_changed_is_kept(void **unused)
{
    pivot_and_check(job_begin_waiting(definition_gets_another_image), FALSE, FALSE,
                    "another program has changed its persistent definition");
    assert_definition("p/w");
    assert_int_equal(fake_calls(UPDATE), 0);
}

static void disk_gets_an_overlay(void)
{
    g_autofree char *chain = g_strdup_printf("%s/overlay;%s/copy", fake_dir, fake_dir);

    live_block_end(pause_live, "C");
    live_set(pause_live, "chain", chain);
}

/* The next start needs the overlay, and not the copy. */
static void definition_of_a_disk_with_an_overlay_is_kept(void **unused)
{
    CstHypervisorPivotResult result;
    CstHypervisorJob *job;

    disk_has_a_path();
    job = job_begin_waiting(disk_gets_an_overlay);
    assert_true(cst_hypervisor_job_pivot(job, &result, NULL));
    assert_false(result.persistent || result.named);
    assert_non_null(result.reason);
    assert_int_equal(cst_hypervisor_job_end(job), CST_HYPERVISOR_PIVOTED);
    assert_definition("p/v");
}

static void domain_pivots_and_ends(void)
{
    live_block_end(pause_live, "C");
    live_set_number(pause_live, "id", 8);
}

static void domain_that_has_ended_names_the_copy(void **unused)
{
    pivot_and_check(job_begin_waiting(domain_pivots_and_ends), TRUE, TRUE, NULL);
    assert_definition("n/copy");
}

/* --- failures --------------------------------------------------------------------------------- */

static void add_update(const char *prefix, const char *action)
{
    fake_add("[calls]\n%s" UPDATE " = %s\n", prefix, action);
}

/* A definition with the path works. One that libvirt has kept is not right. */
static void assert_update_fails(const char *reason)
{
    pivot_and_check(block_begin_ready(), TRUE, FALSE, reason);
    assert_definition("/copy");
    assert_int_equal(fake_calls(UPDATE), 1);
    disk_has_a_path();
    pivot_and_check(block_begin_ready(), FALSE, FALSE, reason);
    assert_definition("p/v");
    assert_int_equal(fake_calls(UPDATE), 2);
}

static void update_that_fails_is_reported(void **unused)
{
    add_update("", "fail 1 0 internal error: \\x1bbroken");
    assert_update_fails("libvirt failed: internal error:");
}

static void update_that_loses_the_connection_is_reported(void **unused)
{
    add_update("", "lose client socket is closed");
    assert_update_fails("the connection to libvirt was lost");
}

/* A repair reports the pivot, and makes no second attempt. */
static void update_that_hangs_is_reported(void **unused)
{
    hypervisor_block_limits[BLOCK_LIMIT_LOOK] = 3000;
    add_update("", "hang");
    assert_update_fails("libvirt did not answer");
}

static void update_without_an_answer_is_found(void **unused)
{
    static const char *const actions[] = {"lose client socket is closed", "hang"};
    g_autofree char *begin = g_strdup(fake_state->str);

    hypervisor_block_limits[BLOCK_LIMIT_LOOK] = 3000;
    for (guint i = 0; i < G_N_ELEMENTS(actions); i++) {
        set_definitions("p/v", "p/v");
        add_update("after ", actions[i]);
        pivot_and_check(block_begin_ready(), TRUE, TRUE, NULL);
        assert_definition("n/copy");
        g_string_assign(fake_state, begin);
    }
}

/* The fake has neither state nor a document of the domain after the call. */
static void definition_that_cannot_be_read_again_is_that_of_the_answer(void **unused)
{
    g_autofree char *empty = g_strdup_printf("1 live %s/empty", fake_dir);
    g_autofree char *document = fake_at("web1.xml");

    assert_int_equal(unlink(document), 0);
    add_update("after ", empty);
    pivot_and_check(block_begin_ready(), TRUE, TRUE, NULL);
    assert_definition("n/copy");
}

/* --- volumes that libvirt does not know ------------------------------------------------------- */

/* The next start of the domain would fail. */
static void assert_path_stays(const char *reason)
{
    set_definitions("p/v", "p/v");
    pivot_and_check(block_begin_ready(), TRUE, FALSE, reason);
    assert_definition("/copy");
    assert_int_equal(fake_calls(UPDATE), 0);
}

static void volume_of_an_unknown_pool_keeps_its_path(void **unused)
{
    block_request.pool = "m";
    assert_path_stays("does not know the volume by its pool and name: Storage pool not found");
}

/* libvirt's own storage driver has not refreshed the pool. */
static void volume_that_is_unknown_in_its_pool_keeps_its_path(void **unused)
{
    block_request.pool_volume = "new";
    assert_path_stays("does not know the volume by its pool and name: Storage volume not found");
}

/* libvirt has another pool of this name. */
static void volume_with_another_path_keeps_its_path(void **unused)
{
    g_autofree char *disk = fake_at("disk");

    fake_add("[pool n]\npath = %s\n", disk);
    assert_path_stays("does not know the volume by its pool and name: /");
    fake_add("path = %s/missing\n", fake_dir);
    assert_path_stays("does not know the volume by its pool and name: /");
}

/* Two paths of one file. */
static void volume_with_a_path_through_a_link_is_named(void **unused)
{
    g_autofree char *copy = fake_at("copy"), *link = fake_at("link");

    assert_int_equal(symlink(copy, link), 0);
    fake_add("[pool n]\npath = %s\n", link);
    pivot_and_check(block_begin_ready(), TRUE, TRUE, NULL);
    assert_definition("n/copy");
}

static const char *const lookups[] = {"virStoragePoolLookupByName", "virStorageVolLookupByName",
                                      "virStorageVolGetPath"};

static void assert_lookups_fail(const char *action, const char *reason)
{
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(lookups); i++) {
        fake_add("[calls]\n%s = %s\n", lookups[i], action);
        assert_path_stays(reason);
        g_string_assign(fake_state, begin);
    }
}

static void look_up_that_fails_leaves_the_path(void **unused)
{
    assert_lookups_fail("fail 3 0 not supported", "does not know the volume by its pool and name: "
                                                  "not supported");
    assert_lookups_fail("fail 55 0 storage pool 'n' is not active", "is not active");
    assert_lookups_fail("lose client socket is closed", "the connection to libvirt was lost");
}

static void look_up_that_hangs_leaves_the_path(void **unused)
{
    hypervisor_block_limits[BLOCK_LIMIT_LOOK] = 3000;
    assert_lookups_fail("hang", "libvirt did not answer");
}

/* --- repairs ---------------------------------------------------------------------------------- */

static void repair_that_answers_names_the_copy(void **unused)
{
    hypervisor_block_limits[BLOCK_LIMIT_SWITCH] = 500;
    fake_add("[calls]\nafter " PIVOT " = hang\n");
    pivot_and_check(block_begin_ready(), TRUE, TRUE, NULL);
    assert_definition("n/copy");
}

static void keeper_is_killed(void)
{
    kill_process(find_child(getppid(), HYPERVISOR_BLOCK));
    live_block_end(pause_live, "C");
}

/* libvirt pivots for a client that was killed. Nothing waits for the repair. */
static void repair_of_a_killed_keeper_names_the_copy(void **unused)
{
    CstHypervisorPivotResult result;
    CstHypervisorJob *job = job_begin_waiting(keeper_is_killed);

    assert_false(cst_hypervisor_job_pivot(job, &result, NULL));
    cst_hypervisor_job_end(job);
    await_block_closed();
    await_processes();
    assert_definition("n/copy");
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, block_name_setup, block_teardown)
    const struct CMUnitTest tests[] = {
        CASE(definition_of_a_volume_names_the_copy),
        CASE(definition_that_libvirt_keeps_names_the_copy),
        CASE(pivot_of_another_program_names_the_copy),
        CASE(definition_of_a_path_keeps_a_path),
        CASE(request_without_names_leaves_the_path),
        CASE(definition_of_another_volume_is_kept),
        CASE(transient_domain_has_no_name),
        CASE(definition_that_another_program_has_changed_is_kept),
        CASE(definition_of_a_disk_with_an_overlay_is_kept),
        CASE(domain_that_has_ended_names_the_copy),
        CASE(update_that_fails_is_reported),
        CASE(update_that_loses_the_connection_is_reported),
        CASE(update_that_hangs_is_reported),
        CASE(update_without_an_answer_is_found),
        CASE(definition_that_cannot_be_read_again_is_that_of_the_answer),
        CASE(volume_of_an_unknown_pool_keeps_its_path),
        CASE(volume_that_is_unknown_in_its_pool_keeps_its_path),
        CASE(volume_with_another_path_keeps_its_path),
        CASE(volume_with_a_path_through_a_link_is_named),
        CASE(look_up_that_fails_leaves_the_path),
        CASE(look_up_that_hangs_leaves_the_path),
        CASE(repair_that_answers_names_the_copy),
        CASE(repair_of_a_killed_keeper_names_the_copy),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

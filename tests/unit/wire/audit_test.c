/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The audit record of every procedure in the table. Each row is run once as it is in the table, but
 * with a handler of this test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/log.h>
#include <base/log_context.h>
#include <store/audit.h>

#include "fake_service.h"
#include "procedures.h"

/* Changing procedures without an object in their arguments: the object is in the result. */
static const char *const nameless[] = {
    "virStoragePoolCreateXML", "virStoragePoolDefineXML",     "virSecretDefineXML",
    "cisternLiveEnd",          "cisternScheduleCopiesForget", "cisternDoctorMute",
    "cisternNotifyTest",
};

/* WRITE procedures that are only queries, for any arguments. */
static const char *const reading[] = {
    "cisternAuditList",
    "cisternAuditVerify",
    "cisternCallCancel",
    "cisternCallDetach",
    "cisternCallRate",
    "cisternClientJobBegin",
    "cisternClientJobEnd",
    "cisternClientJobGroup",
    "cisternClientJobProgress",
    "cisternDoctorCheck",
    "cisternDomainList",
    "cisternPoolUsageSample",
    "cisternVolChanged",
    "cisternVolCompare",
    "cisternVolDigests",
    "cisternVolDomains",
    "cisternVolHolders",
    "cisternVolHoldersPage",
    "cisternVolMap",
    "cisternVolMeasure",
    "cisternVolSend",
    "virConnectFindStoragePoolSources",
    "virConnectGetDomainCapabilities",
    "virSecretGetValue",
    "virStorageVolDownload",
};

typedef struct {
    char *root;
    CstPaths *paths;
    uint64_t position; /* in the trail, after the records that were asserted */
} Fixture;

static CstProcedureIndex procedures;
static gboolean handler_works;

static gboolean handler_run(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return handler_works || cst_fail(error, CST_ERROR_NO_SPACE, "secret text of an error");
}

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    f->root = g_dir_make_tmp("cst-audit-XXXXXX", NULL);
    f->paths = cst_paths_new(f->root);
    fake.audit = cst_audit_new(f->paths, "/nonexistent/socket");
    handler_works = TRUE;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->root);
    int status = system(command);

    cst_audit_free(g_steal_pointer(&fake.audit));
    cst_paths_free(f->paths);
    g_free(f->root);
    g_free(f);
    return status;
}

/* Returns the records since the last call, joined by line breaks. The caller frees the text. */
static char *new_records(Fixture *f, guint *ret_count)
{
    g_autoptr(GPtrArray) lines = cst_audit_lines(f->paths, &f->position, 100, NULL);
    g_autoptr(GString) text = g_string_new(NULL);

    assert_non_null(lines);
    *ret_count = lines->len;
    for (guint i = 0; i < lines->len; i++)
        g_string_append_printf(text, "%s\n", (const char *)lines->pdata[i]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/*
 * Runs @row with @handler and arguments that are zero bytes, except the first @len ones, which are
 * @args.
 */
static gboolean run_handler(const CstProcedure *row, CstHandler handler, const void *args,
                            size_t len)
{
    uint64_t zeros[CST_API_STRUCT_MAX / sizeof(uint64_t)] = {0};
    uint64_t ret[CST_API_STRUCT_MAX / sizeof(uint64_t)] = {0};
    CstProcedure copy = *row;
    CstApiCall call = {.service = fake_service(), .procedure = &copy};

    copy.handler = handler;
    if (len > 0)
        memcpy(zeros, args, len);
    return cst_api_run(&call, zeros, ret, NULL);
}

static gboolean run_row(const CstProcedure *row, const void *args, size_t len)
{
    return run_handler(row, handler_run, args, len);
}

static gboolean is_in(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return TRUE;
    return FALSE;
}

static const CstProcedure *row_at(size_t i)
{
    const size_t remote = G_N_ELEMENTS(procedures.remote);

    return i < remote ? procedures.remote[i] : procedures.own[i - remote];
}

#define ROWS (G_N_ELEMENTS(procedures.remote) + G_N_ELEMENTS(procedures.own))

/* A check without repairs, and a query of the follow policy, have zero bytes as arguments. */
static gboolean reads_with_zeros(const CstProcedure *row)
{
    return strcmp(row->name, "cisternVolCheck") == 0 || strcmp(row->name, "cisternPoolFollow") == 0;
}

static void each_change_gives_one_record_and_no_query_does(void **state)
{
    Fixture *f = *state;
    guint changes = 0, queries = 0;

    for (size_t i = 0; i < ROWS; i++) {
        const CstProcedure *row = row_at(i);
        g_autofree char *records = NULL;
        g_autofree char *name = NULL;
        gboolean changing;
        guint count;

        if (!row)
            continue;
        changing = row->needs == CST_NEEDS_WRITE &&
                   !is_in(reading, G_N_ELEMENTS(reading), row->name) && !reads_with_zeros(row);
        handler_works = i % 2 == 0;
        assert_int_equal(run_row(row, NULL, 0), handler_works);
        records = new_records(f, &count);
        if (count != (changing ? 1 : 0))
            fail_msg("%s gives %u records", row->name, count);
        changes += changing;
        queries += !changing;
        if (!changing)
            continue;
        name = g_strdup_printf("\"procedure\":\"%s\"", row->name);
        assert_non_null(strstr(records, name));
        assert_non_null(
            strstr(records, handler_works ? "\"result\":\"done\"" : "\"result\":\"no-space\""));
        assert_non_null(strstr(records, "\"via\":\"embedded\""));
        assert_null(strstr(records, "secret text"));
    }
    assert_true(changes > 40);
    assert_true(queries > 100);
}

/* Runs @row with arguments that are zero bytes, except a list of objects, which has one element. */
static void run_row_with_object(const CstProcedure *row)
{
    wire_vol volume = {.pool = (char *)"p", .name = (char *)"v", .key = (char *)""};
    wire_uuid_args secret = {{1}};
    const wire_snapshot_set_args set = {.volumes = {1, &volume}};
    const wire_secret_seal_args seal = {.secrets = {1, &secret}};

    /* The arguments of some procedures begin with the arguments of a snapshot set. */
    if (row->args_func == (xdrproc_t)xdr_wire_snapshot_set_args ||
        row->args_func == (xdrproc_t)xdr_wire_snapshot_qmp_args ||
        row->args_func == (xdrproc_t)xdr_wire_live_create_args)
        run_row(row, &set, sizeof(set));
    else if (row->args_func == (xdrproc_t)xdr_wire_secret_seal_args)
        run_row(row, &seal, sizeof(seal));
    else
        run_row(row, NULL, 0);
}

static void each_record_names_its_object(void **state)
{
    for (size_t i = 0; i < ROWS; i++) {
        const CstProcedure *row = row_at(i);
        Fixture *f = *state;
        g_autofree char *records = NULL;
        gboolean has_object;
        guint count;

        if (!row || row->needs != CST_NEEDS_WRITE ||
            is_in(reading, G_N_ELEMENTS(reading), row->name) || reads_with_zeros(row))
            continue;
        handler_works = FALSE;
        run_row_with_object(row);
        records = new_records(f, &count);
        has_object = strstr(records, "\"objects\":[") != NULL;
        if (has_object == is_in(nameless, G_N_ELEMENTS(nameless), row->name))
            fail_msg("%s: %s", row->name, records);
    }
}

static void dry_runs_give_no_record(void **state)
{
    const CstProcedure *row = cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DELETE);
    g_autofree char *records = NULL;
    guint count;

    run_row(row, NULL, 0);
    cst_dry_run_set(TRUE);
    run_row(row, NULL, 0);
    cst_dry_run_set(FALSE);
    records = new_records(*state, &count);
    assert_int_equal(count, 1);
}

static void repairs_and_new_policies_are_changes(void **state)
{
    const wire_vol_flags_args check = {.flags = 1};
    char *policy = (char *)"pools";
    const wire_pool_follow_args follow = {.follow = &policy};
    guint count;
    g_autofree char *records = NULL;

    run_row(cst_api_find(WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_CHECK), &check, sizeof(check));
    run_row(cst_api_find(WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_CHECK_LIST), &check, sizeof(check));
    run_row(cst_api_find(WIRE_CISTERN_PROGRAM, WIRE_CISTERN_POOL_FOLLOW), &follow, sizeof(follow));
    records = new_records(*state, &count);
    assert_int_equal(count, 3);
}

static void records_have_the_client_and_the_declared_identity(void **state)
{
    const wire_vol_flags_args args = {
        .vol = {.pool = (char *)"images", .name = (char *)"a\"\n\xff\x1b[31m"}};
    CstApiIdentity *identity = cst_api_identity_new();
    CstLogContext context = {.connection = 3, .pid = getpid(), .uid = 12345};
    const CstProcedure *row = cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DELETE);
    CstProcedure copy = *row;
    CstApiCall call = {.service = fake_service(), .procedure = &copy, .identity = identity};
    g_autofree char *records = NULL;
    g_autofree char *pid = g_strdup_printf("\"pid\":%d,", (int)getpid());
    wire_void ret = {0};
    guint count;

    identity->user = g_strdup("alice");
    identity->sasl = g_strdup("alice@EXAMPLE");
    identity->tls = g_strdup("CN=alice");
    identity->has_uid = TRUE;
    identity->uid = 1000;
    copy.handler = handler_run;
    cst_log_push(&context);
    assert_true(cst_api_run(&call, &args, &ret, NULL));
    cst_log_pop(&context);
    cst_api_identity_unref(identity);
    records = new_records(*state, &count);
    assert_int_equal(count, 1);
    assert_non_null(strstr(records, "\"uid\":12345,"));
    assert_non_null(strstr(records, pid));
    assert_non_null(strstr(records, "\"program\":\"/"));
    assert_non_null(strstr(records, "\"via\":\"socket\""));
    assert_non_null(strstr(records, "\"for\":{\"user\":\"alice\",\"uid\":1000,"
                                    "\"sasl\":\"alice@EXAMPLE\",\"tls\":\"CN=alice\"}"));
    assert_non_null(strstr(records, "\"name\":\"a\\\"\\u000a\357\277\275\\u001b[31m\""));
    assert_true(g_utf8_validate(records, -1, NULL));
}

static void long_names_are_cut(void **state)
{
    g_autofree char *name = g_strnfill(1 << 20, '\x01');
    wire_vol volumes[40];
    wire_snapshot_set_args args = {.volumes = {G_N_ELEMENTS(volumes), volumes}, .name = name};
    g_autofree char *records = NULL;
    guint count;

    for (size_t i = 0; i < G_N_ELEMENTS(volumes); i++)
        volumes[i] = (wire_vol){.pool = name, .name = name, .key = name};
    run_row(cst_api_find(WIRE_CISTERN_PROGRAM, WIRE_CISTERN_SNAPSHOT_CREATE_SET), &args,
            sizeof(args));
    records = new_records(*state, &count);
    assert_int_equal(count, 1);
    assert_true(strlen(records) < 32768);
    assert_non_null(strstr(records, "\"further_objects\":32,"));
}

static void further_objects_are_counted(void **state)
{
    wire_vol volumes[40];
    wire_snapshot_set_args args = {.volumes = {G_N_ELEMENTS(volumes), volumes},
                                   .name = (char *)"s"};
    g_autofree char *records = NULL;
    guint count;

    for (size_t i = 0; i < G_N_ELEMENTS(volumes); i++)
        volumes[i] = (wire_vol){.pool = (char *)"p", .name = (char *)"v", .key = (char *)""};
    run_row(cst_api_find(WIRE_CISTERN_PROGRAM, WIRE_CISTERN_SNAPSHOT_CREATE_SET), &args,
            sizeof(args));
    records = new_records(*state, &count);
    assert_int_equal(count, 1);
    assert_non_null(strstr(records, "\"further_objects\":24,"));
}

static gboolean handler_restore(CstApiCall *call, const void *args, void *ret, GError **error)
{
    ((wire_vol_args *)ret)->vol =
        (wire_vol){.pool = (char *)"p", .name = (char *)"v", .key = (char *)"/p/v"};
    return TRUE;
}

static void restored_volume_is_an_object_after_its_pool(void **state)
{
    const wire_trash_restore_args args = {.pool = {.name = (char *)"p"}, .which = (char *)"w"};
    g_autofree char *records = NULL;
    const char *objects;
    guint count;

    run_handler(cst_api_find(WIRE_CISTERN_PROGRAM, WIRE_CISTERN_TRASH_RESTORE), handler_restore,
                &args, sizeof(args));
    records = new_records(*state, &count);
    assert_int_equal(count, 1);
    objects = strstr(records, "\"objects\":[");
    assert_non_null(objects);
    assert_true(g_str_has_prefix(objects, "\"objects\":[{\"type\":\"pool\",\"uuid\":"));
    assert_non_null(strstr(objects, "\"name\":\"p\"},{\"type\":\"volume\",\"pool\":\"p\","
                                    "\"name\":\"v\",\"key\":\"/p/v\"}]"));
}

/* Finds the source, as the handlers of create-from and convert do. */
static gboolean handler_fail_before_job(CstApiCall *call, const void *args, void *ret,
                                        GError **error)
{
    cst_log_set_volume("source");
    return cst_fail(error, CST_ERROR_NO_POOL, "the source has no pool");
}

static gboolean handler_fail_in_job(CstApiCall *call, const void *args, void *ret, GError **error)
{
    cst_log_set_volume("target");
    cst_log_set_in_job();
    return cst_fail(error, CST_ERROR_NO_SPACE, "the copy does not fit");
}

static void failed_copy_is_recorded_with_the_name_of_its_target_only(void **state)
{
    const wire_vol_create_from_args args = {
        .pool = {.name = (char *)"p"}, .source = {.pool = (char *)"p", .name = (char *)"source"}};
    const CstProcedure *row =
        cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_CREATE_XML_FROM);

    for (int in_job = 0; in_job < 2; in_job++) {
        CstLogContext context;
        g_autofree char *records = NULL;
        guint count;

        cst_log_context_init(&context);
        cst_log_push(&context);
        run_handler(row, in_job ? handler_fail_in_job : handler_fail_before_job, &args,
                    sizeof(args));
        cst_log_pop(&context);
        records = new_records(*state, &count);
        assert_int_equal(count, 1);
        assert_non_null(strstr(records, "\"source\":\"source\""));
        assert_null(strstr(records, "\"name\":\"source\""));
        assert_int_equal(strstr(records, "\"name\":\"target\"") != NULL, in_job);
    }
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_change_gives_one_record_and_no_query_does),
        CASE(each_record_names_its_object),
        CASE(dry_runs_give_no_record),
        CASE(repairs_and_new_policies_are_changes),
        CASE(records_have_the_client_and_the_declared_identity),
        CASE(long_names_are_cut),
        CASE(further_objects_are_counted),
        CASE(restored_volume_is_an_object_after_its_pool),
        CASE(failed_copy_is_recorded_with_the_name_of_its_target_only),
    };

    cst_log_init();
    dispatch_index(&procedures);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

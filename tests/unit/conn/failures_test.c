/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every call of a connection to a failing server. The server's error must reach the caller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <conn/chains.h>
#include <conn/domains.h>
#include <conn/secrets.h>
#include <conn/trash.h>
#include <conn/usage.h>

#include "transport.h"

/*
 * --- a transport over which every call fails ----------------------------------------------------
 */

typedef enum { KNOWS_ALL, KNOWS_LIBVIRTS, CANNOT_TELL } Knows;

static Knows knows;

static gboolean refuse(GError **error)
{
    return cst_fail(error, CST_ERROR_BUSY, "the server says no");
}

static void bad_close(gpointer self)
{
}

static gboolean bad_supports(gpointer self, int number, gboolean *ret_supported, GError **error)
{
    *ret_supported = knows == KNOWS_ALL;
    return knows != CANNOT_TELL || refuse(error);
}

static gboolean bad_call(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                         CstTask *task, GError **error)
{
    return refuse(error);
}

static gboolean bad_call_all(gpointer self, CstConnCall *calls, guint count, GError **error)
{
    return refuse(error);
}

static gpointer bad_stream_start(gpointer self, const CstProcedure *procedure, const void *args,
                                 void *ret, CstTask *task, GError **error)
{
    refuse(error);
    return NULL;
}

static gboolean bad_switch(gpointer self, gboolean on, GError **error)
{
    return refuse(error);
}

static gboolean bad_subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid,
                              CstConnEventFunc func, gpointer data, guint *ret_id, GError **error)
{
    return refuse(error);
}

static gboolean bad_unsubscribe(gpointer self, guint id, GError **error)
{
    return refuse(error);
}

static gboolean bad_wait(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                         GError **error)
{
    return refuse(error);
}

static const CstTransport bad_transport = {
    .close = bad_close,
    .supports = bad_supports,
    .call = bad_call,
    .call_all = bad_call_all,
    .stream_start = bad_stream_start,
    .set_detach = bad_switch,
    .set_dry_run = bad_switch,
    .subscribe = bad_subscribe,
    .unsubscribe = bad_unsubscribe,
    .wait_events = bad_wait,
};

/* --- the calls -------------------------------------------------------------------------------- */

static char name[] = "n";
static const CstPoolRef pool = {.name = name};
static const CstVolRef vol = {name, name, name};
static const CstConnSecret secret = {0};
static const CstUuid uuid = {{1}};
static CstConn *conn;

/* Where results would go. */
static union {
    gboolean flag;
    guint count;
    uint64_t number;
    CstPoolInfo pool;
    CstPoolHealth health;
    CstVolInfo vol;
    CstFollow follow;
    CstCheckReport check;
    CstCompareReport compare;
    CstMeasureReport measure;
    CstVolDigests digests;
    CstVolChanged changed;
    CstSnapshotSet set;
    CstForecast spaces[CST_USAGE_SPACE_LAST];
    CstPoolPromise promise;
    struct {
        CstChainLimits limits;
        guint left;
    } chains;
    CstConsolidation consolidation;
    char *text;
} result;
static GPtrArray names;
static const CstSnapshotRequest snapshot_request = {.name = "n"};
static const CstSnapshotRequest qmp_request = {.name = "n", .qmp = "/s"};
static CstSecretBytes value;

#define CALL(what, expression)                  \
    static gboolean call_##what(GError **error) \
    {                                           \
        return (expression) ? TRUE : FALSE;     \
    }
#define CALLS                                                                                     \
    X(hostname, cst_conn_hostname(conn, error))                                                   \
    X(type, cst_conn_type(conn, error))                                                           \
    X(uri, cst_conn_uri(conn, error))                                                             \
    X(lib_version, cst_conn_lib_version(conn, &result.number, error))                             \
    X(hv_version, cst_conn_hv_version(conn, &result.number, error))                               \
    X(capabilities, cst_conn_capabilities(conn, error))                                           \
    X(set_dry_run, cst_conn_set_dry_run(conn, TRUE, error))                                       \
    X(set_detach, cst_conn_set_detach(conn, TRUE, error))                                         \
    X(pool_list, cst_conn_pool_list(conn, 0, error))                                              \
    X(pool_by_name, cst_conn_pool_by_name(conn, name, error))                                     \
    X(pool_by_uuid, cst_conn_pool_by_uuid(conn, &uuid, error))                                    \
    X(pool_by_target, cst_conn_pool_by_target(conn, "/n", error))                                 \
    X(pool_define, cst_conn_pool_define(conn, "<pool/>", 0, error))                               \
    X(pool_create, cst_conn_pool_create(conn, "<pool/>", 0, error))                               \
    X(pool_undefine, cst_conn_pool_undefine(conn, &pool, error))                                  \
    X(pool_build, cst_conn_pool_build(conn, &pool, 0, error))                                     \
    X(pool_start, cst_conn_pool_start(conn, &pool, 0, error))                                     \
    X(pool_stop, cst_conn_pool_stop(conn, &pool, error))                                          \
    X(pool_delete, cst_conn_pool_delete(conn, &pool, 0, error))                                   \
    X(pool_refresh, cst_conn_pool_refresh(conn, &pool, 0, error))                                 \
    X(pool_set_autostart, cst_conn_pool_set_autostart(conn, &pool, TRUE, error))                  \
    X(pool_get_autostart, cst_conn_pool_get_autostart(conn, &pool, &result.flag, error))          \
    X(pool_is_active, cst_conn_pool_is_active(conn, &pool, &result.flag, error))                  \
    X(pool_is_persistent, cst_conn_pool_is_persistent(conn, &pool, &result.flag, error))          \
    X(pool_info, cst_conn_pool_info(conn, &pool, &result.pool, error))                            \
    X(pool_thin, cst_conn_pool_thin(conn, &pool, error))                                          \
    X(pool_health, cst_conn_pool_health(conn, &pool, &result.health, error))                      \
    X(pool_usage, cst_conn_pool_usage(conn, &pool, CST_USAGE_DAILY, 0, error))                    \
    X(pool_usage_forecast, cst_conn_pool_usage_forecast(conn, &pool, result.spaces, error))       \
    X(pool_growths, cst_conn_pool_growths(conn, &pool, &result.text, error))                      \
    X(pool_chains,                                                                                \
      cst_conn_pool_chains(conn, &pool, &result.chains.limits, &result.chains.left, error))       \
    X(pool_usage_sample, cst_conn_pool_usage_sample(conn, &result.count, error))                  \
    X(pool_promise, cst_conn_pool_promise(conn, &pool, &result.promise, error))                   \
    X(pool_xml, cst_conn_pool_xml(conn, &pool, 0, error))                                         \
    X(pool_count_volumes, cst_conn_pool_count_volumes(conn, &pool, &result.count, error))         \
    X(pool_follow, cst_conn_pool_follow(conn, &pool, NULL, &result.follow, error))                \
    X(find_sources, cst_conn_find_sources(conn, "dir", NULL, error))                              \
    X(pool_capabilities, cst_conn_pool_capabilities(conn, error))                                 \
    X(vol_list, cst_conn_vol_list(conn, &pool, FALSE, error))                                     \
    X(vol_details, cst_conn_vol_list(conn, &pool, TRUE, error))                                   \
    X(vol_by_name, cst_conn_vol_by_name(conn, &pool, name, error))                                \
    X(vol_by_key, cst_conn_vol_by_key(conn, name, error))                                         \
    X(vol_by_path, cst_conn_vol_by_path(conn, "/n", error))                                       \
    X(pool_of_vol, cst_conn_pool_of_vol(conn, &vol, error))                                       \
    X(vol_path, cst_conn_vol_path(conn, &vol, error))                                             \
    X(vol_xml, cst_conn_vol_xml(conn, &vol, 0, error))                                            \
    X(vol_info, cst_conn_vol_info(conn, &vol, FALSE, &result.vol, error))                         \
    X(vol_physical, cst_conn_vol_info(conn, &vol, TRUE, &result.vol, error))                      \
    X(vol_create, cst_conn_vol_create(conn, &pool, "<volume/>", 0, NULL, error))                  \
    X(vol_create_from, cst_conn_vol_create_from(conn, &pool, "<volume/>", &vol, 0, NULL, error))  \
    X(vol_delete, cst_conn_vol_delete(conn, &vol, 0, NULL, error))                                \
    X(vol_wipe, cst_conn_vol_wipe(conn, &vol, 0, NULL, error))                                    \
    X(vol_resize, cst_conn_vol_resize(conn, &vol, 1, 0, NULL, error))                             \
    X(vol_resize_qmp, cst_conn_vol_resize_qmp(conn, &vol, 1, 0, "/s", NULL, error))               \
    X(vol_move, cst_conn_vol_move(conn, &vol, &pool, &(CstVolMove){0}, NULL, error))              \
    X(vol_upload, cst_conn_vol_upload(conn, &vol, STDERR_FILENO, 0, 1, 0, NULL, error))           \
    X(vol_download, cst_conn_vol_download(conn, &vol, STDERR_FILENO, 0, 1, 0, NULL, error))       \
    X(vol_send, cst_conn_vol_send(conn, &vol, &(CstVolSend){0}, NULL, NULL, error))               \
    X(vol_receive, cst_conn_vol_receive(conn, &pool, "<volume/>", 0, NULL, error))                \
    X(vol_digests,                                                                                \
      cst_conn_vol_digests(conn, &vol, &(CstVolSend){0}, 65536, NULL, &result.digests, error))    \
    X(vol_patch, cst_conn_vol_patch(conn, &vol, 0, NULL, error))                                  \
    X(vol_chain, cst_conn_vol_chain(conn, &vol, error))                                           \
    X(vol_holders, cst_conn_vol_holders(conn, &vol, error))                                       \
    X(vol_domains, cst_conn_vol_domains(conn, &vol, error))                                       \
    X(domains, cst_conn_domains(conn, "web", error))                                              \
    X(vol_check, cst_conn_vol_check(conn, &vol, 0, NULL, &result.check, error))                   \
    X(vol_flatten, cst_conn_vol_flatten(conn, &vol, NULL, error))                                 \
    X(vol_consolidate, cst_conn_vol_consolidate(conn, &vol, &(CstVolConsolidate){0}, FALSE, NULL, \
                                                &result.consolidation, error))                    \
    X(vol_commit, cst_conn_vol_commit(conn, &vol, NULL, 0, NULL, error))                          \
    X(vol_sparsify, cst_conn_vol_sparsify(conn, &vol, NULL, &result.number, error))               \
    X(vol_convert,                                                                                \
      cst_conn_vol_convert(conn, &pool, &vol, &(CstVolConvert){.name = name, .format = "raw"},    \
                           NULL, error))                                                          \
    X(vol_rebase, cst_conn_vol_rebase(conn, &vol, &(CstVolRebase){0}, NULL, error))               \
    X(vol_declare, cst_conn_vol_declare(conn, &vol, &(CstVolDeclare){0}, NULL, error))            \
    X(vol_problems, cst_conn_vol_problems(conn, &vol, error))                                     \
    X(vol_compare, cst_conn_vol_compare(conn, &vol, &vol, NULL, &result.compare, error))          \
    X(vol_measure, cst_conn_vol_measure(conn, &vol, "raw", NULL, NULL, &result.measure, error))   \
    X(vol_map, cst_conn_vol_map(conn, &vol, 0, 0, NULL, error))                                   \
    X(job_list, cst_conn_job_list(conn, TRUE, error))                                             \
    X(job_info, cst_conn_job_info(conn, 1, error))                                                \
    X(job_cancel, cst_conn_job_cancel(conn, 1, error))                                            \
    X(job_set_limit, cst_conn_job_set_limit(conn, 1, 1, error))                                   \
    X(job_wait, cst_conn_job_wait(conn, 1, 0, NULL, error))                                       \
    X(snapshot_list, cst_conn_snapshot_list(conn, &vol, error))                                   \
    X(snapshot_create, cst_conn_snapshot_create(conn, &vol, name, 0, NULL, error))                \
    X(live_end, cst_conn_live_end(conn, name, error))                                             \
    X(snapshot_set,                                                                               \
      cst_conn_snapshot_create_set(conn, &names, &snapshot_request, NULL, &result.set, error))    \
    X(snapshot_qmp,                                                                               \
      cst_conn_snapshot_create_set(conn, &names, &qmp_request, NULL, &result.set, error))         \
    X(snapshot_lost, cst_conn_snapshot_revert_loses(conn, &vol, name, error))                     \
    X(snapshot_revert, cst_conn_snapshot_revert(conn, &vol, name, NULL, NULL, error))             \
    X(snapshot_delete, cst_conn_snapshot_delete(conn, &vol, name, NULL, error))                   \
    X(snapshot_rename, cst_conn_snapshot_rename(conn, &vol, name, name, error))                   \
    X(snapshot_clone, cst_conn_snapshot_clone(conn, &vol, name, name, NULL, error))               \
    X(vol_changed,                                                                                \
      cst_conn_vol_changed(conn, &vol, name, NULL, NULL, NULL, NULL, &result.changed, error))     \
    X(secret_list, cst_conn_secret_list(conn, 0, error))                                          \
    X(secret_by_uuid, cst_conn_secret_by_uuid(conn, &uuid, error))                                \
    X(secret_by_usage, cst_conn_secret_by_usage(conn, 1, name, error))                            \
    X(secret_define, cst_conn_secret_define(conn, "<secret/>", 0, error))                         \
    X(secret_undefine, cst_conn_secret_undefine(conn, &secret, error))                            \
    X(secret_xml, cst_conn_secret_xml(conn, &secret, error))                                      \
    X(secret_set_value, cst_conn_secret_set_value(conn, &secret, uuid.bytes, 1, error))           \
    X(secret_get_value, cst_conn_secret_get_value(conn, &secret, &value, error))                  \
    X(secret_use_value, cst_conn_secret_use_value(conn, &secret, &value, error))                  \
    X(secrets_seal, cst_conn_secrets_seal(conn, NULL, 1, &result.count, error))                   \
    X(secret_rotate,                                                                              \
      cst_conn_secret_rotate(conn, &secret, &(CstConnRotate){.value = &value}, NULL, error))      \
    X(secrets_unseal, cst_conn_secrets_unseal(conn, NULL, 1, &result.count, error))               \
    X(secret_uses, cst_conn_secret_uses(conn, error))                                             \
    X(subscribe, cst_conn_subscribe(conn, 0, NULL, NULL, NULL, &result.count, error))             \
    X(unsubscribe, cst_conn_unsubscribe(conn, 1, error))                                          \
    X(wait_events, cst_conn_wait_events(conn, 0, -1, &result.count, error))

#define X(what, expression) CALL(what, expression)
CALLS
#undef X

static const struct {
    const char *name;
    gboolean (*call)(GError **error);
} calls[] = {
#define X(what, expression) {#what, call_##what},
    CALLS
#undef X
};

/* --- tests ------------------------------------------------------------------------------------ */

static void failures_reach_the_caller(Knows what)
{
    knows = what;
    conn = cst_conn_new(&bad_transport, NULL, NULL, FALSE);
    for (gsize i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        if (calls[i].call(&error) || !error)
            fail_msg("%s succeeds", calls[i].name);
        /* Or that the server does not know the call. */
        else if (what != KNOWS_LIBVIRTS && !g_error_matches(error, CST_ERROR, CST_ERROR_BUSY))
            fail_msg("%s: %s", calls[i].name, error->message);
    }
    g_clear_pointer(&conn, cst_conn_free);
}

static void of_a_server_that_knows_every_call(void **state)
{
    failures_reach_the_caller(KNOWS_ALL);
}

static void of_an_older_server(void **state)
{
    failures_reach_the_caller(KNOWS_LIBVIRTS);
}

static void failure_reaches_the_caller_if_the_features_are_unknown(void **state)
{
    failures_reach_the_caller(CANNOT_TELL);
}

/* Answers the query of the pool's document only. */
static gboolean xml_call(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                         CstTask *task, GError **error)
{
    ((wire_text *)ret)->value = strdup("<pool type='dir'><name>n</name>"
                                       "<target><path>/n</path></target></pool>");
    return TRUE;
}

static void list_whose_connection_fails_before_the_replies_fails(void **state)
{
    CstTransport transport = bad_transport;
    CstVolRow row = {.name = name, .key = name};
    g_autoptr(GPtrArray) rows = g_ptr_array_new();
    g_autoptr(GError) error = NULL;

    transport.call = xml_call;
    knows = KNOWS_LIBVIRTS;
    conn = cst_conn_new(&transport, NULL, NULL, FALSE);
    g_ptr_array_add(rows, &row);
    assert_null(cst_conn_vol_list_more(conn, &pool, rows, CST_VOL_MORE_BACKING, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY));
    g_clear_pointer(&conn, cst_conn_free);
}

/* A server that answers pages with @page_rows rows, and fails for one procedure. */
static int failing_procedure;
static guint page_rows;

static gboolean page_call(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                          CstTask *task, GError **error)
{
    if (procedure->number == failing_procedure)
        return refuse(error);
    if (procedure->number == WIRE_CISTERN_VOL_HOLDERS_PAGE) {
        wire_vol_holders_page_ret *page = ret;

        page->rows.rows_val = calloc(page_rows, sizeof(*page->rows.rows_val));
        page->rows.rows_len = page_rows;
    } else {
        wire_vol_properties_page_ret *page = ret;

        page->rows.rows_val = calloc(page_rows, sizeof(*page->rows.rows_val));
        page->rows.rows_len = page_rows;
    }
    return TRUE;
}

/* Lists two volumes. Returns the code of the error; 0: success. */
static int list_more_code(unsigned wants)
{
    CstVolRow row = {.name = name, .key = name};
    g_autoptr(GPtrArray) rows = g_ptr_array_new(), more = NULL;
    g_autoptr(GError) error = NULL;

    g_ptr_array_add(rows, &row);
    g_ptr_array_add(rows, &row);
    more = cst_conn_vol_list_more(conn, &pool, rows, wants, &error);
    assert_int_equal(more == NULL, error != NULL);
    return error ? error->code : 0;
}

static void failed_page_fails_the_list_with_its_reason(void **state)
{
    const unsigned all = CST_VOL_MORE_BACKING | CST_VOL_MORE_SNAPSHOTS | CST_VOL_MORE_HOLDERS;
    CstTransport transport = bad_transport;

    transport.call = page_call;
    knows = KNOWS_ALL;
    conn = cst_conn_new(&transport, NULL, NULL, FALSE);
    page_rows = 2;
    failing_procedure = 0;
    assert_int_equal(list_more_code(all), 0);
    failing_procedure = WIRE_CISTERN_VOL_HOLDERS_PAGE;
    assert_int_equal(list_more_code(all), CST_ERROR_BUSY);
    assert_int_equal(list_more_code(CST_VOL_MORE_BACKING), 0);
    failing_procedure = WIRE_CISTERN_VOL_PROPERTIES_PAGE;
    assert_int_equal(list_more_code(CST_VOL_MORE_SNAPSHOTS), CST_ERROR_BUSY);
    assert_int_equal(list_more_code(CST_VOL_MORE_HOLDERS), 0);
    g_clear_pointer(&conn, cst_conn_free);
}

static void page_with_another_number_of_rows_is_refused(void **state)
{
    CstTransport transport = bad_transport;

    transport.call = page_call;
    knows = KNOWS_ALL;
    conn = cst_conn_new(&transport, NULL, NULL, FALSE);
    failing_procedure = 0;
    for (page_rows = 1; page_rows <= 3; page_rows += 2) {
        assert_int_equal(list_more_code(CST_VOL_MORE_BACKING), CST_ERROR_RPC);
        assert_int_equal(list_more_code(CST_VOL_MORE_HOLDERS), CST_ERROR_RPC);
    }
    g_clear_pointer(&conn, cst_conn_free);
}

/* A server that knows one number for each volume: the number in its name. */
static guint page_calls;

static gboolean numbers_call(gpointer self, const CstProcedure *procedure, const void *args,
                             void *ret, CstTask *task, GError **error)
{
    const wire_vol_properties_args *asked = args;
    wire_vol_properties_page_ret *page = ret;

    assert_int_equal(procedure->number, WIRE_CISTERN_VOL_PROPERTIES_PAGE);
    assert_in_range(asked->names.names_len, 1, WIRE_PAGE_MAX);
    assert_int_equal((asked->flags & WIRE_PROPERTIES_RESCAN) != 0, page_calls == 0);
    page_calls++;
    page->rows.rows_len = asked->names.names_len;
    page->rows.rows_val = calloc(page->rows.rows_len, sizeof(*page->rows.rows_val));
    for (guint i = 0; i < page->rows.rows_len; i++)
        page->rows.rows_val[i].snapshots = atoi(asked->names.names_val[i]);
    return TRUE;
}

static void row_free(gpointer row)
{
    g_free(((CstVolRow *)row)->name);
    g_free(row);
}

/* Lists volumes whose names are numbers of @digits digits. Returns the number of calls. */
static guint list_numbers(guint count, int digits)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free), more = NULL;

    for (guint i = 0; i < count; i++) {
        CstVolRow *row = g_new0(CstVolRow, 1);

        row->name = g_strdup_printf("%0*u", digits, i);
        g_ptr_array_add(rows, row);
    }
    page_calls = 0;
    more = cst_conn_vol_list_more(conn, &pool, rows, CST_VOL_MORE_SNAPSHOTS, NULL);
    assert_non_null(more);
    assert_int_equal(more->len, count);
    for (guint i = 0; i < count; i++)
        assert_int_equal(((const CstVolMore *)more->pdata[i])->snapshots, i);
    return page_calls;
}

static void list_is_divided_into_pages_without_gap(void **state)
{
    CstTransport transport = bad_transport;

    transport.call = numbers_call;
    knows = KNOWS_ALL;
    conn = cst_conn_new(&transport, NULL, NULL, FALSE);
    assert_int_equal(list_numbers(0, 1), 0);
    assert_int_equal(list_numbers(WIRE_PAGE_MAX, 1), 1);
    assert_int_equal(list_numbers(WIRE_PAGE_MAX + 1, 1), 2);
    assert_int_equal(list_numbers(2 * WIRE_PAGE_MAX + 1, 1), 3);
    /* Names of 256 bytes with their overhead: 1024 of them fill a page of 256 KiB. */
    assert_int_equal(list_numbers(2047, 248), 2);
    assert_int_equal(list_numbers(2049, 248), 3);
    g_clear_pointer(&conn, cst_conn_free);
}

/*
 * A server with a page of one deleted volume for each letter of @trash_letters. The last letter has
 * no next page.
 */
static const char *trash_letters;

static gboolean trash_call(gpointer self, const CstProcedure *procedure, const void *args,
                           void *ret_data, CstTask *task, GError **error)
{
    const wire_trash_page_args *asked = args;
    wire_trash_page_ret *ret = ret_data;
    char letter = trash_letters[page_calls++];

    assert_int_equal(procedure->number, WIRE_CISTERN_TRASH_LIST_PAGE);
    assert_true(page_calls == 1 ? !asked->after
                                : (*asked->after)[0] == trash_letters[page_calls - 2]);
    ret->rows.rows_val = calloc(1, sizeof(*ret->rows.rows_val));
    ret->rows.rows_len = 1;
    ret->rows.rows_val[0] = (wire_trash_row){.id = strdup("id"),
                                             .name = strdup("v"),
                                             .hidden = g_strdup_printf("%c", letter),
                                             .deleted = 'z' - letter};
    if (trash_letters[page_calls]) {
        ret->next = calloc(1, sizeof(*ret->next));
        *ret->next = g_strdup_printf("%c", letter);
    }
    return TRUE;
}

static GPtrArray *list_trash_pages(const char *letters, GError **error)
{
    CstTransport transport = bad_transport;
    GPtrArray *rows;

    transport.call = trash_call;
    knows = KNOWS_ALL;
    trash_letters = letters;
    page_calls = 0;
    conn = cst_conn_new(&transport, NULL, NULL, FALSE);
    rows = cst_conn_trash_list(conn, &pool, error);
    g_clear_pointer(&conn, cst_conn_free);
    return rows;
}

static void pages_of_the_trash_are_joined_the_oldest_first(void **state)
{
    g_autoptr(GPtrArray) rows = list_trash_pages("abc", NULL);

    assert_non_null(rows);
    assert_int_equal(page_calls, 3);
    assert_int_equal(rows->len, 3);
    for (guint i = 0; i < 3; i++)
        assert_int_equal(((const CstTrashRow *)rows->pdata[i])->hidden[0], 'c' - i);
}

static void repeated_page_of_the_trash_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(list_trash_pages("abbbbbbbbb", &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_RPC));
    assert_int_equal(page_calls, 3);
}

/* The first page would scan the pool. */
static void list_of_holders_is_refused_read_only_before_the_first_call(void **state)
{
    CstTransport transport = bad_transport;

    transport.call = numbers_call;
    knows = KNOWS_ALL;
    conn = cst_conn_new(&transport, NULL, NULL, TRUE);
    page_calls = 0;
    assert_int_equal(list_more_code(CST_VOL_MORE_SNAPSHOTS | CST_VOL_MORE_HOLDERS),
                     CST_ERROR_READ_ONLY);
    assert_int_equal(page_calls, 0);
    knows = CANNOT_TELL;
    assert_int_equal(list_more_code(0), 0);
    g_clear_pointer(&conn, cst_conn_free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_server_that_knows_every_call),
        cmocka_unit_test(of_an_older_server),
        cmocka_unit_test(pages_of_the_trash_are_joined_the_oldest_first),
        cmocka_unit_test(repeated_page_of_the_trash_is_refused),
        cmocka_unit_test(failure_reaches_the_caller_if_the_features_are_unknown),
        cmocka_unit_test(list_whose_connection_fails_before_the_replies_fails),
        cmocka_unit_test(failed_page_fails_the_list_with_its_reason),
        cmocka_unit_test(page_with_another_number_of_rows_is_refused),
        cmocka_unit_test(list_is_divided_into_pages_without_gap),
        cmocka_unit_test(list_of_holders_is_refused_read_only_before_the_first_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

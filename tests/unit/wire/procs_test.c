/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each call to the storage. It succeeds while the storage works, returns the error of the storage,
 * and reports an unknown pool.
 *
 * The table has the first arguments of a call. The rest are zeros, which decode as empty strings,
 * absent options and no flags.
 */
#include "probe.h"

enum { NO_POOL = 49, SYSTEM_ERROR = 38 };

typedef enum { NOTHING, POOL, VOL, VOLS, VOL_LIST } First;

static const struct {
    First first;
    uint32_t program;
    int procedure;
} rows[] = {
#define REMOTE(first, name)                          \
    {                                                \
        first, WIRE_REMOTE_PROGRAM, WIRE_PROC_##name \
    }
#define OWN(first, name)                                 \
    {                                                    \
        first, WIRE_CISTERN_PROGRAM, WIRE_CISTERN_##name \
    }
    REMOTE(NOTHING, CONNECT_NUM_OF_STORAGE_POOLS),
    REMOTE(NOTHING, CONNECT_LIST_STORAGE_POOLS),
    REMOTE(NOTHING, CONNECT_NUM_OF_DEFINED_STORAGE_POOLS),
    REMOTE(NOTHING, CONNECT_LIST_DEFINED_STORAGE_POOLS),
    REMOTE(NOTHING, CONNECT_LIST_ALL_STORAGE_POOLS),
    REMOTE(NOTHING, CONNECT_NUM_OF_SECRETS),
    REMOTE(NOTHING, CONNECT_LIST_SECRETS),
    REMOTE(NOTHING, CONNECT_LIST_ALL_SECRETS),
    REMOTE(POOL, STORAGE_POOL_NUM_OF_VOLUMES),
    REMOTE(POOL, STORAGE_POOL_LIST_VOLUMES),
    REMOTE(POOL, STORAGE_POOL_LIST_ALL_VOLUMES),
    REMOTE(POOL, STORAGE_POOL_CREATE),
    REMOTE(POOL, STORAGE_POOL_DESTROY),
    REMOTE(POOL, STORAGE_POOL_DELETE),
    REMOTE(POOL, STORAGE_POOL_UNDEFINE),
    REMOTE(POOL, STORAGE_POOL_SET_AUTOSTART),
    REMOTE(VOL, STORAGE_VOL_DELETE),
    REMOTE(VOL, STORAGE_VOL_RESIZE),
    OWN(POOL, VOL_LIST_PAGE),
    OWN(POOL, POOL_THIN),
    OWN(POOL, POOL_ROOM),
    OWN(POOL, POOL_HEALTH),
    OWN(POOL, POOL_PROMISE),
    OWN(POOL, POOL_CHAINS),
    OWN(POOL, POOL_FOLLOW),
    OWN(VOL, VOL_CHAIN),
    OWN(VOL, VOL_HOLDERS),
    OWN(POOL, VOL_HOLDERS_PAGE),
    OWN(POOL, VOL_PROPERTIES_PAGE),
    OWN(VOL, VOL_DOMAINS),
    OWN(VOL, VOL_CHECK),
    OWN(VOL, VOL_CHECK_LIST),
    OWN(VOL, VOL_FLATTEN),
    OWN(VOL, VOL_COMMIT),
    OWN(VOL, VOL_CONSOLIDATE),
    OWN(VOL, VOL_SPARSIFY),
    OWN(VOL, VOL_REBASE),
    OWN(VOL, VOL_DECLARE),
    OWN(VOL, VOL_PROBLEMS),
    OWN(VOLS, VOL_COMPARE),
    OWN(VOL, VOL_MEASURE),
    OWN(VOL, VOL_MAP),
    OWN(VOL, VOL_BITMAP),
    OWN(VOL, VOL_SERVE),
    OWN(VOL, VOL_RESIZE_QMP),
    OWN(VOL, VOL_PROTECT),
    OWN(POOL, POOL_PROTECTED),
    OWN(VOL, VOL_RENAME),
    OWN(VOL, VOL_TAG),
    OWN(POOL, TAG_LIST),
    OWN(POOL, TRASH_LIST),
    OWN(POOL, TRASH_LIST_PAGE),
    OWN(POOL, TRASH_TOTALS),
    OWN(POOL, TRASH_RESTORE),
    OWN(POOL, TRASH_EMPTY),
    OWN(VOL, SNAPSHOT_LIST),
    OWN(VOL, SNAPSHOT_LOST),
    OWN(VOL, SNAPSHOT_CREATE),
    OWN(VOL_LIST, SNAPSHOT_CREATE_SET),
    OWN(VOL_LIST, SNAPSHOT_CREATE_QMP),
    OWN(VOL_LIST, LIVE_CREATE),
    OWN(VOL, SNAPSHOT_REVERT),
    OWN(VOL, SNAPSHOT_DELETE),
    OWN(VOL, SNAPSHOT_RENAME),
    OWN(VOL, SNAPSHOT_CLONE),
    OWN(VOL, VOL_CHANGED),
};

static void append(GByteArray *payload, xdrproc_t func, const void *args)
{
    static const CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM};
    g_autoptr(GByteArray) packet = g_byte_array_new();

    assert_true(cst_wire_append(packet, &header, func, args, NULL));
    g_byte_array_append(payload, packet->data + CST_WIRE_HEADER_LEN,
                        packet->len - CST_WIRE_HEADER_LEN);
}

/* Returns the reply to the call of row @i about @pool (NULL: an unknown pool). */
static Packet ask(Probe *probe, size_t i, const char *pool)
{
    static const uint8_t zeros[256];
    g_autoptr(GByteArray) payload = g_byte_array_new(), packet = g_byte_array_new();
    wire_pool first = {.name = (char *)"nobody"};
    u_int one = 1;
    wire_vol vol = {(char *)(pool ? pool : "nobody"), (char *)"vol00000", (char *)""};
    CstWireHeader header = {.program = rows[i].program,
                            .version = WIRE_VERSION,
                            .procedure = rows[i].procedure,
                            .type = WIRE_CALL,
                            .serial = ++probe->serial};

    if (pool)
        first = probe_pool(pool);
    if (rows[i].first == POOL)
        append(payload, XDR_OF(pool), &first);
    if (rows[i].first == VOL_LIST)
        append(payload, (xdrproc_t)xdr_u_int, &one);
    if (rows[i].first >= VOL)
        append(payload, XDR_OF(vol), &vol);
    if (rows[i].first == VOLS)
        append(payload, XDR_OF(vol), &vol);
    g_byte_array_append(payload, zeros, sizeof(zeros));
    cst_wire_append_raw(packet, &header, payload->data, payload->len);
    probe_write(probe, packet->data, packet->len);
    return probe_reply(probe);
}

static void assert_fails(Packet *packet, size_t i, int code, const char *words)
{
    g_autofree char *text = NULL;

    if (packet->header.status != WIRE_ERROR)
        fail_msg("procedure %d of %x succeeds", rows[i].procedure, rows[i].program);
    text = packet_error(packet, code);
    if (!strstr(text, words))
        fail_msg("procedure %d of %x: %s", rows[i].procedure, rows[i].program, text);
    packet_free(packet);
}

static void error_of_the_storage_is_returned(void **state)
{
    Probe probe = probe_open(*state, FALSE);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Packet packet = ask(&probe, i, "images");

        if (packet.header.status != WIRE_OK)
            fail_msg("procedure %d of %x fails", rows[i].procedure, rows[i].program);
        packet_free(&packet);
        fake_hold(&fake.broken, TRUE);
        packet = ask(&probe, i, "images");
        assert_fails(&packet, i, SYSTEM_ERROR, "the disk is gone");
        fake_hold(&fake.broken, FALSE);
        if (rows[i].first == NOTHING)
            continue;
        packet = ask(&probe, i, NULL);
        assert_fails(&packet, i, NO_POOL, rows[i].first == POOL ? "(nobody)" : "'nobody'");
    }
    probe_close(&probe);
}

/* --- arguments -------------------------------------------------------------------------------- */

static int call_own(Probe *probe, int procedure, xdrproc_t func, const void *args,
                    xdrproc_t ret_func, void *ret)
{
    Packet packet;
    int status;

    probe_send(probe, WIRE_CISTERN_PROGRAM, procedure, func, args);
    packet = probe_reply(probe);
    status = (int)packet.header.status;
    if (status == WIRE_OK && ret_func)
        assert_true(cst_wire_payload_decode(packet.bytes, packet.len, ret_func, ret, NULL));
    packet_free(&packet);
    return status;
}

static void references_are_followed_by_known_words_only(void **state)
{
    static const struct {
        const char *word;
        int status;
    } words[] = {
        {"pools", WIRE_OK}, {"none", WIRE_OK}, {"anywhere", WIRE_OK}, {"away", WIRE_ERROR}};
    Probe probe = probe_open(*state, FALSE);
    wire_pool_follow_args args = {.pool = probe_pool("images")};
    wire_pool_follow_ret ret = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        char *word = (char *)words[i].word;
        guint before = fake.mutations;

        args.follow = &word;
        assert_int_equal(call_own(&probe, WIRE_CISTERN_POOL_FOLLOW, XDR_OF(pool_follow_args), &args,
                                  XDR_OF(pool_follow_ret), &ret),
                         words[i].status);
        if (words[i].status == WIRE_OK)
            assert_string_equal(ret.follow, word);
        assert_int_equal(fake.mutations - before, words[i].status == WIRE_OK);
        xdr_free(XDR_OF(pool_follow_ret), (char *)&ret);
        memset(&ret, 0, sizeof(ret));
    }
    args.follow = NULL;
    assert_int_equal(call_own(&probe, WIRE_CISTERN_POOL_FOLLOW, XDR_OF(pool_follow_args), &args,
                              XDR_OF(pool_follow_ret), &ret),
                     WIRE_OK);
    assert_string_equal(ret.follow, "none"); /* as it is, unasked */
    xdr_free(XDR_OF(pool_follow_ret), (char *)&ret);
    probe_close(&probe);
}

static void a_mode_of_calls_has_known_flags(void **state)
{
    static const struct {
        unsigned flags;
        int status;
    } modes[] = {{0, WIRE_OK}, {WIRE_CALLS_DRY, WIRE_OK}, {2, WIRE_ERROR}, {3, WIRE_ERROR}};
    Probe probe = probe_open(*state, FALSE);

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        wire_call_mode_args args = {modes[i].flags};

        assert_int_equal(
            call_own(&probe, WIRE_CISTERN_CALL_MODE, XDR_OF(call_mode_args), &args, NULL, NULL),
            modes[i].status);
    }
    probe_close(&probe);
}

/* In libvirt's words, which clients may search for. */
static void request_over_a_limit_is_refused(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_int secrets = {WIRE_LIST_MAX + 1};
    wire_pool_max_args volumes = {probe_pool("images"), WIRE_LIST_MAX + 1};
    wire_flags_args flags = {1};
    g_autofree char *uuids =
        probe_call_error(&probe, WIRE_PROC_CONNECT_LIST_SECRETS, XDR_OF(int), &secrets, 39);
    g_autofree char *names = probe_call_error(&probe, WIRE_PROC_STORAGE_POOL_LIST_VOLUMES,
                                              XDR_OF(pool_max_args), &volumes, 39);
    g_autofree char *unknown = probe_call_error(
        &probe, WIRE_PROC_CONNECT_GET_STORAGE_POOL_CAPABILITIES, XDR_OF(flags_args), &flags, 8);

    assert_string_equal(uuids, "maxuuids > REMOTE_SECRET_LIST_MAX");
    assert_string_equal(names, "maxnames > REMOTE_STORAGE_VOL_LIST_MAX");
    assert_non_null(strstr(unknown, "unsupported flags (0x1) in function"));
    secrets.value = volumes.max = WIRE_LIST_MAX;
    probe_call(&probe, WIRE_PROC_CONNECT_LIST_SECRETS, XDR_OF(int), &secrets, NULL, NULL);
    probe_call(&probe, WIRE_PROC_STORAGE_POOL_LIST_VOLUMES, XDR_OF(pool_max_args), &volumes, NULL,
               NULL);
    probe_close(&probe);
}

/* Successive pages. Each reports whether another one follows. */
static void a_page_has_its_limits(void **state)
{
    static const struct {
        unsigned limit, flags;
        int status;
        u_int rows;
        gboolean more;
    } pages[] = {
        {0, 0, WIRE_OK, 5, FALSE},
        {4, 0, WIRE_OK, 4, TRUE},
        {5, WIRE_PAGE_DETAILS, WIRE_OK, 5, FALSE},
        {6, WIRE_PAGE_DETAILS, WIRE_OK, 5, FALSE},
        {WIRE_PAGE_MAX, 0, WIRE_OK, 5, FALSE},
        {WIRE_PAGE_MAX + 1, 0, WIRE_ERROR, 0, FALSE},
        {G_MAXUINT, 0, WIRE_ERROR, 0, FALSE},
        {1, 2, WIRE_ERROR, 0, FALSE},
    };
    Probe probe = probe_open(*state, FALSE);

    fake.volumes = 5;
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        wire_vol_page_args args = {probe_pool("images"), NULL, pages[i].limit, pages[i].flags};
        wire_vol_page_ret ret = {0};

        assert_int_equal(call_own(&probe, WIRE_CISTERN_VOL_LIST_PAGE, XDR_OF(vol_page_args), &args,
                                  XDR_OF(vol_page_ret), &ret),
                         pages[i].status);
        assert_int_equal(ret.rows.rows_len, pages[i].rows);
        assert_int_equal(ret.more, pages[i].more);
        for (u_int row = 0; row < ret.rows.rows_len; row++)
            assert_int_equal(ret.rows.rows_val[row].capacity,
                             pages[i].flags & WIRE_PAGE_DETAILS ? 1000 + row : 0);
        xdr_free(XDR_OF(vol_page_ret), (char *)&ret);
    }
    probe_close(&probe);
}

/*
 * A reply has a limited number of rows. A list without pages is truncated there, or refused if the
 * complete list is required.
 */
static void a_list_is_as_long_as_a_reply_may_be(void **state)
{
    static const struct {
        int procedure;
        gboolean of_volume, is_cut;
        xdrproc_t ret_func;
    } lists[] = {
        {WIRE_CISTERN_VOL_CHAIN, TRUE, TRUE, XDR_OF(chain_ret)},
        {WIRE_CISTERN_VOL_HOLDERS, TRUE, TRUE, XDR_OF(holders_ret)},
        {WIRE_CISTERN_VOL_DOMAINS, TRUE, TRUE, XDR_OF(domains_ret)},
        {WIRE_CISTERN_VOL_PROBLEMS, TRUE, TRUE, XDR_OF(vol_problems_ret)},
        {WIRE_CISTERN_JOB_LIST, FALSE, TRUE, XDR_OF(job_list_ret)},
        {WIRE_CISTERN_SNAPSHOT_LIST, TRUE, FALSE, XDR_OF(snapshot_list_ret)},
    };
    Probe probe = probe_open(*state, FALSE);
    wire_vol_args vol = {.vol = probe_vol("vol00000")};
    wire_job_list_args jobs = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        for (guint over = 0; over <= 1; over++) {
            /* All of these begin with the length of their only list. */
            wire_chain_ret ret = {0};
            int status;

            fake.rows = WIRE_LIST_MAX + over;
            status =
                call_own(&probe, lists[i].procedure,
                         lists[i].of_volume ? XDR_OF(vol_args) : XDR_OF(job_list_args),
                         lists[i].of_volume ? (const void *)&vol : &jobs, lists[i].ret_func, &ret);
            assert_int_equal(status, over && !lists[i].is_cut ? WIRE_ERROR : WIRE_OK);
            if (status == WIRE_OK)
                assert_int_equal(ret.rows.rows_len, WIRE_LIST_MAX);
            xdr_free(lists[i].ret_func, (char *)&ret);
        }
    probe_close(&probe);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(error_of_the_storage_is_returned),
        BENCH_TEST(references_are_followed_by_known_words_only),
        BENCH_TEST(request_over_a_limit_is_refused),
        BENCH_TEST(a_page_has_its_limits),
        BENCH_TEST(a_list_is_as_long_as_a_reply_may_be),
        BENCH_TEST(a_mode_of_calls_has_known_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

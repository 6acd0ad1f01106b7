/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* As contract_test.c, for the calls that libvirt has not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <base/error.h>
#include <conn/usage.h>

#include "side.h"

/* --- jobs, and volumes as images ------------------------------------------------------------- */

static void note_chain(Side *side, const CstVolRef *vol)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_chain(side->conn, vol, &side->error);

    outcome(side, "chain", rows != NULL);
    for (guint i = 0; rows && i < rows->len; i++) {
        const CstChainRow *row = g_ptr_array_index(rows, i);

        note(side, "- %u %d %s %s %s", row->level, row->self, row->name,
             row->format ? row->format : "-", row->problem ? row->problem : "-");
    }
}

static void play_images(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstTask) task = cst_task_new();
    g_autofree char *base = g_strconcat(side->root, "/images/base", NULL);
    g_autofree char *xml =
        g_strdup_printf("<volume><name>top</name><capacity>1048576</capacity><target><format "
                        "type='qcow2'/></target><backingStore><path>%s</path><format type='qcow2'/>"
                        "</backingStore></volume>",
                        base);
    g_autoptr(CstVolRef) below = cst_conn_vol_create(
        side->conn, pool,
        "<volume><name>base</name><capacity>1048576</capacity><target><format type='qcow2'/>"
        "</target></volume>",
        0, NULL, &side->error);
    g_autoptr(CstVolRef) top = cst_conn_vol_create(side->conn, pool, xml, 0, NULL, &side->error);
    g_auto(CstCheckReport) report = {0}, refused = {0};
    uint64_t given_back = 0;

    outcome(side, "volumes", below && top);
    note_chain(side, top);
    outcome(side, "check", cst_conn_vol_check(side->conn, top, 0, task, &report, &side->error));
    note(side, "%s %d %d %d", report.format, (int)report.errors, (int)report.total_clusters,
         report.findings != NULL);
    outcome(side, "check, flag",
            cst_conn_vol_check(side->conn, top, 64, NULL, &refused, &side->error));
    outcome(side, "commit", cst_conn_vol_commit(side->conn, top, NULL, 0, task, &side->error));
    outcome(side, "commit to nobody",
            cst_conn_vol_commit(side->conn, top, "nobody", 0, task, &side->error));
    outcome(side, "flatten", cst_conn_vol_flatten(side->conn, top, task, &side->error));
    outcome(side, "sparsify",
            cst_conn_vol_sparsify(side->conn, top, task, &given_back, &side->error));
    outcome(side, "commit alone",
            cst_conn_vol_commit(side->conn, top, NULL, 0, NULL, &side->error));
    note_chain(side, top);
}

static CstVolRef *make_qcow2(Side *side, const CstPoolRef *pool, const char *name,
                             const char *backing)
{
    g_autofree char *more =
        backing ? g_strdup_printf("<backingStore><path>%s/images/%s</path><format type='qcow2'/>"
                                  "</backingStore>",
                                  side->root, backing)
                : g_strdup("");
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>1048576</capacity><target><format "
                        "type='qcow2'/></target>%s</volume>",
                        name, more);
    CstVolRef *vol = cst_conn_vol_create(side->conn, pool, xml, 0, NULL, &side->error);

    outcome(side, name, vol != NULL);
    return vol;
}

static void convert(Side *side, const CstPoolRef *pool, const CstVolRef *source,
                    const CstVolConvert *how)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(CstVolRef) vol =
        cst_conn_vol_convert(side->conn, pool, source, how, task, &side->error);
    g_autofree char *xml = NULL;

    outcome(side, how->format, vol != NULL);
    if (!vol)
        return;
    xml = cst_conn_vol_xml(side->conn, vol, 0, NULL);
    assert_non_null(xml);
    note(side, "%s: %s %s", vol->name, vol->key,
         strstr(xml, how->format) ? "as asked" : "another format");
}

static void play_convert(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) base = make_qcow2(side, pool, "base", NULL);
    g_autoptr(CstVolRef) top = make_qcow2(side, pool, "top", "base");

    convert(side, pool, top, &(CstVolConvert){.name = "a", .format = "vmdk"});
    convert(side, pool, top,
            &(CstVolConvert){.name = "b",
                             .format = "qcow2",
                             .options = "compat=0.10",
                             .flags = CST_VOL_CONVERT_COMPRESS});
    convert(side, pool, top, &(CstVolConvert){.name = "base", .format = "raw"});
    convert(side, pool, top, &(CstVolConvert){.name = "top", .format = "raw"});
    convert(side, pool, top, &(CstVolConvert){.name = "../c", .format = "raw"});
    convert(side, pool, top, &(CstVolConvert){.name = "c", .format = "bochs"});
    convert(side, pool, top, &(CstVolConvert){.name = "c", .format = "raw", .options = "size=1"});
    convert(side, pool, top, &(CstVolConvert){.name = "c", .format = "raw", .options = "x=y"});
    convert(side, pool, top, &(CstVolConvert){.name = "c", .format = "raw", .flags = 64});
    convert(side, pool, top,
            &(CstVolConvert){.name = "c", .format = "raw", .flags = CST_VOL_CONVERT_COMPRESS});
}

/* --- content ---------------------------------------------------------------------------------- */

typedef struct {
    Side *side;
    GByteArray *content;
    uint64_t capacity;
} Taken;

static gboolean take_capacity(uint64_t capacity, gpointer data, GError **error)
{
    ((Taken *)data)->capacity = capacity;
    return TRUE;
}

static gboolean take_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    GByteArray *content = ((Taken *)data)->content;
    guint before = content->len;

    g_byte_array_set_size(content, (guint)(before + len + hole));
    if (len > 0)
        memcpy(content->data + before, bytes, len);
    else
        memset(content->data + before, 0, hole);
    return TRUE;
}

static void note_content(Side *side, const CstVolRef *vol, const CstVolSend *what)
{
    g_autoptr(GByteArray) content = g_byte_array_new();
    Taken taken = {side, content, 0};
    const CstConnSink sink = {take_capacity, take_piece, &taken};
    g_autoptr(CstTask) task = cst_task_new();

    outcome(side, "send", cst_conn_vol_send(side->conn, vol, what, &sink, task, &side->error));
    note(side, "%u of %" G_GUINT64_FORMAT ", done %" G_GUINT64_FORMAT ":", content->len,
         taken.capacity, cst_task_progress(task).done);
    for (guint i = 0; i < content->len; i += 65536)
        note(side, " %02x", content->data[i]);
}

/* Notes the number of leading zero digests and the number of other digests. */
static void note_digests_of(Side *side, const CstVolRef *vol, const CstVolSend *what,
                            uint64_t chunk)
{
    g_auto(CstVolDigests) digests = {0};
    gboolean ok = cst_conn_vol_digests(side->conn, vol, what, chunk, NULL, &digests, &side->error);

    outcome(side, "digests", ok);
    for (guint i = 0; ok && i < digests.digests->len; i += CST_VOL_DIGEST_SIZE)
        note(side, " %02x%02x", digests.digests->data[i], digests.digests->data[i + 31]);
}

static void note_digests(Side *side, const CstVolRef *vol, uint64_t chunk)
{
    note_digests_of(side, vol, &(CstVolSend){0}, chunk);
}

/* Writes @len bytes and a hole of as many at @offset. */
static void patch(Side *side, const CstVolRef *vol, uint64_t offset, size_t len)
{
    g_autoptr(CstConnReceive) receive =
        cst_conn_vol_patch(side->conn, vol, offset, NULL, &side->error);
    g_autofree uint8_t *bytes = g_malloc(len);
    gboolean ok = receive != NULL;

    memset(bytes, 9, len);
    if (receive)
        ok = cst_conn_receive_piece(bytes, len, 0, receive, &side->error) &&
             cst_conn_receive_piece(NULL, 0, len, receive, &side->error) &&
             cst_conn_patch_finish(receive, &side->error);
    outcome(side, "patch", ok);
}

#define RECEIVED                                                                             \
    "<volume><name>%s</name><capacity>262144</capacity><target><format type='%s'/></target>" \
    "</volume>"

/* Sends blocks 1, 0 and 3 only. */
static void receive(Side *side, const CstPoolRef *pool, const char *name, const char *format,
                    gboolean finish)
{
    g_autofree char *xml = g_strdup_printf(RECEIVED, name, format);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(CstConnReceive) receive =
        cst_conn_vol_receive(side->conn, pool, xml, 0, task, &side->error);
    g_autofree uint8_t *block = g_malloc(65536);
    g_autoptr(CstVolRef) vol = NULL;

    outcome(side, name, receive != NULL);
    if (!receive)
        return;
    memset(block, 1, 65536);
    cst_conn_receive_piece(block, 65536, 0, receive, NULL);
    cst_conn_receive_piece(NULL, 0, 65536, receive, NULL);
    memset(block, 3, 65536);
    cst_conn_receive_piece(block, 65536, 0, receive, NULL);
    if (!finish)
        return;
    vol = cst_conn_receive_finish(receive, &side->error);
    outcome(side, "finish", vol != NULL);
    if (vol)
        note_content(side, vol, &(CstVolSend){0});
}

static void play_content(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) vol = NULL;

    receive(side, pool, "raw", "raw", TRUE);
    receive(side, pool, "qcow2", "qcow2", TRUE);
    receive(side, pool, "raw", "raw", TRUE);
    receive(side, pool, "half", "qcow2", FALSE);
    receive(side, pool, "bad", "bochs", TRUE);
    vol = cst_conn_vol_by_name(side->conn, pool, "half", &side->error);
    outcome(side, "half", vol != NULL);
    vol = cst_conn_vol_by_name(side->conn, pool, "qcow2", &side->error);
    note_content(side, vol, &(CstVolSend){.offset = 131072, .length = 65536});
    note_content(side, vol, &(CstVolSend){.snapshot = "none"});
    note_content(side, vol, &(CstVolSend){.flags = 4096});
    note_digests(side, vol, 65536);
    note_digests(side, vol, 70000);
    note_digests(side, vol, 0);
    note_digests_of(side, vol, &(CstVolSend){.offset = 65536, .length = 65537}, 65536);
    note_digests_of(side, vol, &(CstVolSend){.offset = 196608}, 65536);
    note_digests_of(side, vol, &(CstVolSend){.offset = 1 << 20}, 65536);
    note_digests_of(side, vol, &(CstVolSend){.offset = 1000}, 65536);
    patch(side, vol, 65536, 32768);
    note_content(side, vol, &(CstVolSend){0});
    patch(side, vol, 262143, 1);
}

static void rebase(Side *side, const CstVolRef *vol, const char *name, const char *format,
                   unsigned flags)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autofree char *path = name ? g_strconcat(side->root, "/images/", name, NULL) : NULL;
    const CstVolRebase how = {path, format, flags};

    outcome(side, "rebase", cst_conn_vol_rebase(side->conn, vol, &how, task, &side->error));
    note_chain(side, vol);
}

static void play_rebase(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) base = make_qcow2(side, pool, "base", NULL);
    g_autoptr(CstVolRef) other = make_qcow2(side, pool, "other", NULL);
    g_autoptr(CstVolRef) top = make_qcow2(side, pool, "top", "base");

    rebase(side, top, "other", "qcow2", 0);
    rebase(side, top, "base", "qcow2", CST_VOL_REBASE_UNSAFE);
    rebase(side, base, "top", "qcow2", 0);
    rebase(side, base, "top", "qcow2", CST_VOL_REBASE_UNSAFE);
    rebase(side, top, "top", "qcow2", 0);
    rebase(side, top, "../elsewhere", "raw", CST_VOL_REBASE_UNSAFE);
    rebase(side, top, "other", NULL, 0);
    rebase(side, top, "other", "x", 0);
    rebase(side, top, "other", "qcow2", 64);
    rebase(side, top, NULL, NULL, 0);
}

static void play_compare(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) base = make_qcow2(side, pool, "base", NULL);
    g_autoptr(CstVolRef) top = make_qcow2(side, pool, "top", "base");
    const CstVolRef *const pairs[][2] = {{top, base}, {base, top}, {top, top}};

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        CstCompareReport report = {0};

        outcome(side, "compare",
                cst_conn_vol_compare(side->conn, pairs[i][0], pairs[i][1], NULL, &report,
                                     &side->error));
        note(side, "%d %d %d", report.same, report.sizes_same, (int)report.offset);
    }
}

static void play_map(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) base = make_qcow2(side, pool, "base", NULL);
    g_autoptr(CstVolRef) top = make_qcow2(side, pool, "top", "base");
    g_autoptr(CstVolRef) raw = cst_conn_vol_create(
        side->conn, pool,
        "<volume><name>raw</name><capacity>65536</capacity><allocation>0</allocation></volume>", 0,
        NULL, &side->error);
    g_autoptr(CstTask) task = cst_task_new();
    const CstVolRef *const vols[] = {top, raw};
    CstMeasureReport report = {0};

    outcome(side, "raw", raw != NULL);
    for (uint64_t i = 0; i < 4; i++) {
        g_autoptr(CstVolMap) map =
            cst_conn_vol_map(side->conn, vols[i % 2], i / 2 * 1048576, 0, task, &side->error);

        outcome(side, "map", map != NULL);
        if (!map)
            continue;
        for (guint run = 0; run < map->runs->len; run++) {
            const CstVolMapRun *row = &g_array_index(map->runs, CstVolMapRun, run);

            note(side, "%d+%d depth %u, %d %d %d %d", (int)row->start, (int)row->length, row->depth,
                 row->present, row->zero, row->data, row->has_offset);
        }
        for (guint file = 0; file < map->files->len; file++)
            note(side, "file %s", (char *)g_ptr_array_index(map->files, file));
        note(side, "more %d", map->more);
    }
    outcome(side, "measure",
            cst_conn_vol_measure(side->conn, top, "qcow2", NULL, task, &report, &side->error));
    note(side, "%d %d", (int)report.required, (int)report.fully_allocated);
    outcome(side, "measure, option",
            cst_conn_vol_measure(side->conn, top, "raw", "x=y", NULL, &report, &side->error));
}

/* "add", "merge b0", …; ended by NULL. */
static void bitmap(Side *side, const CstVolRef *vol, const char *name, const CstVolRef *source,
                   const char *const *words)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(CstBitmapStep));
    const CstBitmapChange change = {name, 0, steps};

    for (guint i = 0; words[i]; i++) {
        gboolean merge = strcmp(words[i], "merge") == 0;
        const CstBitmapStep step = {words[i], merge ? words[i + 1] : NULL};

        g_array_append_val(steps, step);
        i += merge;
    }
    outcome(side, name, cst_conn_vol_bitmap(side->conn, vol, &change, source, NULL, &side->error));
}

static void play_bitmap(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) a = make_qcow2(side, pool, "a", NULL);
    g_autoptr(CstVolRef) b = make_qcow2(side, pool, "b", NULL);

    bitmap(side, a, "b0", NULL, (const char *const[]){"add", "disable", NULL});
    bitmap(side, b, "b1", NULL, (const char *const[]){"add", "clear", NULL});
    bitmap(side, a, "b0", b, (const char *const[]){"enable", "merge", "b1", NULL});
    bitmap(side, a, "b0", NULL, (const char *const[]){"merge", "b1", NULL});
    bitmap(side, a, "b0", NULL, (const char *const[]){"add", NULL});
    bitmap(side, a, "b0", NULL, (const char *const[]){"paint", NULL});
    bitmap(side, a, "b0", NULL, (const char *const[]){NULL});
    bitmap(side, a, "b0", a, (const char *const[]){"remove", NULL});
    bitmap(side, a, "b0", NULL, (const char *const[]){"clear", NULL});
}

static void play_jobs(Side *side)
{
    g_autoptr(GPtrArray) jobs = cst_conn_job_list(side->conn, TRUE, &side->error);
    CstJobInfo *job;

    outcome(side, "jobs", jobs && jobs->len == 0);
    job = cst_conn_job_info(side->conn, 7, &side->error);
    outcome(side, "nobody's job", job != NULL);
    job = cst_conn_job_wait(side->conn, 7, 0, NULL, &side->error);
    outcome(side, "wait for nobody's job", job != NULL);
    outcome(side, "cancel nobody's job", cst_conn_job_cancel(side->conn, 7, &side->error));
    outcome(side, "slow nobody's job", cst_conn_job_set_limit(side->conn, 7, 1, &side->error));
}

/* --- the history of use ----------------------------------------------------------------------- */

static void note_usage(Side *side, const CstPoolRef *pool, unsigned step)
{
    g_autoptr(GArray) points = cst_conn_pool_usage(side->conn, pool, step, 0, &side->error);
    const CstUsagePoint *point =
        points && points->len > 0 ? &g_array_index(points, CstUsagePoint, 0) : NULL;

    outcome(side, "usage", points != NULL);
    note(side, "%u points, provisioned %d, sizes %d", points ? points->len : 99,
         point && point->provisioned == 1048576,
         point && point->capacity > 0 && point->allocation > 0 && point->time % step == 0);
}

static void play_usage(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) vol = cst_conn_vol_create(
        side->conn, pool, "<volume><name>v</name><capacity>1048576</capacity></volume>", 0, NULL,
        &side->error);
    CstPoolRef nobody = {.name = (char *)"nobody"};
    CstForecast spaces[CST_USAGE_SPACE_LAST] = {0};
    g_autofree char *problem = NULL;
    guint count = 99;

    outcome(side, "volume", vol != NULL);
    note_usage(side, pool, CST_USAGE_DAILY);
    outcome(side, "sample", cst_conn_pool_usage_sample(side->conn, &count, &side->error));
    note(side, "%u samples", count);
    note_usage(side, pool, CST_USAGE_FINE);
    note_usage(side, pool, CST_USAGE_DAILY);
    note_usage(side, pool, 7);
    note_usage(side, &nobody, CST_USAGE_DAILY);
    outcome(side, "forecast", cst_conn_pool_usage_forecast(side->conn, pool, spaces, &side->error));
    note(side, "states %d %d %d", (int)spaces[0].state, (int)spaces[1].state, (int)spaces[2].state);
    outcome(side, "growths of a pool without such spaces",
            cst_conn_pool_growths(side->conn, pool, &problem, &side->error) != NULL);
    outcome(side, "growths of nobody",
            cst_conn_pool_growths(side->conn, &nobody, &problem, &side->error) != NULL);
    outcome(side, "forecast of nobody",
            cst_conn_pool_usage_forecast(side->conn, &nobody, spaces, &side->error));
}

/* --- secrets ---------------------------------------------------------------------------------- */

static void rotate(Side *side, const char *what, const CstConnSecret *secret, const char *base64,
                   unsigned flags)
{
    g_auto(CstSecretBytes) value = {0};
    g_autoptr(GPtrArray) pools = NULL;
    CstConnRotate how = {.value = &value, .flags = flags, .admin_user = "a", .admin_key = &value};

    assert_true(cst_secret_bytes_from_base64(&value, base64, strlen(base64), NULL));
    pools = cst_conn_secret_rotate(side->conn, secret, &how, NULL, &side->error);
    outcome(side, what, pools != NULL);
}

static void play_rotation(Side *side)
{
    g_autoptr(CstConnSecret) ceph = cst_conn_secret_define(
        side->conn,
        "<secret><uuid>" UUID_A "</uuid><usage type='ceph'><name>c</name></usage></secret>", 0,
        &side->error);
    g_autoptr(CstConnSecret) other = cst_conn_secret_define(
        side->conn, "<secret><uuid>bbbbbbbb-2222-3333-4444-555555555555</uuid></secret>", 0,
        &side->error);
    const char *key = "AQB6+iFpb1mmLRAAThcBt9Lqh1xF0Fvu7QkrYg==";

    outcome(side, "define", ceph && other);
    rotate(side, "no user", ceph, key, 0);
    rotate(side, "no active user", ceph, key, CST_CONN_ROTATE_ACTIVE);
    rotate(side, "no key", ceph, "bm8=", 0);
    rotate(side, "no value", ceph, "", 0);
    rotate(side, "flag", ceph, key, 64);
    rotate(side, "other usage", other, key, 0);
}

static void rotations_behave_the_same(void **state)
{
    const char *const must[] = {"no user: state", "no active pool uses secret", "not a cephx key",
                                "usage 'none' cannot be rotated", NULL};

    compare(play_rotation, must);
}

static void images_behave_the_same(void **state)
{
    const char *const must[] = {"- 0 0 base qcow2 -\n- 1 1 top qcow2 -",
                                "check: done\nqcow2 0 16",
                                "flatten: done",
                                "sparsify: done",
                                "- 0 1 top qcow2 -",
                                NULL};

    compare(play_images, must);
}

static void converting_is_the_same(void **state)
{
    const char *const must[] = {"vmdk: done\na: ROOT/images/a as asked",
                                "qcow2: done\nb: ROOT/images/b as asked",
                                "storage volume 'base' exists already",
                                "raw: unsupported, exit 1",
                                "has no option 'x'",
                                NULL};

    compare(play_convert, must);
}

static void rebasing_is_the_same(void **state)
{
    const char *const must[] = {"rebase: done\nchain: done\n- 0 0 other qcow2 -\n- 1 1 top qcow2 -",
                                "rebase: done\nchain: done\n- 0 0 base qcow2 -\n- 1 1 top qcow2 -",
                                "volume 'base' can't be based on 'top', which is based on it",
                                "volume 'top' can't be based on itself",
                                "which is no volume of an active pool",
                                "rebase: done\nchain: done\n- 0 1 top qcow2 -",
                                NULL};

    compare(play_rebase, must);
}

static void content_is_the_same(void **state)
{
    const char *const must[] = {
        "raw: done\nfinish: done\nsend: done\n262144 of 262144, done 262144:\n 01\n 00\n 03\n 00",
        "qcow2: done\nfinish: done\nsend: done\n262144 of 262144, done 262144:\n 01\n 00\n 03",
        "raw: volume-exists, exit 5",
        "half: done\nbad: config",
        "half: no-volume",
        "send: done\n65536 of 262144, done 65536:\n 03",
        "'none'",
        "digests: done\n",
        "digests are of chunks",
        "patch: done\nsend: done\n262144 of 262144, done 262144:\n 01\n 09\n 03\n 00",
        "ends at byte 262144",
        NULL};

    compare(play_content, must);
}

static void comparing_is_the_same(void **state)
{
    const char *const must[] = {"compare: done\n1 1 0\ncompare: done\n1 1 0\ncompare: done\n1 1 0",
                                NULL};

    compare(play_compare, must);
}

static void maps_are_the_same(void **state)
{
    const char *const must[] = {
        ("map: done\n0+1048576 depth 1, 0 1 0 0\nfile ROOT/images/top\nfile ROOT/images/base\n"
         "more 0"),
        "map: done\n0+65536 depth 0, 1 1 0 1\nfile ROOT/images/raw\nmore 0",
        "map: done\nfile ROOT/images/top\nfile ROOT/images/base\nmore 0",
        "measure: done\n327680 1376256",
        "has no option 'x'",
        NULL};

    compare(play_map, must);
}

static void bitmaps_are_the_same(void **state)
{
    const char *const must[] = {"b0: done\nb1: done\nb0: done\nb0: not-found", "b0: exists",
                                "'paint' can't be done with a bitmap", "b0: done\nb0: not-found",
                                NULL};

    compare(play_bitmap, must);
}

static void jobs_behave_the_same(void **state)
{
    const char *const must[] = {"jobs: done", "no job with number 7", NULL};

    compare(play_jobs, must);
}

static void history_of_use_is_the_same(void **state)
{
    const char *const must[] = {
        "0 points",     "1 samples", "1 points, provisioned 1, sizes 1", "no step of 7 seconds",
        "states 1 6 6", NULL};

    compare(play_usage, must);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_behave_the_same),    cmocka_unit_test(converting_is_the_same),
        cmocka_unit_test(content_is_the_same),       cmocka_unit_test(rebasing_is_the_same),
        cmocka_unit_test(comparing_is_the_same),     cmocka_unit_test(maps_are_the_same),
        cmocka_unit_test(bitmaps_are_the_same),      cmocka_unit_test(jobs_behave_the_same),
        cmocka_unit_test(rotations_behave_the_same), cmocka_unit_test(history_of_use_is_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

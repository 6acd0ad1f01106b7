/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The same sequence of calls over both transports, each on its own root: in this process, and to
 * the server part of cisternd. All answers and errors are recorded and must be equal.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>

#include "side.h"

#define MIB (1024 * 1024)

/* --- the sequences --------------------------------------------------------------------------- */

static void note_pool(Side *side, const CstPoolRef *pool)
{
    gboolean active = 9, persistent = 9, autostart = 9;
    CstPoolInfo info = {0};
    guint volumes = 99;

    outcome(side, "is_active", cst_conn_pool_is_active(side->conn, pool, &active, &side->error));
    outcome(side, "is_persistent",
            cst_conn_pool_is_persistent(side->conn, pool, &persistent, &side->error));
    outcome(side, "get_autostart",
            cst_conn_pool_get_autostart(side->conn, pool, &autostart, &side->error));
    outcome(side, "info", cst_conn_pool_info(side->conn, pool, &info, &side->error));
    outcome(side, "count", cst_conn_pool_count_volumes(side->conn, pool, &volumes, &side->error));
    note(side, "active %d persistent %d autostart %d state %d volumes %u sized %d", active,
         persistent, autostart, info.state, volumes, info.capacity > 0);
}

static void note_pools(Side *side, unsigned filter)
{
    g_autoptr(GPtrArray) pools = cst_conn_pool_list(side->conn, filter, &side->error);

    outcome(side, "list pools", pools != NULL);
    for (guint i = 0; pools && i < pools->len; i++)
        note(side, "- %s", ((CstPoolRef *)pools->pdata[i])->name);
}

static void note_pool_ref(Side *side, const char *what, CstPoolRef *pool)
{
    char uuid[CST_UUID_TEXT_LEN];

    outcome(side, what, pool != NULL);
    if (pool)
        note(side, "%s %s", pool->name, cst_uuid_format(&pool->uuid, uuid));
    cst_pool_ref_free(pool);
}

static void play_pools(Side *side)
{
    g_autofree char *target = g_strconcat(side->root, "/images", NULL);
    g_autoptr(CstPoolRef) pool = make_pool(side);
    CstUuid nobody = {{7}};
    CstPoolRef *ref;

    note_pool(side, pool);
    note_pools(side, 0);
    outcome(side, "start unbuilt", cst_conn_pool_start(side->conn, pool, 0, &side->error));
    outcome(side, "build", cst_conn_pool_build(side->conn, pool, 0, &side->error));
    outcome(side, "start", cst_conn_pool_start(side->conn, pool, 0, &side->error));
    outcome(side, "start again", cst_conn_pool_start(side->conn, pool, 0, &side->error));
    outcome(side, "undefine active", cst_conn_pool_undefine(side->conn, pool, &side->error));
    outcome(side, "autostart", cst_conn_pool_set_autostart(side->conn, pool, TRUE, &side->error));
    note_pool(side, pool);
    note_pools(side, CST_LIST_POOLS_ACTIVE);
    note_pools(side, CST_LIST_POOLS_INACTIVE);
    ref = cst_conn_pool_by_name(side->conn, "a", &side->error);
    note_pool_ref(side, "by name", ref);
    ref = cst_conn_pool_by_name(side->conn, "nobody", &side->error);
    note_pool_ref(side, "by wrong name", ref);
    ref = cst_conn_pool_by_uuid(side->conn, &nobody, &side->error);
    note_pool_ref(side, "by wrong uuid", ref);
    ref = cst_conn_pool_by_target(side->conn, target, &side->error);
    note_pool_ref(side, "by target", ref);
    ref = cst_conn_pool_define(side->conn, "<pool", 0, &side->error);
    note_pool_ref(side, "define rubbish", ref);
    outcome(side, "refresh", cst_conn_pool_refresh(side->conn, pool, 0, &side->error));
    outcome(side, "refresh, flag", cst_conn_pool_refresh(side->conn, pool, 8, &side->error));
    outcome(side, "stop", cst_conn_pool_stop(side->conn, pool, &side->error));
    outcome(side, "stop again", cst_conn_pool_stop(side->conn, pool, &side->error));
    outcome(side, "delete", cst_conn_pool_delete(side->conn, pool, 0, &side->error));
    outcome(side, "undefine", cst_conn_pool_undefine(side->conn, pool, &side->error));
    note_pool(side, pool);
}

static void play_descriptions(Side *side)
{
    uint64_t version = 0;
    g_autoptr(CstPoolRef) pool = make_pool(side);
    char *text = cst_conn_pool_xml(side->conn, pool, 0, &side->error);

    note_text(side, "pool xml", text);
    text = cst_conn_capabilities(side->conn, &side->error);
    note_text(side, "capabilities", text);
    text = cst_conn_pool_capabilities(side->conn, &side->error);
    note_text(side, "pool capabilities", text);
    text = cst_conn_type(side->conn, &side->error);
    note_text(side, "type", text);
    text = cst_conn_hostname(side->conn, &side->error);
    note_text(side, "hostname", text);
    outcome(side, "library", cst_conn_lib_version(side->conn, &version, &side->error));
    note(side, "%" G_GUINT64_FORMAT, version);
    outcome(side, "hypervisor", cst_conn_hv_version(side->conn, &version, &side->error));
    note(side, "%" G_GUINT64_FORMAT, version);
    text = cst_conn_find_sources(side->conn, "dir", NULL, &side->error);
    note_text(side, "find sources of dir", text);
}

static void note_vols(Side *side, const CstPoolRef *pool, gboolean details)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(side->conn, pool, details, &side->error);

    outcome(side, "list volumes", rows != NULL);
    for (guint i = 0; rows && i < rows->len; i++) {
        const CstVolRow *row = rows->pdata[i];

        note(side, "- %s %s %s %d %" G_GUINT64_FORMAT " %s %s", row->name, row->key, row->path,
             row->info.type, row->info.capacity, row->format, row->problem);
    }
}

static CstVolRef *make_vol(Side *side, const CstPoolRef *pool, const char *name, const char *format)
{
    g_autofree char *xml = g_strdup_printf(
        "<volume><name>%s</name><capacity unit='MiB'>8</capacity><allocation>0</allocation>"
        "<target><format type='%s'/></target></volume>",
        name, format);
    g_autoptr(CstTask) task = cst_task_new();
    CstVolRef *vol = cst_conn_vol_create(side->conn, pool, xml, 0, task, &side->error);

    outcome(side, "create", vol != NULL);
    return vol;
}

static void note_vol(Side *side, const CstVolRef *vol)
{
    CstVolInfo info = {0};
    char *path = cst_conn_vol_path(side->conn, vol, &side->error);
    CstPoolRef *pool;

    note_text(side, "path", path);
    pool = cst_conn_pool_of_vol(side->conn, vol, &side->error);
    note_pool_ref(side, "pool", pool);
    outcome(side, "info", cst_conn_vol_info(side->conn, vol, FALSE, &info, &side->error));
    note(side, "type %d capacity %" G_GUINT64_FORMAT, info.type, info.capacity);
    outcome(side, "info, physical", cst_conn_vol_info(side->conn, vol, TRUE, &info, &side->error));
    note(side, "physical %" G_GUINT64_FORMAT, info.allocation);
}

static void note_lookup(Side *side, const char *what, CstVolRef *vol)
{
    outcome(side, what, vol != NULL);
    if (vol)
        note(side, "%s/%s %s", vol->pool, vol->name, vol->key);
    cst_vol_ref_free(vol);
}

static void play_lookups(Side *side, const CstPoolRef *pool)
{
    g_autofree char *path = g_strconcat(side->root, "/images/raw.img", NULL);
    CstVolRef *vol = cst_conn_vol_by_path(side->conn, path, &side->error);

    note_lookup(side, "by path", vol);
    vol = cst_conn_vol_by_key(side->conn, path, &side->error);
    note_lookup(side, "by key", vol);
    vol = cst_conn_vol_by_name(side->conn, pool, "raw.img", &side->error);
    note_lookup(side, "by name", vol);
    vol = cst_conn_vol_by_name(side->conn, pool, "nobody", &side->error);
    note_lookup(side, "by wrong name", vol);
    vol = cst_conn_vol_by_key(side->conn, "nobody", &side->error);
    note_lookup(side, "by wrong key", vol);
    vol = cst_conn_vol_by_path(side->conn, "/nobody", &side->error);
    note_lookup(side, "by wrong path", vol);
}

static void play_volumes(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) raw = make_vol(side, pool, "raw.img", "raw");
    g_autoptr(CstVolRef) cow = make_vol(side, pool, "cow.qcow2", "qcow2");
    g_autoptr(CstVolRef) again = make_vol(side, pool, "raw.img", "raw");
    g_autoptr(CstVolRef) clone = NULL;
    g_autoptr(CstTask) task = cst_task_new();

    assert_null(again);
    note_vol(side, raw);
    note_vol(side, cow);
    play_lookups(side, pool);
    outcome(side, "clone",
            (clone = cst_conn_vol_create_from(side->conn, pool,
                                              "<volume><name>clone.img</name><capacity>0</capacity>"
                                              "<target><format type='raw'/></target></volume>",
                                              raw, 0, task, &side->error)) != NULL);
    note_vols(side, pool, TRUE);
    note_vols(side, pool, FALSE);
    outcome(side, "resize", cst_conn_vol_resize(side->conn, raw, 16 * MIB, 0, task, &side->error));
    outcome(side, "shrink", cst_conn_vol_resize(side->conn, raw, MIB, 0, task, &side->error));
    outcome(side, "wipe", cst_conn_vol_wipe(side->conn, raw, CST_WIPE_ZERO, task, &side->error));
    outcome(side, "wipe, odd", cst_conn_vol_wipe(side->conn, raw, 99, task, &side->error));
    note_vol(side, raw);
    outcome(side, "delete, flag", cst_conn_vol_delete(side->conn, raw, 64, task, &side->error));
    outcome(side, "delete", cst_conn_vol_delete(side->conn, raw, 0, task, &side->error));
    outcome(side, "delete again", cst_conn_vol_delete(side->conn, raw, 0, task, &side->error));
    note_vol(side, raw);
    note_vols(side, pool, TRUE);
    outcome(side, "delete the pool", cst_conn_pool_delete(side->conn, pool, 0, &side->error));
    outcome(side, "stop", cst_conn_pool_stop(side->conn, pool, &side->error));
    note_vols(side, pool, TRUE);
}

/* --- streams --------------------------------------------------------------------------------- */

static int scratch_file(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "cst-conn-XXXXXX", NULL);
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

/**
 * Returns a file of slightly more than 5 MiB: data at the start and before the end, and two holes.
 */
static int sample(void)
{
    int fd = scratch_file();

    assert_int_equal(pwrite(fd, "start", 5, 0), 5);
    assert_int_equal(pwrite(fd, "late", 4, 4 * MIB + 100), 4);
    assert_int_equal(ftruncate(fd, 5 * MIB + 3), 0);
    return fd;
}

static void note_content(Side *side, int fd)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guchar *bytes = NULL;
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    bytes = g_malloc(st.st_size + 1);
    assert_int_equal(pread(fd, bytes, st.st_size, 0), st.st_size);
    g_checksum_update(sum, bytes, st.st_size);
    note(side, "%jd bytes, sparse %d, %s", (intmax_t)st.st_size, st.st_blocks * 512 < st.st_size,
         g_checksum_get_string(sum));
}

static void play_stream(Side *side, const CstVolRef *vol, unsigned flags)
{
    g_auto(CstFd) in = sample();
    g_auto(CstFd) out = scratch_file();
    g_auto(CstFd) middle = scratch_file();
    g_autoptr(CstTask) up = cst_task_new();
    g_autoptr(CstTask) down = cst_task_new();
    CstProgress progress;

    outcome(side, "upload",
            cst_conn_vol_upload(side->conn, vol, in, 0, 0, flags, up, &side->error));
    progress = cst_task_progress(up);
    note(side, "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT, progress.done, progress.total);
    outcome(side, "download",
            cst_conn_vol_download(side->conn, vol, out, 0, 0, flags, down, &side->error));
    progress = cst_task_progress(down);
    note(side, "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT, progress.done, progress.total);
    note_content(side, out);
    outcome(
        side, "download a part",
        cst_conn_vol_download(side->conn, vol, middle, 3, 4 * MIB + 99, flags, NULL, &side->error));
    note_content(side, middle);
}

static void play_streams(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) vol = make_vol(side, pool, "v", "raw");
    g_auto(CstFd) in = sample();
    g_auto(CstFd) out = scratch_file();
    g_auto(CstFd) full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    g_autoptr(CstTask) cancelled = cst_task_new();

    play_stream(side, vol, 0);
    play_stream(side, vol, CST_VOL_STREAM_SPARSE);
    outcome(side, "too much",
            cst_conn_vol_upload(side->conn, vol, in, 0, 1000, 0, NULL, &side->error));
    outcome(side, "odd flag",
            cst_conn_vol_upload(side->conn, vol, in, 0, 0, 16, NULL, &side->error));
    outcome(side, "no room",
            cst_conn_vol_download(side->conn, vol, full, 0, 0, 0, NULL, &side->error));
    cst_task_cancel(cancelled);
    outcome(side, "cancelled",
            cst_conn_vol_upload(side->conn, vol, in, 0, 0, 0, cancelled, &side->error));
    outcome(side, "beyond",
            cst_conn_vol_download(side->conn, vol, out, 1 << 30, 0, 0, NULL, &side->error));
    note_content(side, out);
    outcome(side, "delete", cst_conn_vol_delete(side->conn, vol, 0, NULL, &side->error));
    outcome(side, "gone", cst_conn_vol_upload(side->conn, vol, in, 0, 0, 0, NULL, &side->error));
}

/* --- secrets --------------------------------------------------------------------------------- */

static void note_secrets(Side *side)
{
    g_autoptr(GPtrArray) secrets = cst_conn_secret_list(side->conn, 0, &side->error);

    outcome(side, "list secrets", secrets != NULL);
    for (guint i = 0; secrets && i < secrets->len; i++) {
        const CstConnSecret *secret = secrets->pdata[i];
        char uuid[CST_UUID_TEXT_LEN];

        note(side, "- %s %d %s", cst_uuid_format(&secret->uuid, uuid), secret->usage,
             secret->usage_id);
    }
}

static void note_value(Side *side, const CstConnSecret *secret)
{
    g_auto(CstSecretBytes) value = {0};

    outcome(side, "get value", cst_conn_secret_get_value(side->conn, secret, &value, &side->error));
    note(side, "%zu bytes: %.*s", value.len, (int)value.len,
         value.data ? (const char *)value.data : "");
}

static void play_secrets(Side *side)
{
    const char *xml = "<secret ephemeral='no' private='no'><uuid>" UUID_A "</uuid>"
                      "<usage type='ceph'><name>key of c</name></usage></secret>";
    g_autoptr(CstConnSecret) secret = cst_conn_secret_define(side->conn, xml, 0, &side->error);
    g_autoptr(CstConnSecret) found = NULL;
    g_autoptr(CstConnSecret) missing = NULL;
    char *text;

    outcome(side, "define", secret != NULL);
    note_value(side, secret);
    outcome(
        side, "set value",
        cst_conn_secret_set_value(side->conn, secret, (const uint8_t *)"hush", 4, &side->error));
    note_value(side, secret);
    note_secrets(side);
    outcome(side, "by usage",
            (found = cst_conn_secret_by_usage(side->conn, CST_SECRET_CEPH, "key of c",
                                              &side->error)) != NULL);
    outcome(side, "by wrong usage",
            (missing = cst_conn_secret_by_usage(side->conn, CST_SECRET_CEPH, "x", &side->error)) !=
                NULL);
    text = cst_conn_secret_xml(side->conn, secret, &side->error);
    note_text(side, "xml", text);
    outcome(side, "undefine", cst_conn_secret_undefine(side->conn, secret, &side->error));
    outcome(side, "undefine again", cst_conn_secret_undefine(side->conn, secret, &side->error));
    note_secrets(side);
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_event(const CstConnEvent *event, gpointer data)
{
    note(data, "event %d kind %d of %s", event->type, event->kind, event->pool);
}

static void wait_for(Side *side, guint count)
{
    guint delivered = 0;

    for (guint total = 0; total < count; total += delivered) {
        assert_true(cst_conn_wait_events(side->conn, 5000, -1, &delivered, NULL));
        if (delivered == 0)
            fail_msg("only %u of %u events", total, count);
    }
}

static void play_events(Side *side)
{
    g_autoptr(CstPoolRef) pool = NULL;
    guint lifecycle, refresh, delivered = 1;

    outcome(side, "subscribe",
            cst_conn_subscribe(side->conn, CST_CONN_EVENT_POOL_LIFECYCLE, NULL, on_event, side,
                               &lifecycle, &side->error));
    pool = make_active_pool(side);
    outcome(side, "subscribe to one",
            cst_conn_subscribe(side->conn, CST_CONN_EVENT_POOL_REFRESH, &pool->uuid, on_event, side,
                               &refresh, &side->error));
    outcome(side, "refresh", cst_conn_pool_refresh(side->conn, pool, 0, &side->error));
    wait_for(side, 4);
    outcome(side, "unsubscribe", cst_conn_unsubscribe(side->conn, lifecycle, &side->error));
    outcome(side, "unsubscribe again", cst_conn_unsubscribe(side->conn, lifecycle, &side->error));
    outcome(side, "stop", cst_conn_pool_stop(side->conn, pool, &side->error));
    assert_true(cst_conn_wait_events(side->conn, 50, -1, &delivered, NULL));
    note(side, "%u more", delivered);
}

/* --- comparing ------------------------------------------------------------------------------- */

/** Names the first line in which both differ. */
static void pools_behave_the_same(void **state)
{
    const char *const must[] = {"start again: state, exit 5: ", "- a\n",
                                "by wrong name: no-pool, exit 3: Storage pool not found: ",
                                "active 1 persistent 1 autostart 1 state 2 volumes 0 sized 1",
                                NULL};

    compare(play_pools, must);
}

static void descriptions_are_the_same(void **state)
{
    const char *const must[] = {"<path>ROOT/images</path>", "<storagepoolCapabilities>",
                                "type: done\nstorage\n", NULL};

    compare(play_descriptions, must);
}

static void volumes_behave_the_same(void **state)
{
    const char *const must[] = {"create: volume-exists, exit 5: ",
                                "- cow.qcow2 ROOT/images/cow.qcow2 ROOT/images/cow.qcow2 0 8388608",
                                "delete again: no-volume, exit 3: ", NULL};

    compare(play_volumes, must);
}

static void streams_behave_the_same(void **state)
{
    const char *const must[] = {"upload: done\n5242883 of 5242883\n", "sparse 1, ",
                                "too much: no-space", "cancelled: cancelled", NULL};

    compare(play_streams, must);
}

static void secrets_behave_the_same(void **state)
{
    const char *const must[] = {"4 bytes: hush", "by wrong usage: no-secret, exit 3", NULL};

    compare(play_secrets, must);
}

static void events_behave_the_same(void **state)
{
    const char *const must[] = {"event 0 kind 0 of a", "event 0 kind 2 of a", "event 1 kind 0 of a",
                                "\n0 more\n", NULL};

    compare(play_events, must);
}

static void read_only_is_read_only_on_both(void **state)
{
    for (int remote = 0; remote < 2; remote++) {
        g_autoptr(CstPoolRef) pool = NULL;
        g_autoptr(CstConn) conn = NULL;
        g_autoptr(GPtrArray) pools = NULL;
        CstConnOptions options = {.read_only = TRUE};
        GError *error = NULL;
        Side side;

        side_open(&side, remote);
        pool = make_pool(&side);
        options.root = side.root;
        conn = cst_conn_open(NULL, &options, NULL);
        assert_non_null(conn);
        assert_int_equal(cst_conn_is_embedded(conn), !remote);
        pools = cst_conn_pool_list(conn, 0, NULL);
        assert_int_equal(pools->len, 1);
        assert_false(cst_conn_pool_undefine(conn, pool, &error));
        assert_int_equal(error->code, CST_ERROR_READ_ONLY);
        g_clear_error(&error);
        side_close(&side);
    }
}

static gboolean note_range(uint64_t offset, uint64_t length, gpointer data, GError **error)
{
    note(data, " %" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT, offset, length);
    return TRUE;
}

static void tell_changes(Side *side, const CstVolRef *vol, const char *since, const char *until)
{
    CstVolChanged told = {0};

    outcome(side, "changed",
            cst_conn_vol_changed(side->conn, vol, since, until, note_range, side, NULL, &told,
                                 &side->error));
    note(side, "%" G_GUINT64_FORMAT " %d", told.capacity, told.identity && told.identity[0]);
    g_free(told.identity);
}

/* A snapshot set of one volume. */
static void take_set(Side *side, const CstPoolRef *pool, const char *name)
{
    CstVolRef vol = {.pool = pool->name, .name = (char *)"v", .key = (char *)"v"};
    const CstSnapshotRequest request = {.name = name};
    g_autoptr(GPtrArray) vols = g_ptr_array_new();
    g_auto(CstSnapshotSet) set = {0};

    g_ptr_array_add(vols, &vol);
    outcome(side, "set",
            cst_conn_snapshot_create_set(side->conn, vols, &request, NULL, &set, &side->error));
    note(side, "%d %s", set.one_step, cst_consistency_word(set.consistency));
}

static void play_snapshots(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstVolRef) vol = NULL;
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GPtrArray) list = NULL;
    g_auto(GStrv) lost = NULL;

    vol = cst_conn_vol_create(side->conn, pool,
                              "<volume><name>v</name><capacity>1048576</capacity><target>"
                              "<format type='qcow2'/></target></volume>",
                              0, NULL, &side->error);
    outcome(side, "create", vol != NULL);
    outcome(side, "take", cst_conn_snapshot_create(side->conn, vol, "s", 0, task, &side->error));
    outcome(side, "again", cst_conn_snapshot_create(side->conn, vol, "s", 0, NULL, &side->error));
    take_set(side, pool, "s");
    take_set(side, pool, "set");
    outcome(side, "sized",
            cst_conn_snapshot_create(side->conn, vol, "t", 4096, NULL, &side->error));
    outcome(side, "rename", cst_conn_snapshot_rename(side->conn, vol, "s", "u", &side->error));
    outcome(side, "grow", cst_conn_vol_resize(side->conn, vol, 2097152, 0, NULL, &side->error));
    tell_changes(side, vol, "u", NULL);
    tell_changes(side, vol, "u", "u");
    tell_changes(side, vol, "s", NULL);
    lost = cst_conn_snapshot_revert_loses(side->conn, vol, "u", &side->error);
    outcome(side, "lost", lost != NULL);
    note(side, "%u", lost ? g_strv_length(lost) : 99);
    outcome(side, "none", cst_conn_snapshot_revert(side->conn, vol, "s", NULL, task, &side->error));
    outcome(side, "revert",
            cst_conn_snapshot_revert(side->conn, vol, "u", NULL, task, &side->error));
    outcome(side, "clone", cst_conn_snapshot_clone(side->conn, vol, "u", "w", task, &side->error));
    list = cst_conn_snapshot_list(side->conn, vol, &side->error);
    outcome(side, "list", list != NULL);
    for (guint i = 0; list && i < list->len; i++) {
        const CstSnapshot *snapshot = list->pdata[i];

        note(side, "- %s %s %" G_GUINT64_FORMAT " %d %s", snapshot->name, snapshot->kept_by,
             snapshot->capacity, snapshot->allocation == CST_SNAPSHOT_UNKNOWN,
             snapshot->problem ? snapshot->problem : "fine");
    }
    outcome(side, "delete", cst_conn_snapshot_delete(side->conn, vol, "u", NULL, &side->error));
}

static void snapshots_behave_the_same(void **state)
{
    const char *const must[] = {"again: exists",    "none: not-found, exit 3",
                                "clone: done",      "- u qcow2 1048576 1 fine",
                                " 1048576+1048576", "2097152 1",
                                "1048576 1",        "changed: not-found, exit 3",
                                "delete: done",     NULL};

    compare(play_snapshots, must);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_behave_the_same),   cmocka_unit_test(descriptions_are_the_same),
        cmocka_unit_test(volumes_behave_the_same), cmocka_unit_test(snapshots_behave_the_same),
        cmocka_unit_test(streams_behave_the_same), cmocka_unit_test(secrets_behave_the_same),
        cmocka_unit_test(events_behave_the_same),  cmocka_unit_test(read_only_is_read_only_on_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <string.h>

#include <pool/memory.h>
#include <service/trash.h>
#include <store/trash.h>

/*
 * Every call that an operation makes of the backend fails once. The operation then fails with that
 * very error, everything is as it was before (facts_text()), nobody was told of a change, and the
 * same operation succeeds at once when it is tried again: no claim is left behind. The failures
 * that an operation may survive are the rows of tolerated[], each with its reason; after those it
 * is done as if nothing had failed. A row that no fault needs fails the test.
 */

#define MOST_CALLS 40
#define MAX_WAIT   (60 * G_TIME_SPAN_SECOND)

static const char *const callbacks[] = {
    "build",
    "check",
    "destroy",
    "drop_drafts",
    "flush",
    "pread",
    "pwrite",
    "scan",
    "scan_one",
    "snapshots.changed",
    "snapshots.create",
    "snapshots.list",
    "snapshots.open",
    "snapshots.remove",
    "snapshots.rename",
    "snapshots.revert",
    "start",
    "stop",
    "thin",
    "usage",
    "vol_children",
    "vol_commit",
    "vol_delete",
    "vol_flatten",
    "vol_holders",
    "vol_make",
    "vol_open",
    "vol_rename",
    "vol_reserve",
    "vol_reserve_clone",
    "vol_resize",
};

/* The class is kept; the second one is what some callers could take for an answer. */
static const CstErrorCode classes[] = {CST_ERROR_IO, CST_ERROR_NOT_FOUND};

/* --- failures that may go unheard ------------------------------------------------------------- */

typedef struct {
    const char *operation;
    const char *callback;
    guint nth; /* from 1; 0: each call */
    const char *why;
    gboolean needed; /* set when it is */
} Tolerated;

static const char look_after[] = "it is done, and looked at again before anybody is shown it";
static const char figure[] = "it is done; the pool's usage is as of the last look that succeeded";

static const char tried_again[] =
    "what fails is tried again as long as any volume could be removed";
static const char children[] = "the volumes based on it are looked at again before they are shown";
static const char by_record[] = "the record counts, and what it names is looked at before its use";

static Tolerated tolerated[] = {
    {"create", "scan_one", 1, look_after, FALSE},
    {"create written", "scan_one", 2, look_after, FALSE},
    {"clone", "scan_one", 4, look_after, FALSE},
    {"copy", "scan_one", 4, look_after, FALSE},
    {"grow", "scan_one", 2, look_after, FALSE},
    {"shrink", "scan_one", 2, look_after, FALSE},
    {"wipe", "scan_one", 2, look_after, FALSE},
    {"trim", "scan_one", 2, look_after, FALSE},
    {"upload", "scan_one", 2, look_after, FALSE},
    {"flatten", "scan_one", 2, look_after, FALSE},
    {"snapshot", "scan_one", 1, look_after, FALSE},
    {"revert", "scan_one", 1, look_after, FALSE},
    {"snapshot delete", "scan_one", 1, look_after, FALSE},
    {"snapshot rename", "scan_one", 1, look_after, FALSE},
    {"snapshot clone", "scan_one", 3, look_after, FALSE},
    {"create", "usage", 1, figure, FALSE},
    {"create written", "usage", 1, figure, FALSE},
    {"clone", "usage", 1, figure, FALSE},
    {"copy", "usage", 1, figure, FALSE},
    {"delete", "usage", 1, figure, FALSE},
    {"delete with snapshots", "usage", 1, figure, FALSE},
    {"grow", "usage", 1, figure, FALSE},
    {"shrink", "usage", 1, figure, FALSE},
    {"wipe", "usage", 1, figure, FALSE},
    {"trim", "usage", 1, figure, FALSE},
    {"upload", "usage", 1, figure, FALSE},
    {"flatten", "usage", 1, figure, FALSE},
    {"snapshot", "usage", 1, figure, FALSE},
    {"revert", "usage", 1, figure, FALSE},
    {"snapshot delete", "usage", 1, figure, FALSE},
    {"snapshot rename", "usage", 1, figure, FALSE},
    {"snapshot clone", "usage", 1, figure, FALSE},
    {"rename volume", "scan_one", 6, look_after, FALSE},
    {"rename volume", "scan_one", 7, look_after, FALSE},
    {"rename volume", "usage", 0, figure, FALSE},
    {"rename volume", "vol_children", 1, children, FALSE},
    {"trash", "usage", 0, figure, FALSE},
    {"trash", "vol_children", 2, children, FALSE},
    {"restore", "scan_one", 1, by_record, FALSE},
    {"restore", "scan_one", 6, look_after, FALSE},
    {"restore", "usage", 0, figure, FALSE},
    {"restore", "vol_children", 1, children, FALSE},
    {"empty", "scan_one", 0, tried_again, FALSE},
    {"empty", "snapshots.list", 0, tried_again, FALSE},
    {"empty", "snapshots.remove", 0, tried_again, FALSE},
    {"empty", "vol_children", 0, tried_again, FALSE},
    {"empty", "vol_delete", 0, tried_again, FALSE},
    {"empty", "vol_holders", 0, tried_again, FALSE},
    {"empty", "usage", 0, figure, FALSE},
    {"empty one", "scan_one", 1, by_record, FALSE},
    {"empty one", "usage", 0, figure, FALSE},
    {"move", "scan_one", 5, look_after, FALSE},
    {"move", "scan_one", 7, look_after, FALSE},
    {"move", "usage", 0, figure, FALSE},
    {"move with snapshots", "scan_one", 5, look_after, FALSE},
    {"move with snapshots", "scan_one", 7, look_after, FALSE},
    {"move with snapshots", "usage", 0, figure, FALSE},
    {"snapshot set", "scan_one", 0, look_after, FALSE},
    {"snapshot set", "usage", 0, figure, FALSE},
    {"receive", "scan_one", 2, look_after, FALSE},
    {"receive", "usage", 0, figure, FALSE},
    {"half an upload", "scan_one", 2, look_after, FALSE},
    {"half an upload", "usage", 0, figure, FALSE},
};

static gboolean is_tolerated(const FaultOperation *operation, const char *callback, guint nth)
{
    for (size_t i = 0; i < G_N_ELEMENTS(tolerated); i++) {
        Tolerated *row = &tolerated[i];

        if (strcmp(row->operation, operation->name) == 0 && strcmp(row->callback, callback) == 0 &&
            (row->nth == nth || row->nth == 0))
            return row->needed = TRUE;
    }
    return FALSE;
}

/* --- what there is ---------------------------------------------------------------------------- */

static void add_files(GString *text, const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
    const char *entry;

    while (entries && (entry = g_dir_read_name(entries)))
        g_string_append_printf(text, "file %s\n", entry);
}

/* The part of a hidden name that is drawn by lot becomes the same for all. */
static void hide_ids(GString *text)
{
    static const char prefix[] = CST_TRASH_PREFIX;

    for (char *at = text->str; (at = strstr(at, prefix));) {
        char *end = at + strcspn(at, " @\n");

        if (end - at > (ptrdiff_t)strlen(prefix) + 12)
            memset(end - 12, 'x', 12);
        at = end;
    }
}

/* The volumes that are protected, and the volumes that the pool keeps in its trash. */
static void add_kept(GString *text, Site *site)
{
    g_autoptr(GPtrArray) names = cst_pool_protected(site->pool, NULL);
    g_autoptr(GPtrArray) rows = cst_pool_trash_list(site->pool, NULL);
    g_autoptr(GPtrArray) records = cst_trash_list(site->paths, cst_pool_uuid(site->pool), NULL);

    for (guint i = 0; names && i < names->len; i++)
        g_string_append_printf(text, "protected %s\n", (char *)g_ptr_array_index(names, i));
    for (guint i = 0; rows && i < rows->len; i++) {
        const CstTrashRow *row = g_ptr_array_index(rows, i);

        g_string_append_printf(text, "trashed %s of %d bytes as %s\n", row->name,
                               (int)row->capacity, row->hidden);
    }
    for (guint i = 0; records && i < records->len; i++)
        g_string_append_printf(text, "record of %s\n",
                               ((const CstTrashed *)g_ptr_array_index(records, i))->name);
}

static char *content_sum(Site *site, const char *volume)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    CstDownload *download = cst_vol_download(site->pool, volume, 0, 0, 0, NULL, NULL);
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);
    uint64_t hole;
    size_t len;

    assert_non_null(download);
    do {
        assert_true(cst_download_read(download, block, TAG_BLOCK, &len, &hole, NULL));
        g_checksum_update(sum, block, (gssize)len);
    } while (len > 0);
    cst_download_free(download);
    return g_strdup(g_checksum_get_string(sum));
}

/* The volume's document but for its times. */
static char *timeless_xml(Site *site, const char *name)
{
    g_autofree char *xml = cst_vol_get_xml(site->pool, name, 0, NULL);
    char *times = xml ? strstr(xml, "<timestamps>") : NULL;

    if (!times) {
        fail_msg("volume '%s' has no times", name);
        return NULL;
    }
    *times = '\0';
    return g_strconcat(xml, strstr(times + 1, "</timestamps>"), NULL);
}

/* As the listing has it, then as it is found. */
static void add_volume(GString *text, Site *site, const CstVolRow *row, FaultParts but)
{
    g_autofree char *xml = timeless_xml(site, row->name);
    g_autofree char *snapshots = snapshot_names(site, row->name);
    g_autofree char *sum = content_sum(site, row->name);

    g_string_append_printf(text, "volume %s of %" G_GUINT64_FORMAT "\n", row->name,
                           row->info.capacity);
    if (!(but & FAULT_CONTENT))
        g_string_append_printf(text, "allocated %" G_GUINT64_FORMAT "\n%scontent %s\n",
                               row->info.allocation, xml, sum);
    if (!(but & FAULT_SNAPSHOTS))
        g_string_append_printf(text, "snapshots %s\n", snapshots);
}

static void add_volumes(GString *text, Site *site, FaultParts but)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows =
        cst_pool_list_volumes(site->pool, NULL, 0, CST_VOL_ROWS_DETAILS, &error);

    assert_no_error(error);
    for (guint i = 0; i < rows->len; i++) {
        const CstVolRow *row = g_ptr_array_index(rows, i);

        add_volume(text, site, row, strcmp(row->name, "v") == 0 ? but : FAULT_WHOLE);
    }
}

static void add_pool(GString *text, Site *site, FaultParts but)
{
    const char *pool = cst_pool_name(site->pool);
    g_autofree char *native = but & FAULT_SNAPSHOTS ? NULL : site_native(site, pool);
    gboolean active = cst_pool_is_active(site->pool);

    g_string_append_printf(text, "pool %s\nactive %d\nnative %s\n", pool, active, native);
    add_kept(text, site);
    if (active) {
        g_autofree char *names = volume_names(site);

        g_string_append_printf(text, "listed %s\n", names);
        add_volumes(text, site, but);
    }
}

/*
 * All that can be told of the pools: the technology's own list with its drafts, the volumes with
 * their content and snapshots, the trash, the protection, and the files of the service that say
 * what is under way. @but: what does not count of "v".
 */
static char *facts_text(Site *site, FaultParts but)
{
    g_autoptr(CstPool) second = cst_service_pool_by_name(site->service, "q", NULL);
    GString *text = g_string_new(NULL);
    Site there = *site;

    add_files(text, site->paths->data_dir, "journal");
    add_files(text, site->paths->pool_run_dir, ".");
    add_pool(text, site, but);
    there.pool = second;
    if (second)
        add_pool(text, &there, FAULT_WHOLE);
    hide_ids(text);
    return g_string_free(text, FALSE);
}

static void note_event(const CstEvent *event, gpointer data)
{
    g_string_append_printf(data, "%d/%d ", event->type, event->kind);
}

/* --- one run ---------------------------------------------------------------------------------- */

/** The state after an operation. */
typedef struct {
    char *facts;
    GString *events;
} Outcome;

static void outcome_clear(Outcome *outcome)
{
    g_free(outcome->facts);
    g_string_free(outcome->events, TRUE);
}

/** One fault, for messages. */
typedef struct {
    const FaultOperation *operation;
    const char *callback;
    guint nth;
    CstErrorCode class;
    const char *before; /* facts */
    const Outcome *wanted;
} Case;

static void fail_case(const Case *c, const char *what, const char *detail)
{
    fail_msg("%s, call %u of %s fails with %d: %s: %s", c->operation->name, c->nth, c->callback,
             c->class, what, detail);
}

static gboolean run_once(Site *site, const FaultOperation *operation, GString *events,
                         GError **error)
{
    g_autoptr(CstTask) task = cst_task_new();
    guint id = cst_service_subscribe(site->service, note_event, events);
    gboolean done;

    cst_task_set_max_wait(task, MAX_WAIT);
    done = operation->run(site, task, error);
    cst_service_unsubscribe(site->service, id);
    return done;
}

/* Removes all that an earlier operation has left in the pool @name. */
static void clear_pool(Site *site, const char *name)
{
    g_autoptr(CstPool) pool = cst_service_pool_by_name(site->service, name, NULL);
    g_autoptr(GPtrArray) marked = pool ? cst_pool_protected(pool, NULL) : NULL;
    char **names = site->ground->native_list(name);
    uint64_t bytes;
    guint count;

    for (guint i = 0; marked && i < marked->len; i++)
        assert_true(cst_vol_protect(pool, g_ptr_array_index(marked, i), FALSE, NULL, NULL));
    if (pool && cst_pool_is_active(pool))
        assert_true(cst_pool_trash_empty(pool, NULL, 0, NULL, &count, &bytes, NULL));
    for (char **one = names; *one; one++)
        cst_memory_take(name, *one);
    g_strfreev(names);
    if (pool && cst_pool_is_active(pool))
        assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
}

/* Gives the pool "p" its first definition, which has no trash. */
static void drop_trash(Site *site)
{
    g_autofree char *xml = site->ground->pool_xml("p");
    g_autoptr(GString) text = g_string_new(xml);
    g_autofree char *uuid = NULL;
    char id[CST_UUID_TEXT_LEN];
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) error = NULL;

    uuid =
        g_strdup_printf("<uuid>%s</uuid></pool>", cst_uuid_format(cst_pool_uuid(site->pool), id));
    g_string_replace(text, "</pool>", uuid, 1);
    pool = cst_service_pool_define(site->service, text->str, 0, &error);
    assert_no_error(error);
    assert_non_null(pool);
}

/* "v" holds 2 and its snapshot "s" 1; "w" is another volume. */
static void stage(Site *site, const FaultOperation *operation)
{
    g_autoptr(GError) error = NULL;

    clear_pool(site, "p");
    clear_pool(site, "q");
    drop_trash(site);
    cst_pool_build(site->pool, 0, NULL, NULL);
    if (!cst_pool_is_active(site->pool))
        assert_true(cst_pool_start(site->pool, 0, NULL, NULL));
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    volume_make(site, "v", FAULT_VOLUME_SIZE);
    volume_make(site, "w", FAULT_VOLUME_SIZE);
    content_write(site, "v", 0, FAULT_VOLUME_BLOCKS, 1);
    assert_true(cst_vol_snapshot_create(site->pool, "v", "s", 0, NULL, NULL));
    content_write(site, "v", 0, FAULT_VOLUME_BLOCKS, 2);
    if (operation->before && !operation->before(site, NULL, &error))
        fail_msg("%s: %s", operation->name, error->message);
}

static void assert_facts(const Case *c, Site *site, const char *wanted, FaultParts but,
                         const char *what)
{
    g_autofree char *now = facts_text(site, but);

    if (strcmp(now, wanted) != 0)
        fail_msg("%s, call %u of %s fails with %d: %s:\n%s\nand not\n%s", c->operation->name,
                 c->nth, c->callback, c->class, what, now, wanted);
}

/* The service's tables equal the storage. */
static void assert_known(const Case *c, Site *site, const char *wanted, FaultParts but)
{
    assert_facts(c, site, wanted, but, "known is");
    if (!cst_pool_is_active(site->pool))
        return;
    assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    assert_facts(c, site, wanted, but, "there is");
}

/* Whether the operation has left its intent. */
static gboolean is_left(Site *site)
{
    g_autoptr(GString) text = g_string_new(NULL);

    add_files(text, site->paths->data_dir, "journal");
    return text->len > 0;
}

/* The next start undoes or completes a failed operation. Returns TRUE if it completed it. */
static gboolean is_completed_by_start(const Case *c, Site *site)
{
    g_autofree char *now = NULL;

    if (!is_left(site))
        return FALSE;
    site_restart(site);
    now = facts_text(site, FAULT_WHOLE);
    return strcmp(now, c->wanted->facts) == 0;
}

/* A move may end with its copy complete and the original there: the caller removes the copy. */
static gboolean remove_copy(Site *site, const GError *error)
{
    g_autoptr(CstPool) second = cst_service_pool_by_name(site->service, "q", NULL);

    if (!g_str_has_prefix(error->message, "the copy '"))
        return FALSE;
    assert_true(cst_vol_delete(second, "moved", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL, NULL));
    return TRUE;
}

static void assert_told(const Case *c, Site *site, const GError *error, const char *events)
{
    g_autofree char *words = g_strconcat(c->callback, " was told to fail", NULL);
    g_autoptr(GError) again = NULL;
    g_autoptr(GString) later = g_string_new(NULL);
    gboolean was_copied;

    if (error->code != (int)c->class || !strstr(error->message, words))
        fail_case(c, "the error is another", error->message);
    if (*events && !(c->operation->partly & (FAULT_CONTENT | FAULT_EVENTS)))
        fail_case(c, "events were sent", events);
    if (is_completed_by_start(c, site)) {
        assert_known(c, site, c->wanted->facts, FAULT_WHOLE);
        return;
    }
    was_copied = remove_copy(site, error);
    assert_known(c, site, c->before, c->operation->partly);
    if (!run_once(site, c->operation, later, &again))
        fail_case(c, "it fails when it is tried again", again->message);
    /* The original that was half deleted has no snapshots to take along. */
    if (!was_copied || !(c->operation->partly & FAULT_SNAPSHOTS))
        assert_known(c, site, c->wanted->facts, FAULT_WHOLE);
}

/* FALSE once the operation makes fewer calls of the callback than that. */
static gboolean fail_one(Site *site, const Case *c)
{
    g_autoptr(GString) events = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    gboolean done, struck;

    stage(site, c->operation);
    cst_memory_fault_as(c->callback, c->nth, c->class);
    done = run_once(site, c->operation, events, &error);
    struck = cst_memory_struck();
    cst_memory_release();
    if (!done && !struck)
        fail_case(c, "it fails without a fault", error->message);
    if (struck && done && !is_left(site) && !is_tolerated(c->operation, c->callback, c->nth))
        fail_case(c, "nobody was told", "it succeeds");
    if (done) {
        is_completed_by_start(c, site);
        assert_known(c, site, c->wanted->facts, FAULT_WHOLE);
        assert_string_equal(events->str, c->wanted->events->str);
    } else {
        assert_told(c, site, error, events->str);
    }
    return struck;
}

static void fail_each(Site *site, const FaultOperation *operation, CstErrorCode class)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL;
    Outcome wanted = {.events = g_string_new(NULL)};
    Case c = {.operation = operation, .class = class, .wanted = &wanted};
    guint faults = 0;

    stage(site, operation);
    c.before = before = facts_text(site, operation->partly);
    if (!run_once(site, operation, wanted.events, &error))
        fail_msg("%s: %s", operation->name, error->message);
    wanted.facts = facts_text(site, FAULT_WHOLE);
    c.callback = "no callback";
    assert_known(&c, site, wanted.facts, FAULT_WHOLE);
    for (size_t i = 0; i < G_N_ELEMENTS(callbacks); i++) {
        c.callback = callbacks[i];
        for (c.nth = 1; c.nth < MOST_CALLS && fail_one(site, &c); c.nth++)
            faults++;
    }
    if (faults == 0)
        fail_msg("%s: nothing can fail", operation->name);
    outcome_clear(&wanted);
}

void every_fault_is_told(Site *site)
{
    for (size_t i = 0; fault_operations[i].name; i++)
        for (size_t j = 0; j < G_N_ELEMENTS(classes); j++)
            fail_each(site, &fault_operations[i], classes[j]);
    for (size_t i = 0; i < G_N_ELEMENTS(tolerated); i++)
        if (!tolerated[i].needed)
            fail_msg("%s: call %u of %s need not be tolerated (%s)", tolerated[i].operation,
                     tolerated[i].nth, tolerated[i].callback, tolerated[i].why);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The intent journal (see the header).
 *
 * A record is written under a temporary name (UUID.intent.new), locked, and renamed to UUID.intent.
 * So replay never sees an incomplete record, or an unlocked record of a live process. Ending an
 * intent unlinks the file.
 *
 * Records are not synced if drafts have recognisable names. Then the journal is only for processes
 * that die; after a power loss drafts are found by their names when a pool starts. Some drafts are
 * distinguished from volumes only by the journal. Their record is synced before the draft is
 * created, and its end is synced before the volume is reported. A change that would otherwise leave
 * no trace is recorded durably (cst_journal_begin_durable()), and so is its end.
 *
 * The only locks are on the files, so replays run at the same time as new intents. The exception is
 * cst_journal_replay(), which also removes temporary files and therefore runs under the driver
 * lock.
 */
#include <store/journal.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/uuid.h>

#define GROUP  "intent"
#define DRAFT  "draft"  /* field: the token of a draft */
#define VOLUME "volume" /* field: the future name of the volume */
#define SUFFIX ".intent"
/*
 * Bytes; a longer record is neither written nor read. The rename of a base with 10,000 overlays
 * takes up to 2.7 KiB for each one.
 */
#define RECORD_LIMIT (32u << 20)

struct CstJournal {
    char *dir;
};

struct CstIntent {
    char *path; /* NULL: the intent of a dry run, which has no record */
    CstFd fd;   /* holds the lock */
    gboolean durable;
};

CstJournal *cst_journal_new(const CstPaths *paths)
{
    CstJournal *journal = g_new0(CstJournal, 1);

    journal->dir = g_build_filename(paths->data_dir, "journal", NULL);
    return journal;
}

void cst_journal_free(CstJournal *journal)
{
    if (!journal)
        return;
    g_free(journal->dir);
    g_free(journal);
}

static void intent_free(CstIntent *intent)
{
    cst_fd_clear(&intent->fd);
    g_free(intent->path);
    g_free(intent);
}

static gboolean lock_intent(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static void set_field(GKeyFile *record, const char *name, const char *value)
{
    g_key_file_set_string(record, GROUP, name, value);
}

/*
 * Returns the path of the record. A draft's record has its token as its name, so that the token is
 * known even if the content is lost.
 */
static char *name_record(const CstJournal *journal, GKeyFile *record)
{
    g_autofree char *token = g_key_file_get_string(record, GROUP, DRAFT, NULL);
    char id_text[CST_UUID_TEXT_LEN];
    CstUuid id;

    if (!token || !cst_uuid_parse(token, &id))
        cst_uuid_generate(&id);
    return g_strconcat(journal->dir, "/", cst_uuid_format(&id, id_text), SUFFIX, NULL);
}

/* Not synced; see the head of this file. */
static gboolean write_record(CstIntent *intent, const char *text, GError **error)
{
    g_autofree char *temporary = g_strconcat(intent->path, ".new", NULL);

    intent->fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (intent->fd < 0)
        return cst_fail_errno(error, errno, _("cannot create '%s'"), temporary);
    if (!cst_pwrite_full(intent->fd, text, strlen(text), 0, temporary, error) ||
        !lock_intent(intent->fd) || rename(temporary, intent->path) < 0) {
        if (error && !*error)
            cst_fail_errno(error, errno, _("cannot record '%s'"), intent->path);
        unlink(temporary);
        return FALSE;
    }
    return TRUE;
}

gboolean cst_intent_sync(CstIntent *intent, GError **error)
{
    if (!intent->path)
        return TRUE;
    if (fsync(intent->fd) < 0)
        return cst_fail_errno(error, errno, _("cannot sync '%s'"), intent->path);
    return cst_parent_sync(intent->path, error);
}

static CstIntent *intent_create(const CstJournal *journal, GKeyFile *record, GError **error)
{
    g_autofree char *text = g_key_file_to_data(record, NULL, NULL);
    CstIntent *intent;

    if (strlen(text) > RECORD_LIMIT) {
        cst_fail(error, CST_ERROR_LIMIT, _("the change is too large for one record"));
        return NULL;
    }
    if (!cst_dir_ensure(journal->dir, 0700, error))
        return NULL;
    intent = g_new0(CstIntent, 1);
    intent->path = name_record(journal, record);
    if (!write_record(intent, text, error)) {
        intent_free(intent);
        return NULL;
    }
    CST_CRASH_POINT("journal.begun");
    return intent;
}

/* Returns an intent without a record, because a dry run makes no change that needs undoing. */
static CstIntent *dry_intent(void)
{
    CstIntent *intent = g_new0(CstIntent, 1);

    intent->fd = -1;
    return intent;
}

CstIntent *cst_journal_begin(CstJournal *journal, GError **error, const char *operation, ...)
{
    g_autoptr(GKeyFile) record = g_key_file_new();
    const char *name;
    va_list fields;

    if (cst_dry_run())
        return dry_intent();
    set_field(record, "operation", operation);
    va_start(fields, operation);
    while ((name = va_arg(fields, const char *)))
        set_field(record, name, va_arg(fields, const char *));
    va_end(fields);
    return intent_create(journal, record, error);
}

CstIntent *cst_journal_begin_durable(CstJournal *journal, const char *operation, GHashTable *fields,
                                     GError **error)
{
    g_autoptr(GKeyFile) record = g_key_file_new();
    GHashTableIter iter;
    gpointer name, value;
    CstIntent *intent;

    if (cst_dry_run())
        return dry_intent();
    set_field(record, "operation", operation);
    g_hash_table_iter_init(&iter, fields);
    while (g_hash_table_iter_next(&iter, &name, &value))
        set_field(record, name, value);
    intent = intent_create(journal, record, error);
    if (!intent)
        return NULL;
    intent->durable = TRUE;
    if (cst_intent_sync(intent, error))
        return intent;
    cst_intent_end(intent);
    return NULL;
}

gboolean cst_intent_end_synced(CstIntent *intent, GError **error)
{
    if (intent->path && unlink(intent->path) < 0)
        return cst_fail_errno(error, errno, _("cannot remove '%s'"), intent->path);
    if (intent->path && !cst_parent_sync(intent->path, error))
        return FALSE;
    intent_free(intent);
    return TRUE;
}

void cst_intent_end(CstIntent *intent)
{
    g_autoptr(GError) error = NULL;

    if (!intent)
        return;
    if (intent->path && unlink(intent->path) < 0 && errno != ENOENT)
        cst_log(CST_LOG_WARNING, "cannot remove '%s': %s", intent->path, g_strerror(errno));
    if (intent->path && intent->durable && !cst_parent_sync(intent->path, &error))
        cst_log(CST_LOG_WARNING, "%s", error->message);
    intent_free(intent);
}

void cst_intent_keep(CstIntent *intent)
{
    if (intent)
        intent_free(intent);
}

/*
 * Returns the fields of a record. The table is empty if the record is damaged. Returns NULL with
 * @error if it cannot be read.
 */
static GHashTable *intent_read_fields(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GKeyFile) record = g_key_file_new();
    g_auto(GStrv) keys = NULL;
    GHashTable *fields;

    if (!cst_file_read(path, RECORD_LIMIT, &text, NULL, error))
        return NULL;
    fields = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (g_key_file_load_from_data(record, text, (gsize)-1, G_KEY_FILE_NONE, NULL))
        keys = g_key_file_get_keys(record, GROUP, NULL, NULL);
    for (char **key = keys; key && *key; key++)
        g_hash_table_insert(fields, g_strdup(*key),
                            g_key_file_get_string(record, GROUP, *key, NULL));
    return fields;
}

/* --- all records ------------------------------------------------------------------------------ */

/* Is called for each record. @entry: the name of its file. FALSE with @error ends the walk. */
typedef gboolean (*JournalRecordFunc)(const CstJournal *journal, const char *entry, gpointer data,
                                      GError **error);

/* A missing directory has no records. Returns FALSE with @error if it cannot be read. */
static gboolean journal_walk(const CstJournal *journal, JournalRecordFunc func, gpointer data,
                             GError **error)
{
    DIR *dir = opendir(journal->dir);
    const struct dirent *entry;
    gboolean goes_on = TRUE;

    if (!dir)
        return errno == ENOENT || cst_fail_errno(error, errno, _("cannot open '%s'"), journal->dir);
    while (goes_on && (errno = 0, entry = readdir(dir)))
        if (g_str_has_suffix(entry->d_name, SUFFIX))
            goes_on = func(journal, entry->d_name, data, error);
    if (goes_on && errno != 0)
        goes_on = cst_fail_errno(error, errno, _("cannot read '%s'"), journal->dir);
    closedir(dir);
    return goes_on;
}

/*
 * Implements JournalRecordFunc: adds the draft of a record to the table @data. A record that cannot
 * be read, or is damaged, may belong to a draft with any name. A record that has ended since has no
 * draft.
 */
static gboolean journal_add_draft(const CstJournal *journal, const char *entry, gpointer data,
                                  GError **error)
{
    g_autofree char *path = g_build_filename(journal->dir, entry, NULL);
    g_autofree char *token = g_strndup(entry, strlen(entry) - strlen(SUFFIX));
    g_autoptr(GError) why = NULL;
    g_autoptr(GHashTable) fields = intent_read_fields(path, &why);
    gboolean known = fields && g_hash_table_contains(fields, "operation");
    const char *volume = known ? g_hash_table_lookup(fields, VOLUME) : NULL;

    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) ||
        (known && !g_hash_table_contains(fields, DRAFT)))
        return TRUE;
    g_hash_table_replace(data, g_steal_pointer(&token), g_strdup(volume ? volume : ""));
    return TRUE;
}

GHashTable *cst_journal_drafts(const CstJournal *journal, GError **error)
{
    g_autoptr(GHashTable) drafts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    return journal_walk(journal, journal_add_draft, drafts, error) ? g_steal_pointer(&drafts)
                                                                   : NULL;
}

typedef struct {
    const char *operation, *pool, *volume;
    gboolean found;
} JournalSearch;

/* Implements JournalRecordFunc. A record may end meanwhile. */
static gboolean journal_match(const CstJournal *journal, const char *entry, gpointer data,
                              GError **error)
{
    JournalSearch *search = data;
    g_autofree char *path = g_build_filename(journal->dir, entry, NULL);
    g_autoptr(GError) why = NULL;
    g_autoptr(GHashTable) fields = intent_read_fields(path, &why);

    if (!fields && g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return TRUE;
    if (!fields) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    search->found |= g_strcmp0(g_hash_table_lookup(fields, "operation"), search->operation) == 0 &&
                     g_strcmp0(g_hash_table_lookup(fields, "pool"), search->pool) == 0 &&
                     g_strcmp0(g_hash_table_lookup(fields, VOLUME), search->volume) == 0;
    return TRUE;
}

gboolean cst_journal_has(const CstJournal *journal, const char *operation, const char *pool,
                         const char *volume, gboolean *ret_found, GError **error)
{
    JournalSearch search = {.operation = operation, .pool = pool, .volume = volume};
    gboolean ok = journal_walk(journal, journal_match, &search, error);

    *ret_found = search.found;
    return ok;
}

/* --- replay ----------------------------------------------------------------------------------- */

typedef struct {
    const char *pool; /* replay only records of this pool; NULL: all */
    CstReplayFunc func;
    gpointer data;
} Replay;

/*
 * Whether the record belongs to the pool that is replayed. Checked before the record is locked.
 * Otherwise a simultaneous replay of another pool would mistake the locked record for a live intent
 * and skip it.
 */
static gboolean concerns_pool(const char *path, const Replay *replay)
{
    g_autoptr(GHashTable) fields = replay->pool ? intent_read_fields(path, NULL) : NULL;

    return !replay->pool ||
           (fields && g_strcmp0(g_hash_table_lookup(fields, "pool"), replay->pool) == 0);
}

static void replay_one(const char *path, const Replay *replay)
{
    g_autoptr(GHashTable) fields = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) fd =
        concerns_pool(path, replay) ? open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
    CstIntentRecord record;

    if (fd < 0)
        return;
    CST_TEST_POINT("journal.replay.opened");
    /* Locked: the intent is live, or another replay works on it. */
    if (!lock_intent(fd))
        return;
    fields = intent_read_fields(path, &error);
    if (!fields) {
        /* NOT_FOUND: the intent ended between the open and the lock. */
        if (!g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND))
            cst_log(CST_LOG_WARNING, "journal: %s", error->message);
        return;
    }
    /*
     * A record without an operation is damaged. It describes no work to complete, so it is removed.
     * Its draft is removed when the pool starts.
     */
    record.operation = g_hash_table_lookup(fields, "operation");
    record.fields = fields;
    if (record.operation && !replay->func(&record, replay->data, &error)) {
        if (error)
            cst_log(CST_LOG_WARNING, "journal: keeping '%s' for the next start: %s", path,
                    error->message);
        return;
    }
    CST_CRASH_POINT("journal.replayed");
    /*
     * Durably, because a record that returns after a power loss would be replayed over newer
     * content.
     */
    if (unlink(path) < 0)
        cst_log(CST_LOG_WARNING, "journal: cannot remove '%s': %s", path, g_strerror(errno));
    else if (!cst_parent_sync(path, &error))
        cst_log(CST_LOG_WARNING, "journal: %s", error->message);
}

static void replay_all(CstJournal *journal, gboolean sweep, const Replay *replay)
{
    GDir *dir = g_dir_open(journal->dir, 0, NULL);
    const char *entry;

    if (!dir)
        return;
    while ((entry = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(journal->dir, entry, NULL);

        if (g_str_has_suffix(entry, SUFFIX))
            replay_one(path, replay);
        else if (sweep && g_str_has_suffix(entry, SUFFIX ".new"))
            unlink(path);
    }
    g_dir_close(dir);
}

void cst_journal_replay(CstJournal *journal, CstReplayFunc replay, gpointer data)
{
    replay_all(journal, TRUE, &(Replay){.func = replay, .data = data});
}

void cst_journal_replay_kept(CstJournal *journal, const char *pool, CstReplayFunc replay,
                             gpointer data)
{
    replay_all(journal, FALSE, &(Replay){.pool = pool, .func = replay, .data = data});
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Appends records to the audit trail (audit_files.h). Each process of a root may append:
 *
 * 1. Acquire the flock of the file "head", and read the place after the last record from it.
 * 2. Write the line there. If a part of it cannot be written, truncate the file again.
 * 3. Overwrite "head".
 *
 * A process that is killed between 2 and 3 leaves a complete or an incomplete line after the place
 * in "head". The next writer adopts a complete line (trail_repair()). It ends an incomplete one
 * with a line break, and writes a record with the hash of these bytes. If lines are missing before
 * the place in "head", that record has their numbers, and the numbers go on after them.
 *
 * No write is synced. So a power cut may lose the last records, and "head" then usually shows it.
 *
 * The mutex of the handle guards all of its members. It is held during the append, because threads
 * of a process share the flock.
 */
#include <store/audit.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

#include "audit_files.h"

#define LOCK_WAIT_US    G_USEC_PER_SEC
#define DIR_MODE        0700
#define FILE_MODE       0600
#define HEAD_TEXT_MAX   256
#define FILE_MIN        ((uint64_t)10 * AUDIT_LINE_MAX)
#define JOURNAL_FIELDS  32
#define JOURNAL_NOTICE  "5" /* the priority of the entries */
#define NO_HASH         "0000000000000000000000000000000000000000000000000000000000000000"
#define ROTATION_MEMBER "\"kind\":\"rotation\",\"oldest\":%" PRIu64

struct CstAudit {
    char *dir;
    GMutex lock;
    uint64_t file_max; /* bytes of one file */
    CstFd head_fd;     /* -1: not open */
    CstFd file_fd;     /* of the file with number @file; -1: not open */
    uint64_t file;
    uint64_t lost; /* records that this process could not write since its last one */
    AuditJournal journal;
};

CstAudit *cst_audit_new(const CstPaths *paths, const char *journal)
{
    CstAudit *audit = g_new0(CstAudit, 1);

    audit->dir = audit_directory(paths);
    audit->head_fd = audit->file_fd = audit->journal.fd = -1;
    audit->journal.path = g_strdup(journal);
    g_mutex_init(&audit->lock);
    cst_audit_set_limit(audit, (uint64_t)CST_AUDIT_MIB << 20);
    return audit;
}

void cst_audit_set_limit(CstAudit *audit, uint64_t bytes)
{
    audit->file_max = MAX(bytes / AUDIT_FILES, FILE_MIN);
}

void cst_audit_free(CstAudit *audit)
{
    if (!audit)
        return;
    cst_fd_clear(&audit->head_fd);
    cst_fd_clear(&audit->file_fd);
    audit_journal_clear(&audit->journal);
    g_mutex_clear(&audit->lock);
    g_free(audit->dir);
    g_free(audit);
}

/* --- open files ------------------------------------------------------------------------------- */

/* Opens a file of the directory, which belongs to this process's user alone. */
static gboolean trail_open(const char *path, int *ret_fd, GError **error)
{
    *ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    return *ret_fd >= 0 || cst_fail_errno(error, errno, _("cannot open '%s'"), path);
}

/* Opens "head" again if it was removed since. Waits for its lock. */
static gboolean trail_lock(CstAudit *audit, GError **error)
{
    g_autofree char *path = g_build_filename(audit->dir, "head", NULL);
    struct stat st;

    if (audit->head_fd >= 0 && (fstat(audit->head_fd, &st) < 0 || st.st_nlink == 0)) {
        cst_fd_clear(&audit->head_fd);
        cst_fd_clear(&audit->file_fd);
    }
    if (audit->head_fd < 0 &&
        (!cst_dir_ensure(audit->dir, DIR_MODE, error) || !trail_open(path, &audit->head_fd, error)))
        return FALSE;
    return cst_flock_wait(audit->head_fd, path, LOCK_WAIT_US,
                          _("another process keeps the audit trail locked"), error);
}

static void trail_unlock(CstAudit *audit)
{
    (void)flock(audit->head_fd, LOCK_UN);
}

/* Makes audit->file_fd the descriptor of file @number. */
static gboolean trail_use_file(CstAudit *audit, uint64_t number, GError **error)
{
    g_autofree char *path = NULL;

    if (audit->file_fd >= 0 && audit->file == number)
        return TRUE;
    cst_fd_clear(&audit->file_fd);
    path = audit_file_path(audit->dir, number);
    if (!trail_open(path, &audit->file_fd, error))
        return FALSE;
    audit->file = number;
    return TRUE;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Formats the time in UTC, with microseconds. */
static void time_format(char *ret_text, size_t size)
{
    gint64 now = g_get_real_time();
    time_t seconds = (time_t)(now / G_USEC_PER_SEC);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    g_snprintf(ret_text, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
               (int)(now % G_USEC_PER_SEC));
}

/* Makes the line after @head, and advances the number and the hash of @head. */
static GString *line_make(AuditHead *head, const char *members)
{
    GString *line = g_string_sized_new(1024);
    char when[40];

    time_format(when, sizeof(when));
    head->seq++;
    g_string_printf(line, "{\"seq\":%" PRIu64 ",\"prev\":\"%s\",\"time\":\"%s\",%s", head->seq,
                    head->hash, when, members);
    audit_hash(line->str, line->len, head->hash);
    g_string_append_printf(line, ",\"hash\":\"%s\"}\n", head->hash);
    return line;
}

/* Appends a line to the file of @head, and advances @head. On failure both are unchanged. */
static gboolean trail_append(CstAudit *audit, AuditHead *head, const char *members, GError **error)
{
    AuditHead after = *head;
    g_autoptr(GString) line = line_make(&after, members);
    g_autofree char *path = audit_file_path(audit->dir, head->file);

    if (!cst_pwrite_full(audit->file_fd, line->str, line->len, head->size, path, error)) {
        /* If this fails as well, the next writer ends the incomplete line. */
        (void)!ftruncate(audit->file_fd, (off_t)head->size);
        return FALSE;
    }
    after.size += line->len;
    *head = after;
    return TRUE;
}

static gboolean trail_write_head(CstAudit *audit, const AuditHead *head, GError **error)
{
    g_autofree char *text = audit_head_format(head);

    return cst_pwrite_full(audit->head_fd, text, strlen(text), 0, "head", error);
}

/* --- repair ----------------------------------------------------------------------------------- */

typedef struct {
    gboolean linked;   /* @good is from "head", so a record must continue it */
    AuditHead good;    /* the place after the last record */
    GChecksum *broken; /* of the bytes after it */
    uint64_t broken_bytes;
    gboolean unended; /* the last of these bytes is no line break */
} TrailScan;

/*
 * Whether the line is the next record. Without "head" any record with a higher number is, because a
 * gap before it is found by the verification.
 */
static gboolean scan_accepts(const TrailScan *scan, const AuditLine *line)
{
    return line->valid &&
           (scan->linked ? strcmp(line->prev, scan->good.hash) == 0 : line->seq > scan->good.seq);
}

/* Implements AuditVisit. */
static gboolean scan_line(const AuditLine *line, gpointer data)
{
    TrailScan *scan = data;

    scan->unended = !line->ended;
    if (scan_accepts(scan, line)) {
        scan->good = (AuditHead){.seq = line->seq, .file = line->file, .size = line->end};
        g_strlcpy(scan->good.hash, line->hash, sizeof(scan->good.hash));
        g_checksum_reset(scan->broken);
        scan->broken_bytes = 0;
        return TRUE;
    }
    g_checksum_update(scan->broken, (const guchar *)line->text,
                      (gssize)(line->len + (line->ended ? 1 : 0)));
    scan->broken_bytes += line->len + (line->ended ? 1 : 0);
    return TRUE;
}

/*
 * Finds the last record, and the bytes after it. @head: as read, or zeroed if it is damaged. If its
 * file has all bytes that "head" counts, the scan begins there, else at the last two files' begin.
 */
static gboolean trail_scan(const CstAudit *audit, const AuditHead *head, uint64_t on_disk,
                           TrailScan *scan, uint64_t *ret_last_file, GError **error)
{
    g_autoptr(GArray) files = audit_files_list(audit->dir);
    gboolean complete = head->file > 0 && on_disk >= head->size;
    uint64_t last =
        files->len > 0 ? g_array_index(files, uint64_t, files->len - 1) : MAX(head->file, 1);
    guint first = files->len > 1 && !complete ? files->len - 2 : 0;

    scan->linked = complete;
    if (complete)
        scan->good = *head;
    for (guint i = first; i < files->len; i++) {
        uint64_t number = g_array_index(files, uint64_t, i);

        if ((!complete || number >= head->file) &&
            !audit_file_scan(audit->dir, number, complete && number == head->file ? head->size : 0,
                             scan_line, scan, error))
            return FALSE;
    }
    *ret_last_file = MAX(last, head->file);
    return TRUE;
}

/* Appends the record about bytes that are no record, and about missing records. */
static gboolean repair_record(CstAudit *audit, const AuditHead *was, const TrailScan *scan,
                              AuditHead *head, GError **error)
{
    g_autoptr(GString) members = g_string_new("\"kind\":\"repair\"");

    if (scan->broken_bytes > 0)
        g_string_append_printf(members, ",\"broken_bytes\":%" PRIu64 ",\"broken_sha256\":\"%s\"",
                               scan->broken_bytes, g_checksum_get_string(scan->broken));
    if (was->seq > scan->good.seq) {
        g_string_append_printf(members, ",\"missing_from\":%" PRIu64 ",\"missing_to\":%" PRIu64,
                               scan->good.seq + 1, was->seq);
        head->seq = was->seq;
    }
    cst_log(CST_LOG_WARNING,
            _("the audit trail '%s' has an incomplete line or lacks records; run "
              "'cistern audit-verify'"),
            audit->dir);
    return trail_append(audit, head, members->str, error);
}

/*
 * Determines the place after the last record from the files, and makes the last file end there.
 * @was: as read from "head", or zeroed.
 */
static gboolean trail_repair(CstAudit *audit, const AuditHead *was, uint64_t on_disk,
                             AuditHead *ret_head, GError **error)
{
    TrailScan scan = {.broken = g_checksum_new(G_CHECKSUM_SHA256)};
    AuditHead head;
    struct stat st;
    uint64_t last;
    gboolean ok =
        trail_scan(audit, was, on_disk, &scan, &last, error) && trail_use_file(audit, last, error);

    if (ok && scan.unended) {
        ok = fstat(audit->file_fd, &st) == 0 &&
             cst_pwrite_full(audit->file_fd, "\n", 1, (uint64_t)st.st_size, audit->dir, error);
        /* A complete line that lacks only its line break is a record. */
        if (scan.broken_bytes > 0) {
            g_checksum_update(scan.broken, (const guchar *)"\n", 1);
            scan.broken_bytes++;
        }
    }
    if (ok && fstat(audit->file_fd, &st) == 0) {
        head = scan.good;
        head.file = last;
        head.size = (uint64_t)st.st_size;
        if (!*head.hash)
            g_strlcpy(head.hash, NO_HASH, sizeof(head.hash));
        ok = (scan.broken_bytes == 0 && was->seq <= scan.good.seq) ||
             repair_record(audit, was, &scan, &head, error);
        if (ok)
            *ret_head = head;
    }
    g_checksum_free(scan.broken);
    return ok;
}

/* --- rotation --------------------------------------------------------------------------------- */

/* Implements AuditVisit: the number of the first record. */
static gboolean first_seq(const AuditLine *line, gpointer data)
{
    if (line->valid)
        *(uint64_t *)data = line->seq;
    return !line->valid;
}

/*
 * Begins the next file, and removes the oldest ones. The first record of the file has the number of
 * the oldest record that is kept, so that the removal of another file is detected. "head" names the
 * file before it has a record, so that the writer after a killed one does not begin it again.
 */
static gboolean trail_rotate(CstAudit *audit, AuditHead *head, GError **error)
{
    AuditHead next = {.seq = head->seq, .file = head->file + 1};
    g_autoptr(GArray) files = NULL;
    g_autofree char *members = NULL;
    uint64_t oldest = 0;

    g_strlcpy(next.hash, head->hash, sizeof(next.hash));
    if (!trail_use_file(audit, next.file, error) || !trail_write_head(audit, &next, error))
        return FALSE;
    files = audit_files_list(audit->dir);
    for (guint i = 0; i < files->len && oldest == 0; i++)
        if (g_array_index(files, uint64_t, i) + AUDIT_FILES > next.file &&
            !audit_file_scan(audit->dir, g_array_index(files, uint64_t, i), 0, first_seq, &oldest,
                             error))
            return FALSE;
    members = g_strdup_printf(ROTATION_MEMBER, oldest ? oldest : head->seq + 1);
    if (!trail_append(audit, &next, members, error))
        return FALSE;
    *head = next;
    for (guint i = 0; i < files->len; i++) {
        uint64_t number = g_array_index(files, uint64_t, i);
        g_autofree char *path = audit_file_path(audit->dir, number);

        if (number + AUDIT_FILES <= next.file && unlink(path) < 0)
            cst_log(CST_LOG_WARNING, _("cannot remove '%s': %s"), path, g_strerror(errno));
    }
    return TRUE;
}

/* --- appending -------------------------------------------------------------------------------- */

/* Reads the place after the last record. Repairs the files if they do not agree with it. */
static gboolean trail_find_end(CstAudit *audit, AuditHead *ret_head, GError **error)
{
    char text[HEAD_TEXT_MAX] = "";
    ssize_t len = pread(audit->head_fd, text, sizeof(text) - 1, 0);
    AuditHead head = {0};
    struct stat st = {0};

    if (len < 0)
        return cst_fail_errno(error, errno, _("cannot read '%s/head'"), audit->dir);
    if (audit_head_parse(text, &head)) {
        if (!trail_use_file(audit, head.file, error))
            return FALSE;
        if (fstat(audit->file_fd, &st) == 0 && st.st_nlink == 0) {
            cst_fd_clear(&audit->file_fd);
            if (!trail_use_file(audit, head.file, error) || fstat(audit->file_fd, &st) < 0)
                return FALSE;
        }
        if ((uint64_t)st.st_size == head.size) {
            *ret_head = head;
            return TRUE;
        }
    }
    return trail_repair(audit, &head, (uint64_t)st.st_size, ret_head, error);
}

/* Appends a record under the lock. Sets *@ret_head to the place after it. */
static gboolean trail_add(CstAudit *audit, const char *members, AuditHead *ret_head, GError **error)
{
    g_autofree char *with_lost =
        audit->lost > 0 ? g_strdup_printf("%s,\"lost\":%" PRIu64, members, audit->lost) : NULL;
    AuditHead head;
    gboolean ok = trail_find_end(audit, &head, error);

    if (ok && head.size > 0 && head.size + AUDIT_LINE_MAX > audit->file_max)
        ok = trail_rotate(audit, &head, error);
    ok = ok && trail_append(audit, &head, with_lost ? with_lost : members, error) &&
         trail_write_head(audit, &head, error);
    if (ok)
        *ret_head = head;
    return ok;
}

static void journal_add(CstAudit *audit, const char *members, const CstAuditField *fields,
                        guint count, const AuditHead *head)
{
    g_autofree char *message = g_strdup_printf("{%s}", members);
    g_autofree char *seq = head ? g_strdup_printf("%" PRIu64, head->seq) : NULL;
    CstAuditField all[JOURNAL_FIELDS] = {
        {"MESSAGE", message},
        {"PRIORITY", JOURNAL_NOTICE},
        {"SYSLOG_IDENTIFIER", g_get_prgname()},
        {"CISTERN_AUDIT", "1"},
        {"CISTERN_AUDIT_SEQ", seq},
        {"CISTERN_AUDIT_HASH", head ? head->hash : NULL},
        {"CISTERN_AUDIT_DIRECTORY", audit->dir},
    };
    guint own = 7;

    g_assert(own + count <= JOURNAL_FIELDS);
    for (guint i = 0; i < count; i++)
        all[own++] = fields[i];
    audit_journal_send(&audit->journal, all, own);
}

void cst_audit_append(CstAudit *audit, const char *members, const CstAuditField *fields,
                      guint count)
{
    g_autoptr(GError) error = NULL;
    AuditHead head;
    gboolean ok;

    g_mutex_lock(&audit->lock);
    ok = trail_lock(audit, &error);
    if (ok) {
        ok = trail_add(audit, members, &head, &error);
        trail_unlock(audit);
    }
    /* Logged once, because each further change fails to be recorded in the same way. */
    if (!ok && audit->lost++ == 0)
        cst_log(CST_LOG_ERROR, _("changes are not recorded in the audit trail: %s"),
                error ? error->message : audit->dir);
    else if (ok)
        audit->lost = 0;
    journal_add(audit, members, fields, count, ok ? &head : NULL);
    g_mutex_unlock(&audit->lock);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and verifies the audit trail (audit_files.h).
 *
 * A verification reads all files without the lock, so that it delays no change. Records that are
 * appended during it belong to no problem: the chain is compared with "head" as read before. A line
 * after the place in "head" that is not ended is being written, or its writer was killed. The next
 * writer ends it. If the oldest file is removed meanwhile, the verification begins again.
 */
#include <store/audit.h>

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "audit_files.h"

#define PAGE_BYTES     ((size_t)2 << 20) /* of the lines that one call returns */
#define POSITION_SHIFT 36                /* a position is the number of the file and an offset */
#define ROTATIONS_MAX  10                /* verifications that begin again, at most */

/* --- reading ---------------------------------------------------------------------------------- */

typedef struct {
    GPtrArray *lines;
    guint max;
    size_t bytes;
    uint64_t position; /* after the last line that was visited */
    gboolean full;
} LinePage;

/* Implements AuditVisit. */
static gboolean page_add(const AuditLine *line, gpointer data)
{
    LinePage *page = data;

    page->full = page->lines->len >= page->max || page->bytes >= PAGE_BYTES;
    /* The last line may be incomplete, because a process may be writing it. */
    if (page->full || !line->ended)
        return FALSE;
    page->position = line->file << POSITION_SHIFT | line->end;
    if (line->valid && line->len <= AUDIT_LINE_MAX) {
        g_ptr_array_add(page->lines, g_strndup(line->text, line->len));
        page->bytes += line->len;
    }
    return TRUE;
}

GPtrArray *cst_audit_lines(const CstPaths *paths, uint64_t *position, guint max, GError **error)
{
    g_autofree char *dir = audit_directory(paths);
    g_autoptr(GArray) files = audit_files_list(dir);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    uint64_t file = *position >> POSITION_SHIFT;
    uint64_t offset = *position & ((G_GUINT64_CONSTANT(1) << POSITION_SHIFT) - 1);
    LinePage page = {.lines = lines, .max = max, .position = *position};

    for (guint i = 0; i < files->len && !page.full; i++) {
        uint64_t number = g_array_index(files, uint64_t, i);

        if (number >= file &&
            !audit_file_scan(dir, number, number == file ? offset : 0, page_add, &page, error))
            return NULL;
    }
    *position = page.position;
    return g_steal_pointer(&lines);
}

/* --- verification ----------------------------------------------------------------------------- */

typedef struct {
    CstAuditState *state;
    CstTask *task;
    const char *wanted;    /* hash that must be found; NULL: no hash */
    const AuditHead *head; /* NULL: "head" is missing or damaged */
    gboolean wanted_found, head_found;
    uint64_t oldest;   /* of the last rotation; 1: no rotation */
    GChecksum *broken; /* of bytes that are no record, after the last record */
    uint64_t broken_bytes;
} TrailCheck;

static void problem_add(TrailCheck *check, char *text)
{
    if (check->state->problems->len < CST_AUDIT_PROBLEMS_MAX)
        g_ptr_array_add(check->state->problems, text);
    else
        g_free(text);
}

static void problem_add_missing(TrailCheck *check, uint64_t from, uint64_t to)
{
    problem_add(
        check, from == to ? g_strdup_printf(_("record %" PRIu64 " is missing"), from)
                          : g_strdup_printf(_("the records %" PRIu64 " to %" PRIu64 " are missing"),
                                            from, to));
}

/* Reports bytes between two records, unless @line is the repair's record about them. */
static void check_broken(TrailCheck *check, const AuditLine *line)
{
    const char *sum = g_checksum_get_string(check->broken);

    if (check->broken_bytes > 0 &&
        !(audit_line_has(line, "kind", "repair") && audit_line_has(line, "broken_sha256", sum)))
        problem_add(check, g_strdup_printf(_("%" PRIu64 " bytes between the records %" PRIu64
                                             " and %" PRIu64 " are no record: a line was changed"),
                                           check->broken_bytes, check->state->last, line->seq));
    g_checksum_reset(check->broken);
    check->broken_bytes = 0;
}

static void check_link(TrailCheck *check, const AuditLine *line)
{
    const CstAuditState *state = check->state;

    if (state->records == 0)
        return;
    if (line->seq > state->last + 1)
        problem_add_missing(check, state->last + 1, line->seq - 1);
    else if (line->seq <= state->last)
        problem_add(check, g_strdup_printf(_("record %" PRIu64 " follows record %" PRIu64),
                                           line->seq, state->last));
    else if (strcmp(line->prev, state->head) != 0)
        problem_add(check, g_strdup_printf(_("record %" PRIu64 " does not continue record %" PRIu64
                                             ": one of them was replaced"),
                                           line->seq, state->last));
}

/* Returns whether @line begins after the last record that "head" names. */
static gboolean line_is_after_head(const AuditHead *head, const AuditLine *line)
{
    return head && (line->file > head->file ||
                    (line->file == head->file && line->end - line->len >= head->size));
}

/* Implements AuditVisit. */
static gboolean check_line(const AuditLine *line, gpointer data)
{
    TrailCheck *check = data;
    CstAuditState *state = check->state;

    if (!line->valid && !line->ended && line_is_after_head(check->head, line))
        return TRUE;
    if (!line->valid) {
        g_checksum_update(check->broken, (const guchar *)line->text,
                          (gssize)(line->len + (line->ended ? 1 : 0)));
        check->broken_bytes += line->len + (line->ended ? 1 : 0);
        return TRUE;
    }
    check_broken(check, line);
    check_link(check, line);
    if (state->records++ == 0)
        state->first = line->seq;
    state->last = line->seq;
    g_strlcpy(state->head, line->hash, sizeof(state->head));
    if (audit_line_has(line, "kind", "repair"))
        state->repairs++;
    if (audit_line_has(line, "kind", "rotation"))
        (void)audit_line_number(line, "oldest", &check->oldest);
    if (check->wanted && strcmp(check->wanted, line->hash) == 0)
        check->wanted_found = TRUE;
    if (check->head && check->head->seq == line->seq && strcmp(check->head->hash, line->hash) == 0)
        check->head_found = TRUE;
    return !cst_task_cancelled(check->task);
}

/* Checks the begin and the end of the chain. */
static void check_ends(TrailCheck *check)
{
    const CstAuditState *state = check->state;

    if (state->records > 0 && state->first > check->oldest)
        problem_add_missing(check, check->oldest, state->first - 1);
    if (check->head && check->head->seq > state->last)
        problem_add_missing(check, state->last + 1, check->head->seq);
    else if (check->head && check->head->seq > 0 && !check->head_found)
        problem_add(check, g_strdup_printf(
                               _("record %" PRIu64 " is not the one that the file \"head\" names"),
                               check->head->seq));
    if (!check->head && state->records > 0)
        problem_add(check, g_strdup(_("the file \"head\" is missing or damaged, so that removed "
                                      "records at the end are not detected")));
    if (check->broken_bytes > 0)
        problem_add(check, g_strdup_printf(_("%" PRIu64 " bytes after record %" PRIu64
                                             " are no record: an incomplete or a changed line"),
                                           check->broken_bytes, state->last));
    if (check->wanted && !check->wanted_found)
        problem_add(check, g_strdup_printf(_("no record has the hash %s"), check->wanted));
}

static gboolean head_is_hash(const char *head)
{
    return strlen(head) == CST_AUDIT_HASH && strspn(head, "0123456789abcdef") == CST_AUDIT_HASH;
}

/* *ret_rotated: the oldest file was removed during the verification. */
static gboolean trail_verify(const char *dir, const char *head, CstTask *task,
                             CstAuditState *ret_state, gboolean *ret_rotated, GError **error)
{
    g_auto(CstAuditState) state = {.problems = g_ptr_array_new_with_free_func(g_free)};
    g_autoptr(GChecksum) broken = g_checksum_new(G_CHECKSUM_SHA256);
    AuditHead place;
    TrailCheck check = {.state = &state,
                        .task = task,
                        .wanted = head,
                        .head = audit_head_read(dir, &place) ? &place : NULL,
                        .oldest = 1,
                        .broken = broken};
    g_autoptr(GArray) files = audit_files_list(dir);
    g_autofree char *first =
        files->len > 0 ? audit_file_path(dir, g_array_index(files, uint64_t, 0)) : NULL;

    CST_TEST_POINT("audit.verify.listed");
    for (guint i = 0; i < files->len; i++)
        if (!audit_file_scan(dir, g_array_index(files, uint64_t, i), 0, check_line, &check,
                             error) ||
            !cst_task_check(task, error))
            return FALSE;
    check_ends(&check);
    *ret_rotated = first && access(first, F_OK) < 0;
    *ret_state = state;
    state = (CstAuditState){0};
    return TRUE;
}

gboolean cst_audit_verify(const CstPaths *paths, const char *head, CstTask *task,
                          CstAuditState *ret_state, GError **error)
{
    g_autofree char *dir = audit_directory(paths);
    guint rotations = 0;
    gboolean rotated;

    if (head && !head_is_hash(head))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' is no hash of a record: it has 64 hexadecimal digits"), head);
    while (trail_verify(dir, head, task, ret_state, &rotated, error)) {
        if (!rotated || ret_state->problems->len == 0 || rotations++ == ROTATIONS_MAX)
            return TRUE;
        cst_audit_state_clear(ret_state);
    }
    return FALSE;
}

void cst_audit_state_clear(CstAuditState *state)
{
    g_clear_pointer(&state->problems, g_ptr_array_unref);
}

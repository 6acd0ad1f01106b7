/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of the audit trail: their names, the file "head", and lines.
 *
 * A line is
 *
 *     {"seq":N,"prev":"HASH","time":"…",…,"hash":"HASH"}
 *
 * Its own hash covers the text before ,"hash": and so the hash of the line before it. The members
 * seq and prev are first and hash is last, so that a line is verified without a parser of JSON.
 */
#include "audit_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#define SUFFIX       ".jsonl"
#define NAME_DIGITS  8
#define FILES_LAST   (1u << 27) /* the greatest number of a file; a position has 28 bits for it */
#define HEAD_MAX     256        /* bytes */
#define HASH_MEMBER  ",\"hash\":\""
#define HASH_TAIL    (sizeof(HASH_MEMBER) - 1 + CST_AUDIT_HASH + 2) /* with "} */
#define SEQ_MEMBER   "{\"seq\":"
#define PREV_MEMBER  ",\"prev\":\""
#define MEMBER_QUOTE '"'

char *audit_directory(const CstPaths *paths)
{
    return g_build_filename(paths->data_dir, "audit", NULL);
}

char *audit_file_path(const char *dir, uint64_t number)
{
    return g_strdup_printf("%s/%0*" PRIu64 SUFFIX, dir, NAME_DIGITS, number);
}

static int numbers_compare(gconstpointer first, gconstpointer second)
{
    uint64_t a = *(const uint64_t *)first, b = *(const uint64_t *)second;

    return a < b ? -1 : a > b;
}

GArray *audit_files_list(const char *dir)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    const char *name;

    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *digits =
            g_str_has_suffix(name, SUFFIX) ? g_strndup(name, strlen(name) - strlen(SUFFIX)) : NULL;
        guint64 number;

        if (digits && strlen(digits) >= NAME_DIGITS &&
            g_ascii_string_to_unsigned(digits, 10, 1, FILES_LAST, &number, NULL)) {
            uint64_t value = number;

            g_array_append_val(numbers, value);
        }
    }
    g_array_sort(numbers, numbers_compare);
    return numbers;
}

/* --- the file "head" -------------------------------------------------------------------------- */

/* The text has a fixed length, so that one write replaces it. */
char *audit_head_format(const AuditHead *head)
{
    return g_strdup_printf("%020" PRIu64 " %08" PRIu64 " %012" PRIu64 " %s\n", head->seq,
                           head->file, head->size, head->hash);
}

/* Parses @len hexadecimal characters into @ret_hash. */
static gboolean hash_parse(const char *text, char ret_hash[CST_AUDIT_HASH + 1])
{
    for (guint i = 0; i < CST_AUDIT_HASH; i++) {
        if (!g_ascii_isxdigit(text[i]) || g_ascii_isupper(text[i]))
            return FALSE;
        ret_hash[i] = text[i];
    }
    ret_hash[CST_AUDIT_HASH] = '\0';
    return TRUE;
}

gboolean audit_head_parse(const char *text, AuditHead *ret_head)
{
    AuditHead head = {0};
    int at = 0;

    if (sscanf(text, "%20" SCNu64 " %8" SCNu64 " %12" SCNu64 " %n", &head.seq, &head.file,
               &head.size, &at) != 3 ||
        at == 0 || strlen(text + at) != CST_AUDIT_HASH + 1 || text[at + CST_AUDIT_HASH] != '\n' ||
        !hash_parse(text + at, head.hash) || head.file == 0)
        return FALSE;
    *ret_head = head;
    return TRUE;
}

gboolean audit_head_read(const char *dir, AuditHead *ret_head)
{
    g_autofree char *path = g_build_filename(dir, "head", NULL);
    g_autofree char *text = NULL;

    return cst_file_read(path, HEAD_MAX, &text, NULL, NULL) && audit_head_parse(text, ret_head);
}

/* --- lines ------------------------------------------------------------------------------------ */

void audit_hash(const char *text, size_t len, char ret_hash[CST_AUDIT_HASH + 1])
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    g_checksum_update(sum, (const guchar *)text, (gssize)len);
    g_strlcpy(ret_hash, g_checksum_get_string(sum), CST_AUDIT_HASH + 1);
}

/* Sets line->seq, prev and hash. Returns FALSE if the line is no record or its hash is wrong. */
static gboolean line_parse(AuditLine *line)
{
    const char *at = line->text;
    const char *tail = line->text + line->len - HASH_TAIL;
    char hash[CST_AUDIT_HASH + 1];
    guint digits;

    if (line->len < HASH_TAIL + sizeof(SEQ_MEMBER PREV_MEMBER) + CST_AUDIT_HASH + 20 ||
        strncmp(at, SEQ_MEMBER, strlen(SEQ_MEMBER)) != 0)
        return FALSE;
    at += strlen(SEQ_MEMBER);
    line->seq = 0;
    for (digits = 0; digits < 19 && g_ascii_isdigit(*at); digits++)
        line->seq = line->seq * 10 + (uint64_t)(*at++ - '0');
    if (digits == 0 || strncmp(at, PREV_MEMBER, strlen(PREV_MEMBER)) != 0 ||
        !hash_parse(at + strlen(PREV_MEMBER), line->prev) ||
        strncmp(tail, HASH_MEMBER, strlen(HASH_MEMBER)) != 0 ||
        !hash_parse(tail + strlen(HASH_MEMBER), line->hash) ||
        strncmp(line->text + line->len - 2, "\"}", 2) != 0)
        return FALSE;
    audit_hash(line->text, (size_t)(tail - line->text), hash);
    return strcmp(hash, line->hash) == 0;
}

/* Opens the file for reading. Sets *@ret_stream to NULL if it does not exist. */
static gboolean audit_file_open(const char *path, FILE **ret_stream, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    *ret_stream = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (*ret_stream || (fd < 0 && errno == ENOENT))
        return TRUE;
    cst_fail_errno(error, errno, _("cannot read '%s'"), path);
    if (fd >= 0)
        close(fd);
    return FALSE;
}

/* Line by line, because a file has many megabytes, and a rotation needs its first line only. */
gboolean audit_file_scan(const char *dir, uint64_t number, uint64_t offset, AuditVisit visit,
                         gpointer data, GError **error)
{
    g_autofree char *path = audit_file_path(dir, number);
    FILE *stream = NULL;
    char *text = NULL;
    size_t size = 0;
    ssize_t length;
    gboolean ok;

    if (!audit_file_open(path, &stream, error))
        return FALSE;
    if (!stream)
        return TRUE;
    ok = fseeko(stream, (off_t)offset, SEEK_SET) == 0;
    while (ok && (length = getline(&text, &size, stream)) > 0) {
        gboolean ended = text[length - 1] == '\n';
        AuditLine line = {
            .text = text, .len = (size_t)length - ended, .ended = ended, .file = number};

        offset += (uint64_t)length;
        line.end = offset;
        line.valid = line_parse(&line);
        if (!visit(&line, data))
            break;
    }
    ok = ok && !ferror(stream);
    if (!ok)
        cst_fail_errno(error, errno, _("cannot read '%s'"), path);
    free(text);
    fclose(stream);
    return ok;
}

/* Returns the text after "NAME": in the line, NULL without this member. */
static const char *line_member(const AuditLine *line, const char *name)
{
    g_autofree char *key = g_strdup_printf("\"%s\":", name);
    const char *found = g_strstr_len(line->text, (gssize)line->len, key);

    return found ? found + strlen(key) : NULL;
}

gboolean audit_line_number(const AuditLine *line, const char *name, uint64_t *ret_number)
{
    const char *at = line_member(line, name);

    if (!at || !g_ascii_isdigit(*at))
        return FALSE;
    *ret_number = g_ascii_strtoull(at, NULL, 10);
    return TRUE;
}

gboolean audit_line_has(const AuditLine *line, const char *name, const char *value)
{
    const char *at = line_member(line, name);
    size_t len = strlen(value);

    return at && *at == MEMBER_QUOTE && line->len - (size_t)(at - line->text) > len + 1 &&
           strncmp(at + 1, value, len) == 0 && at[len + 1] == MEMBER_QUOTE;
}

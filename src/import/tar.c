/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads an untrusted tar archive. Each step advances by at least one block, and no entry reaches
 * past the end of the archive. Therefore the run time is bounded by the number of entries, which is
 * bounded too. Long names are in a separate entry (GNU's 'L') or in a pax record.
 */
#include "tar.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include <base/alloc.h>
#include <base/i18n.h>
#include <base/text.h>

#define BLOCK       ((size_t)IMPORT_TAR_HEAD)
#define ENTRIES_MAX 4096u
#define EXTRA_MAX   (64u << 10) /* bytes of a pax header or a long name */

/* Fields of a header (POSIX, "ustar Interchange Format"): offset and length. */
enum {
    NAME = 0,
    NAME_LEN = 100,
    SIZE = 124,
    SIZE_LEN = 12,
    SUM = 148,
    SUM_LEN = 8,
    TYPE = 156,
    MAGIC = 257,
    PREFIX = 345,
    PREFIX_LEN = 155,
};

struct ImportTar {
    CstBlob *blob;
    uint64_t size;
    GPtrArray *entries; /* of ImportTarEntry */
    char *long_name;    /* of the next entry; NULL: use its header */
    uint64_t long_size; /* IMPORT_UNKNOWN: use the header */
    gboolean complete;  /* the block of zeroes that ends an archive was found */
};

static void tar_entry_free(gpointer data)
{
    ImportTarEntry *entry = data;

    g_free(entry->name);
    g_free(entry);
}

/* Parses octal digits between blanks, or GNU's binary form of larger numbers. */
static gboolean tar_read_number(const uint8_t *field, size_t len, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;

    if (field[0] == 0x80) {
        for (i = 1; i < len; i++) {
            if (value >> 56)
                return FALSE;
            value = value << 8 | field[i];
        }
        *ret_value = value;
        return value <= G_MAXINT64;
    }
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(field[i] - '0');
    for (; i < len; i++)
        if (field[i] != ' ' && field[i] != '\0')
            return FALSE;
    *ret_value = value;
    return TRUE;
}

gboolean import_tar_probe(const uint8_t *head, size_t len)
{
    uint64_t sum, found = 0;

    if (len < BLOCK || memcmp(head + MAGIC, "ustar", 5) != 0 ||
        !tar_read_number(head + SUM, SUM_LEN, &sum))
        return FALSE;
    for (size_t i = 0; i < BLOCK; i++)
        found += i >= SUM && i < SUM + SUM_LEN ? ' ' : head[i];
    return found == sum;
}

static gboolean tar_fail_damaged(const ImportTar *tar, uint64_t at, GError **error)
{
    return cst_fail(error, CST_ERROR_CORRUPT,
                    _("'%s' is damaged: there is no valid entry at byte %" PRIu64), tar->blob->name,
                    at);
}

/* --- extended headers ------------------------------------------------------------------------- */

static gboolean pax_record(ImportTar *tar, const char *key, size_t key_len, const char *value,
                           size_t value_len, GError **error)
{
    g_autofree char *name = g_strndup(key, key_len);
    g_autofree char *text = g_strndup(value, value_len);

    if (g_str_has_prefix(name, "GNU.sparse."))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has a sparse entry, which no OVA has; make it anew without"),
                        tar->blob->name);
    if (g_str_equal(name, "path")) {
        g_free(tar->long_name);
        tar->long_name = g_steal_pointer(&text);
        return strlen(tar->long_name) == value_len || tar_fail_damaged(tar, 0, error);
    }
    if (g_str_equal(name, "size"))
        return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &tar->long_size, NULL) ||
               tar_fail_damaged(tar, 0, error);
    return TRUE;
}

/* Parses records "LENGTH KEY=VALUE\n". */
static gboolean read_pax(ImportTar *tar, const char *text, size_t len, uint64_t at, GError **error)
{
    while (len > 0) {
        const char *space = memchr(text, ' ', len), *equal;
        size_t n = 0;

        for (const char *digit = text; space && digit < space; digit++) {
            if (!g_ascii_isdigit(*digit) || n > EXTRA_MAX)
                return tar_fail_damaged(tar, at, error);
            n = 10 * n + (size_t)(*digit - '0');
        }
        if (!space || n > len || n < (size_t)(space - text) + 3 || text[n - 1] != '\n')
            return tar_fail_damaged(tar, at, error);
        equal = memchr(space + 1, '=', (size_t)(text + n - 1 - (space + 1)));
        if (!equal)
            return tar_fail_damaged(tar, at, error);
        if (!pax_record(tar, space + 1, (size_t)(equal - space - 1), equal + 1,
                        (size_t)(text + n - 1 - (equal + 1)), error))
            return FALSE;
        text += n;
        len -= n;
    }
    return TRUE;
}

/* Reads the content of an entry of type @type, which extends the header of the next entry. */
static gboolean read_extra(ImportTar *tar, char type, uint64_t at, uint64_t length, GError **error)
{
    g_autofree char *text = NULL;

    if (length > EXTRA_MAX)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' has a name of %" PRIu64 " bytes"),
                        tar->blob->name, length);
    text = cst_alloc0(length + 1, 1, tar->blob->name, error);
    if (!text || !cst_blob_pread(tar->blob, text, (size_t)length, at, error))
        return FALSE;
    if (type == 'x')
        return read_pax(tar, text, (size_t)length, at, error);
    g_free(tar->long_name);
    tar->long_name = g_steal_pointer(&text);
    return TRUE;
}

/* --- entries ---------------------------------------------------------------------------------- */

static char *plain_name(const uint8_t *header)
{
    g_autofree char *name = g_strndup((const char *)header + NAME, NAME_LEN);
    g_autofree char *prefix = g_strndup((const char *)header + PREFIX, PREFIX_LEN);
    /* GNU's own format has other fields where POSIX has the prefix. */
    gboolean posix = header[MAGIC + 5] == '\0';

    return posix && *prefix ? g_strconcat(prefix, "/", name, NULL) : g_strdup(name);
}

static gboolean tar_add_entry(ImportTar *tar, const uint8_t *header, uint64_t offset,
                              uint64_t length, GError **error)
{
    g_autofree char *name = tar->long_name ? g_steal_pointer(&tar->long_name) : plain_name(header);
    g_autofree char *shown = cst_text_escape(name);
    const char *plain = g_str_has_prefix(name, "./") ? name + 2 : name;
    ImportTarEntry *entry;

    if (strlen(name) >= PATH_MAX)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' has a name of %" PRIu64 " bytes"),
                        tar->blob->name, (uint64_t)strlen(name));
    if (import_tar_find(tar, plain))
        return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' has two entries called '%s'"),
                        tar->blob->name, shown);
    entry = g_new0(ImportTarEntry, 1);
    entry->name = g_strdup(plain);
    entry->offset = offset;
    entry->length = length;
    g_ptr_array_add(tar->entries, entry);
    return TRUE;
}

static gboolean tar_parse_entry(ImportTar *tar, const uint8_t *header, uint64_t offset,
                                uint64_t length, GError **error)
{
    switch (header[TYPE]) {
    case '0':
    case '\0': return tar_add_entry(tar, header, offset, length, error);
    case 'x':
    case 'L': return read_extra(tar, (char)header[TYPE], offset, length, error);
    case 'g':
    case 'K':
    case '5': return TRUE;
    case 'S':
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has a sparse entry, which no OVA has; make it anew without"),
                        tar->blob->name);
    default:
        return cst_fail(error, CST_ERROR_DENIED,
                        _("'%s' has a link or a device at byte %" PRIu64 ", which no OVA has"),
                        tar->blob->name, offset - BLOCK);
    }
}

/* Reads the entry at *offset and moves past it. *ret_more FALSE: end of the archive. */
static gboolean tar_read_entry(ImportTar *tar, uint64_t *offset, gboolean *ret_more, GError **error)
{
    uint8_t header[BLOCK];
    uint64_t at = *offset, length;
    gboolean extra;

    *ret_more = FALSE;
    if (tar->size - at < BLOCK)
        return TRUE;
    if (!cst_blob_pread(tar->blob, header, BLOCK, at, error))
        return FALSE;
    tar->complete = cst_bytes_are_zero(header, BLOCK);
    if (tar->complete)
        return TRUE;
    if (!import_tar_probe(header, BLOCK) || !tar_read_number(header + SIZE, SIZE_LEN, &length))
        return tar_fail_damaged(tar, at, error);
    extra =
        header[TYPE] == 'x' || header[TYPE] == 'L' || header[TYPE] == 'g' || header[TYPE] == 'K';
    if (!extra && tar->long_size != IMPORT_UNKNOWN)
        length = tar->long_size;
    at += BLOCK;
    if (length > tar->size - at)
        return cst_fail(
            error, CST_ERROR_CORRUPT,
            _("'%s' is damaged: the entry at byte %" PRIu64 " extends past the end of the file"),
            tar->blob->name, *offset);
    if (!tar_parse_entry(tar, header, at, length, error))
        return FALSE;
    if (!extra) {
        g_clear_pointer(&tar->long_name, g_free);
        tar->long_size = IMPORT_UNKNOWN;
    }
    *offset = MIN(tar->size, at + (length + BLOCK - 1) / BLOCK * BLOCK);
    *ret_more = TRUE;
    return TRUE;
}

ImportTar *import_tar_open(CstBlob *blob, CstTask *task, GError **error)
{
    g_autoptr(ImportTar) tar = g_new0(ImportTar, 1);
    uint64_t offset = 0;
    gboolean more = TRUE;

    tar->blob = cst_blob_ref(blob);
    tar->entries = g_ptr_array_new_with_free_func(tar_entry_free);
    tar->long_size = IMPORT_UNKNOWN;
    if (!cst_blob_get_size(blob, &tar->size, error))
        return NULL;
    for (guint i = 0; more; i++) {
        if (i >= ENTRIES_MAX) {
            cst_fail(error, CST_ERROR_LIMIT, _("'%s' has over %u entries"), blob->name,
                     ENTRIES_MAX);
            return NULL;
        }
        if (!cst_task_check(task, error) || !tar_read_entry(tar, &offset, &more, error))
            return NULL;
    }
    return g_steal_pointer(&tar);
}

void import_tar_free(ImportTar *tar)
{
    if (!tar)
        return;
    cst_blob_unref(tar->blob);
    g_ptr_array_unref(tar->entries);
    g_free(tar->long_name);
    g_free(tar);
}

gboolean import_tar_is_complete(const ImportTar *tar)
{
    return tar->complete;
}

guint import_tar_count(const ImportTar *tar)
{
    return tar->entries->len;
}

const ImportTarEntry *import_tar_entry(const ImportTar *tar, guint index)
{
    return tar->entries->pdata[index];
}

const ImportTarEntry *import_tar_find(const ImportTar *tar, const char *name)
{
    for (guint i = 0; i < tar->entries->len; i++) {
        const ImportTarEntry *entry = tar->entries->pdata[i];

        if (g_str_equal(entry->name, name))
            return entry;
    }
    return NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the account that owns a subordinate uid.
 *
 * A user with a range in /etc/subuid can become each uid of the range in a user namespace. If each
 * uid counted as a user, the limits of a user would not bound the person. Therefore the uids of a
 * range count for its owner.
 *
 * A range has no single owner if it overlaps the range of another user, if it belongs to root or
 * the daemon's user, or if its owner is not in passwd. Such a range is an account of its own: its
 * uids share the limits of one user, and cannot use up the limits of a person. Overlapping ranges
 * are joined first, so that a binary search works.
 *
 * The files are read directly, because libsubid and NSS may query a server. The caller is the
 * thread that accepts connections and must not wait.
 */
#include "subuid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <base/log.h>

#define SUBUID_MAX (4u << 20) /* bytes */
#define PASSWD_MAX (16u << 20)
#define UID_LAST   (UINT32_MAX - 1) /* (uid_t)-1 is not a valid uid */

typedef struct {
    uint32_t first, last;
    uint32_t account;
} SubuidRange;

/* Attributes that change when a file is written to or replaced. */
typedef struct {
    uint64_t inode, size;
    struct timespec mtime, ctime;
    mode_t mode;
} FileState;

struct SubuidTable {
    char *subuid, *passwd; /* paths; NULL: no ranges */
    uid_t owner;
    FileState subuid_state, passwd_state; /* of the files when they were last read */
    GArray *ranges;                       /* SubuidRange, sorted by first; they do not overlap */
    GHashTable *users;                    /* set of the uids in passwd */
};

SubuidTable *subuid_table_new(const char *etc_dir, uid_t owner)
{
    SubuidTable *table = g_new0(SubuidTable, 1);

    table->owner = owner;
    table->ranges = g_array_new(FALSE, FALSE, sizeof(SubuidRange));
    table->users = g_hash_table_new(NULL, NULL);
    if (etc_dir) {
        table->subuid = g_build_filename(etc_dir, "subuid", NULL);
        table->passwd = g_build_filename(etc_dir, "passwd", NULL);
    }
    return table;
}

void subuid_table_free(SubuidTable *table)
{
    if (!table)
        return;
    g_free(table->subuid);
    g_free(table->passwd);
    g_array_unref(table->ranges);
    g_hash_table_unref(table->users);
    g_free(table);
}

/* --- the files -------------------------------------------------------------------------------- */

static FileState file_state(const char *path)
{
    FileState state = {0};
    struct stat st;

    if (stat(path, &st) == 0)
        state = (FileState){st.st_ino, (uint64_t)st.st_size, st.st_mtim, st.st_ctim, st.st_mode};
    return state;
}

static gboolean times_equal(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static gboolean file_states_equal(const FileState *a, const FileState *b)
{
    return a->inode == b->inode && a->size == b->size && a->mode == b->mode &&
           times_equal(&a->mtime, &b->mtime) && times_equal(&a->ctime, &b->ctime);
}

/*
 * Reads @path. A missing file sets *@ret_text to NULL and is no error. Returns FALSE and logs a
 * warning if the file cannot be read.
 */
static gboolean file_text(const char *path, size_t limit, char **ret_text)
{
    g_autoptr(GError) error = NULL;

    *ret_text = NULL;
    if (cst_file_read_trusted(path, limit, ret_text, NULL, &error) ||
        g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND))
        return TRUE;
    cst_log(CST_LOG_WARNING, "the ranges of subordinate uids stay as they were read before: %s",
            error->message);
    return FALSE;
}

static gboolean number_parse(const char *text, uint32_t *ret_number)
{
    guint64 number;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, &number, NULL))
        return FALSE;
    *ret_number = (uint32_t)number;
    return TRUE;
}

/*
 * Cuts one line off *@rest and splits it at its colons. Returns the number of fields, at most
 * @n_fields; -1 after the last line.
 */
static int line_split(char **rest, char **fields, int n_fields)
{
    char *line = strsep(rest, "\n");
    int n = 0;

    while (line && n < n_fields && (fields[n] = strsep(&line, ":")))
        n++;
    return n > 0 ? n : -1;
}

/* --- ranges ----------------------------------------------------------------------------------- */

/*
 * Adds the uids in @passwd to @users, and maps names to uids in @names. @names borrows the strings.
 */
static void users_parse(char *passwd, GHashTable *users, GHashTable *names)
{
    char *rest = passwd, *fields[3];
    uint32_t uid;
    int n;

    while ((n = line_split(&rest, fields, G_N_ELEMENTS(fields))) >= 0) {
        if (n < 3 || !number_parse(fields[2], &uid))
            continue;
        g_hash_table_add(users, GUINT_TO_POINTER(uid));
        g_hash_table_insert(names, fields[0], GUINT_TO_POINTER(uid));
    }
}

/* Returns the account of the range that begins at @first: its owner @name, or @first itself. */
static uint32_t range_account(const SubuidTable *table, const char *name, uint32_t first,
                              GHashTable *names)
{
    gpointer found;
    uint32_t uid;

    if (g_hash_table_lookup_extended(names, name, NULL, &found))
        uid = GPOINTER_TO_UINT(found);
    else if (!number_parse(name, &uid))
        return first;
    return uid == 0 || uid == table->owner ? first : uid;
}

static void ranges_parse(const SubuidTable *table, char *subuid, GHashTable *names, GArray *ranges)
{
    char *rest = subuid, *fields[3];
    uint32_t first, count;
    int n;

    while ((n = line_split(&rest, fields, G_N_ELEMENTS(fields))) >= 0) {
        SubuidRange range;

        if (n < 3 || !number_parse(fields[1], &first) || !number_parse(fields[2], &count) ||
            count == 0 || first > UID_LAST)
            continue;
        range.first = first;
        range.last = first + MIN(count - 1, UID_LAST - first);
        range.account = range_account(table, fields[0], first, names);
        g_array_append_val(ranges, range);
    }
}

static int range_compare(gconstpointer a, gconstpointer b)
{
    const SubuidRange *left = a, *right = b;

    return left->first < right->first ? -1 : left->first > right->first;
}

/* Sorts the ranges and joins overlapping ranges. */
static void ranges_join(GArray *ranges)
{
    guint n = 0;

    g_array_sort(ranges, range_compare);
    for (guint i = 0; i < ranges->len; i++) {
        const SubuidRange range = g_array_index(ranges, SubuidRange, i);
        SubuidRange *joined = n ? &g_array_index(ranges, SubuidRange, n - 1) : NULL;

        if (!joined || range.first > joined->last) {
            g_array_index(ranges, SubuidRange, n++) = range;
            continue;
        }
        joined->last = MAX(joined->last, range.last);
        if (joined->account != range.account)
            joined->account = joined->first;
    }
    g_array_set_size(ranges, n);
}

static void table_read(SubuidTable *table)
{
    g_autofree char *subuid = NULL, *passwd = NULL;
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    if (!file_text(table->subuid, SUBUID_MAX, &subuid) ||
        !file_text(table->passwd, PASSWD_MAX, &passwd))
        return;
    g_array_set_size(table->ranges, 0);
    g_hash_table_remove_all(table->users);
    users_parse(passwd, table->users, names);
    ranges_parse(table, subuid, names, table->ranges);
    ranges_join(table->ranges);
}

/* Read the states before the files, so that a later change is detected. */
static void table_refresh(SubuidTable *table)
{
    const FileState subuid = file_state(table->subuid), passwd = file_state(table->passwd);

    if (file_states_equal(&subuid, &table->subuid_state) &&
        file_states_equal(&passwd, &table->passwd_state))
        return;
    table->subuid_state = subuid;
    table->passwd_state = passwd;
    table_read(table);
}

static int range_holds(const void *key, const void *item)
{
    const uint32_t uid = *(const uint32_t *)key;
    const SubuidRange *range = item;

    return uid < range->first ? -1 : uid > range->last;
}

uid_t subuid_account(SubuidTable *table, uid_t uid)
{
    const SubuidRange *range;

    if (!table->subuid || uid == 0 || uid == table->owner)
        return uid;
    table_refresh(table);
    if (table->ranges->len == 0 || g_hash_table_contains(table->users, GUINT_TO_POINTER(uid)))
        return uid;
    range = bsearch(&uid, table->ranges->data, table->ranges->len, sizeof(*range), range_holds);
    return range ? range->account : uid;
}

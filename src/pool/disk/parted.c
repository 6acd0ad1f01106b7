/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables of the other types that libvirt supports (bsd, dvh, mac, pc98 and sun), with parted, like
 * libvirt. parted gives no guarantee about a kill during a change. It shrinks a partition only
 * after an interactive question, so partitions of these types are not resized. parted chooses the
 * number of a new partition, which is known only after the change.
 *
 * parted opens a disk for writing even to read it. udev treats the close as a change and probes the
 * disk again. The pool's watch sees the probe and would read the disk again, in an endless loop.
 * Therefore the output of parted is cached. It is valid while the areas of the disk with such
 * tables are unchanged.
 *
 * Debian's libparted runs "udevadm settle" around each change, if it finds that program. We hold
 * the disk's lock at this time, and udev defers the events of a locked disk. The command would wait
 * for its full timeout of two minutes. Therefore libparted gets a PATH without that program. Our
 * caller waits for udev.
 */
#include "label.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/units.h>
#include <pool/tool.h>

#define TIMEOUT_S 120

/* A PATH that can contain no programs. */
#define NO_PROGRAMS "/dev/null"

static const CstToolMeaning meanings[] = {
    {"unable to inform the kernel", CST_ERROR_BUSY}, {"being used", CST_ERROR_BUSY},
    {"ermission denied", CST_ERROR_DENIED},          {"closest location", CST_ERROR_NO_SPACE},
    {"Too many primary", CST_ERROR_STATE},           {NULL, 0},
};

static gboolean parted_run(const char *const *argv, char **ret_out, GError **error)
{
    const CstTool tool = {.argv = argv,
                          .package = "parted",
                          .meanings = meanings,
                          .timeout_s = TIMEOUT_S,
                          .search_path = NO_PROGRAMS};

    return cst_tool_run(&tool, NULL, ret_out, error);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* All of these tables are before this offset. */
#define TABLES_END (64 * CST_KIB)

/* The cached output of parted for a disk. */
typedef struct {
    char *state; /* of the disk */
    char *said;
} Known;

static GMutex known_lock;
static GHashTable *known; /* by node */

static void known_free(gpointer data)
{
    Known *last = data;

    g_free(last->state);
    g_free(last->said);
    g_free(last);
}

/* Returns a checksum of the disk's table area and size, or NULL if the disk cannot be read. */
static char *parted_disk_checksum(const char *node)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree uint8_t *start = g_malloc(TABLES_END);
    g_auto(CstFd) fd = cst_node_open(node, O_RDONLY);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    size_t length = MIN((size_t)MAX(size, 0), TABLES_END);

    if (size < 0 || !cst_pread_full(fd, start, length, 0, node, NULL))
        return NULL;
    g_checksum_update(sum, start, (gssize)length);
    g_checksum_update(sum, (const guchar *)&size, sizeof(size));
    return g_strdup(g_checksum_get_string(sum));
}

/* Returns the cached output for the disk in that state, or NULL if no such output is cached. */
static char *parted_cache_lookup(const char *node, const char *state)
{
    const Known *last;
    char *said;

    g_mutex_lock(&known_lock);
    last = known && state ? g_hash_table_lookup(known, node) : NULL;
    said = last && strcmp(last->state, state) == 0 ? g_strdup(last->said) : NULL;
    g_mutex_unlock(&known_lock);
    return said;
}

static void parted_cache_store(const char *node, const char *state, const char *said)
{
    Known *last;

    if (!state)
        return;
    last = g_new0(Known, 1);
    last->state = g_strdup(state);
    last->said = g_strdup(said);
    g_mutex_lock(&known_lock);
    if (!known)
        known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_free);
    g_hash_table_replace(known, g_strdup(node), last);
    g_mutex_unlock(&known_lock);
}

/* parted fails for a disk without a table. */
static gboolean parted_read(int fd, const char *node, DiskTable **ret_table, GError **error)
{
    const char *const argv[] = {"parted", "--script", "--machine", "--",    node,   "unit", "cyl",
                                "print",  "unit",     "B",         "print", "free", NULL};
    g_autofree char *state = parted_disk_checksum(node);
    g_autofree char *out = parted_cache_lookup(node, state);
    g_autoptr(GError) why = NULL;

    *ret_table = NULL;
    if (out)
        return disk_parted_parse(out, ret_table, error);
    if (parted_run(argv, &out, &why)) {
        parted_cache_store(node, state, out);
        return disk_parted_parse(out, ret_table, error);
    }
    if (strstr(why->message, "unrecognised disk label"))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- changing --------------------------------------------------------------------------------- */

/*
 * Returns the word between "mkpart" and the range. It is a type of partition if the label has
 * several types, a name if it has names, else a file system.
 */
static const char *part_word(const char *label)
{
    if (strcmp(label, "dvh") == 0)
        return "primary";
    return strcmp(label, "mac") == 0 || strcmp(label, "pc98") == 0 ? "cistern" : "ext2";
}

static gboolean parted_remove_partition(const char *node, guint number, GError **error)
{
    g_autofree char *text = g_strdup_printf("%u", number);
    const char *const argv[] = {"parted", "--script", "--", node, "rm", text, NULL};

    return parted_run(argv, NULL, error);
}

/* Returns the number of the partition that begins at @start, or 0 if it does not exist. */
static guint number_at(const DiskTable *table, uint64_t start)
{
    for (guint i = 0; table && i < table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(table->partitions, DiskPartition, i);

        if (!partition->reserved && partition->start == start)
            return partition->number;
    }
    return 0;
}

/* A partition under another number would be another volume, so it is removed again. */
static gboolean parted_check_number(const char *node, const DiskPartition *wanted, GError **error)
{
    g_autoptr(DiskTable) now = NULL;
    guint number;

    if (!parted_read(-1, node, &now, error))
        return FALSE;
    number = number_at(now, wanted->start);
    if (number == wanted->number)
        return TRUE;
    if (number > 0)
        parted_remove_partition(node, number, NULL);
    return cst_fail(error, CST_ERROR_INVALID,
                    _("parted gives number %u to the next partition of '%s', not %u"), number, node,
                    wanted->number);
}

static gboolean add_partition(const char *node, const DiskTable *table, const DiskPartition *wanted,
                              GError **error)
{
    g_autofree char *start = g_strdup_printf("%" G_GUINT64_FORMAT "B", wanted->start);
    g_autofree char *last = g_strdup_printf("%" G_GUINT64_FORMAT "B", wanted->end - 1);
    const char *const argv[] = {"parted", "--script", "--align", "none",
                                "--",     node,       "mkpart",  part_word(table->label),
                                start,    last,       NULL};

    return parted_run(argv, NULL, error) && parted_check_number(node, wanted, error);
}

static gboolean parted_change(const char *node, const DiskTable *table, const DiskChange *change,
                              GError **error)
{
    switch (change->action) {
    case DISK_ADD: return add_partition(node, table, &change->partition, error);
    case DISK_REMOVE: return parted_remove_partition(node, change->partition.number, error);
    default:
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("partitions in a table of type '%s' can't be resized; 'gpt' and 'dos' "
                          "can do that"),
                        table->label);
    }
}

static gboolean parted_put_label(const char *node, const char *label, GError **error)
{
    const char *const argv[] = {"parted", "--script", "--", node, "mklabel", label, NULL};

    return parted_run(argv, NULL, error);
}

const DiskLabelOps disk_parted = {
    .read = parted_read,
    .change = parted_change,
    .put_label = parted_put_label,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables of the other types that libvirt knows, by parted, as it does: bsd, dvh, mac, pc98 and sun.
 * parted promises nothing about a kill in the middle, and can't make a partition smaller without
 * somebody to ask, so these are not resized. Which number it gives is seen when it is done.
 *
 * parted opens a disk for writing even to read it. udev takes the end of that for a change of the
 * disk and looks at it anew, which a pool's watch sees, and so on for ever. So what parted said of
 * a disk is kept, and goes for as long as the places where such tables lie have not changed.
 *
 * Debian's libparted runs "udevadm settle" around each change, if it finds that program. We hold
 * the disk's lock meanwhile, and udev puts off what it was told of a locked disk, so that would
 * wait for its whole time of two minutes. So it does not find it; whoever called us awaits udev.
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

/* A PATH in which there is nothing, and can't be. */
#define NO_PROGRAMS "/dev/null"

static const CstToolMeaning meanings[] = {
    {"unable to inform the kernel", CST_ERROR_BUSY}, {"being used", CST_ERROR_BUSY},
    {"ermission denied", CST_ERROR_DENIED},          {"closest location", CST_ERROR_NO_SPACE},
    {"Too many primary", CST_ERROR_STATE},           {NULL, 0},
};

static gboolean parted(const char *const *argv, char **ret_out, GError **error)
{
    const CstTool tool = {.argv = argv,
                          .package = "parted",
                          .meanings = meanings,
                          .timeout_s = TIMEOUT_S,
                          .search_path = NO_PROGRAMS};

    return cst_tool_run(&tool, NULL, ret_out, error);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* None of these tables reaches further. */
#define TABLES_END (64 * CST_KIB)

/* What parted said of a disk. */
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

/* Returns what tells one state of the disk's tables from another; NULL: it can't be read. */
static char *state_of(const char *node)
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

/* NULL: nothing is known of the disk in that state. */
static char *recall(const char *node, const char *state)
{
    const Known *last;
    char *said;

    g_mutex_lock(&known_lock);
    last = known && state ? g_hash_table_lookup(known, node) : NULL;
    said = last && strcmp(last->state, state) == 0 ? g_strdup(last->said) : NULL;
    g_mutex_unlock(&known_lock);
    return said;
}

static void keep(const char *node, const char *state, const char *said)
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

/* A disk without a table is a failure to parted. */
static gboolean parted_read(int fd, const char *node, DiskTable **ret_table, GError **error)
{
    const char *const argv[] = {"parted", "--script", "--machine", "--",    node,   "unit", "cyl",
                                "print",  "unit",     "B",         "print", "free", NULL};
    g_autofree char *state = state_of(node);
    g_autofree char *out = recall(node, state);
    g_autoptr(GError) why = NULL;

    *ret_table = NULL;
    if (out)
        return disk_parted_parse(out, ret_table, error);
    if (parted(argv, &out, &why)) {
        keep(node, state, out);
        return disk_parted_parse(out, ret_table, error);
    }
    if (strstr(why->message, "unrecognised disk label"))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- changing --------------------------------------------------------------------------------- */

/*
 * The words between "mkpart" and the range: a type of partition where the label has several, a name
 * where it has names, else a file system.
 */
static const char *part_word(const char *label)
{
    if (strcmp(label, "dvh") == 0)
        return "primary";
    return strcmp(label, "mac") == 0 || strcmp(label, "pc98") == 0 ? "cistern" : "ext2";
}

static gboolean remove_partition(const char *node, guint number, GError **error)
{
    g_autofree char *text = g_strdup_printf("%u", number);
    const char *const argv[] = {"parted", "--script", "--", node, "rm", text, NULL};

    return parted(argv, NULL, error);
}

/* Number of the partition that begins at @start; 0: there is none. */
static guint number_at(const DiskTable *table, uint64_t start)
{
    for (guint i = 0; table && i < table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(table->partitions, DiskPartition, i);

        if (!partition->reserved && partition->start == start)
            return partition->number;
    }
    return 0;
}

/* A partition of another number would be another volume: it is removed again. */
static gboolean check_number(const char *node, const DiskPartition *wanted, GError **error)
{
    g_autoptr(DiskTable) now = NULL;
    guint number;

    if (!parted_read(-1, node, &now, error))
        return FALSE;
    number = number_at(now, wanted->start);
    if (number == wanted->number)
        return TRUE;
    if (number > 0)
        remove_partition(node, number, NULL);
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

    return parted(argv, NULL, error) && check_number(node, wanted, error);
}

static gboolean parted_change(const char *node, const DiskTable *table, const DiskChange *change,
                              GError **error)
{
    switch (change->action) {
    case DISK_ADD: return add_partition(node, table, &change->partition, error);
    case DISK_REMOVE: return remove_partition(node, change->partition.number, error);
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

    return parted(argv, NULL, error);
}

const DiskLabelOps disk_parted = {
    .read = parted_read,
    .change = parted_change,
    .put_label = parted_put_label,
};

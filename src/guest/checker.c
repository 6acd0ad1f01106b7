/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checkers of file systems. A backup is like a disk after a power failure, so a journal that
 * must be replayed is no damage. It is replayed on a copy, as a boot would do, if a tool can do so
 * without the kernel (ext); then the result is judged. The tools of XFS and NTFS cannot, so such a
 * file system is not judged. FAT has no journal, but a mark of a mounted file system and a count of
 * free clusters that is invalid while it is mounted. Both are no damage.
 */
#include "checker.h"

#include <string.h>

#include <base/bytes.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>

#include "disk.h"
#include "partition.h"

#define DETAIL_CHARS 160

/* --- FAT -------------------------------------------------------------------------------------- */

#define FAT_SECTOR      512
#define FAT16_SECTORS   0x16 /* of a table, 2 bytes; 0: FAT32 */
#define FAT16_STATE     0x25
#define FAT32_STATE     0x41
#define FAT_STATE_DIRTY 1
#define FAT32_INFO      0x30 /* number of the sector with the count, 2 bytes */
#define FAT32_FREE      488  /* in that sector: the count, 4 bytes */

static gboolean forget_free_count(CstBlob *copy, const uint8_t *boot, GError **error)
{
    uint64_t at = (uint64_t)cst_le16(boot + FAT32_INFO) * cst_le16(boot + 11) + FAT32_FREE;
    uint8_t unknown[4] = {0xff, 0xff, 0xff, 0xff};
    uint64_t size;

    return cst_blob_get_size(copy, &size, error) &&
           (at > size - sizeof(unknown) ||
            cst_blob_pwrite(copy, unknown, sizeof(unknown), at, error));
}

static gboolean unmount_fat(CstBlob *copy, gboolean *ret_was_mounted, GError **error)
{
    uint8_t boot[FAT_SECTOR];
    uint64_t size;
    gboolean is_32;
    size_t at;

    *ret_was_mounted = FALSE;
    if (!cst_blob_get_size(copy, &size, error))
        return FALSE;
    if (size < sizeof(boot))
        return TRUE;
    if (!cst_blob_pread(copy, boot, sizeof(boot), 0, error))
        return FALSE;
    is_32 = cst_le16(boot + FAT16_SECTORS) == 0;
    at = is_32 ? FAT32_STATE : FAT16_STATE;
    if (!(boot[at] & FAT_STATE_DIRTY))
        return TRUE;
    *ret_was_mounted = TRUE;
    boot[at] &= (uint8_t)~FAT_STATE_DIRTY;
    return cst_blob_pwrite(copy, boot + at, 1, at, error) &&
           (!is_32 || forget_free_count(copy, boot, error));
}

/* --- the table -------------------------------------------------------------------------------- */

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const GuestChecker checkers[] = {
    {.types = WORDS("ext2", "ext3", "ext4"),
     .replay = WORDS("e2fsck", "-y", "-E", "journal_only", GUEST_DISK_PATH),
     .replayed = "recovering journal",
     .settled = N_("journal to be replayed; sound after that"),
     .check = WORDS("e2fsck", "-f", "-n", GUEST_DISK_PATH)},
    {.types = WORDS("xfs"),
     .check = WORDS("xfs_repair", "-n", "-f", GUEST_DISK_PATH),
     .pending = "valuable metadata changes in a log",
     .why = N_("journal to be replayed, which only the kernel can")},
    {.types = WORDS("btrfs"),
     .check = WORDS("btrfs", "check", "--readonly", GUEST_DISK_PATH),
     .pending = "is missing",
     .why = N_("parts of it are on other disks")},
    {.types = WORDS("vfat"),
     .check = WORDS("fsck.fat", "-n", GUEST_DISK_PATH),
     .unmount = unmount_fat,
     .settled = N_("marked as mounted; sound")},
    {.types = WORDS("ntfs"),
     .check = WORDS("ntfsfix", "-n", GUEST_DISK_PATH),
     .pending = "contains an unclean file system",
     .why = N_("journal to be replayed, which only Windows can")},
};

const GuestChecker *guest_checker_find(const char *type)
{
    for (guint i = 0; i < G_N_ELEMENTS(checkers); i++)
        if (g_strv_contains(checkers[i].types, type))
            return &checkers[i];
    return NULL;
}

/* --- output of a checker ---------------------------------------------------------------------- */

/* Prefixes of lines that do not report damage. */
static const char *const idle[] = {
    "e2fsck ",
    "fsck.fat ",
    "Pass ",
    "Phase ",
    "[",
    "Warning: skipping journal",
    "Opening filesystem",
    "Checking filesystem on",
    "UUID:",
    "Cannot get host filesystem geometry",
    "Repair may fail if",
    "the image and the host",
    "No modify flag",
    "Mounting volume... OK",
    "Failed to determine whether",
};

static gboolean line_is_idle(const char *line)
{
    if (*line == '\0' || g_str_has_prefix(line, "- "))
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(idle); i++)
        if (g_str_has_prefix(line, idle[i]))
            return TRUE;
    return FALSE;
}

/* Returns the first relevant line, printable, or NULL. */
static char *first_message_line(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        g_autofree char *start = NULL;

        g_strstrip(lines[i]);
        if (line_is_idle(lines[i]))
            continue;
        start = g_strndup(lines[i], DETAIL_CHARS);
        return cst_text_escape(start);
    }
    return NULL;
}

/* Messages of a tool that ran out of memory on this host. */
static const char *const starved[] = {
    "emory allocation failed",
    "annot allocate memory",
    "ut of memory",
    "ot enough memory",
    "error while loading shared libraries",
};

static gboolean is_starved(const CstChildResult *result)
{
    for (guint i = 0; i < G_N_ELEMENTS(starved); i++)
        if (strstr(result->out, starved[i]) || strstr(result->err, starved[i]))
            return TRUE;
    return FALSE;
}

static char *checker_failure_text(const GuestChecker *checker, const CstChildResult *result)
{
    g_autofree char *out = first_message_line(result->out);
    g_autofree char *line = out ? g_steal_pointer(&out) : first_message_line(result->err);

    return g_strdup_printf(_("%s ends with status %d: %s"), checker->check[0], result->status,
                           line ? line : "");
}

void guest_checker_judge(const GuestChecker *checker, const CstChildResult *result,
                         gboolean settled, CstGuestPart *part)
{
    gboolean pending = checker->pending && (strstr(result->err, checker->pending) ||
                                            strstr(result->out, checker->pending));

    if (pending)
        guest_part_judge(part, CST_GUEST_UNKNOWN, g_strdup(_(checker->why)));
    else if (result->status != 0 && is_starved(result))
        guest_part_judge(part, CST_GUEST_UNPROVEN, checker_failure_text(checker, result));
    else if (result->status != 0)
        guest_part_judge(part, CST_GUEST_DAMAGED, checker_failure_text(checker, result));
    else
        guest_part_judge(part, CST_GUEST_SOUND, settled ? g_strdup(_(checker->settled)) : NULL);
}

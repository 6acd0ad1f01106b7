/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks a disk partition by partition. partx lists the partitions, and blkid detects their types.
 * The checker gets a copy of the partition, because most checkers cannot start at an offset of a
 * file, and a journal replay has to write. The copy shares extents if the file system supports it.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "checker.h"
#include "disk.h"
#include "partition.h"

/* Exit statuses. */
#define PARTX_NO_TABLE  1
#define BLKID_NOTHING   2
#define BLKID_AMBIGUOUS 8
#define CHILD_SIGNALLED 128 /* plus the number of the signal */

/*
 * Runs a tool for @part. Returns FALSE if there is no usable result. Then either the verdict of the
 * part is set, or @error is set, which ends the whole check.
 */
static gboolean run_for(CstGuestDisk *disk, const char *const *argv, CstTask *task,
                        CstGuestPart *part, CstChildResult *ret_result, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstErrorCode code;

    if (guest_disk_run(disk, argv, task, ret_result, &why)) {
        if (ret_result->status <= CHILD_SIGNALLED)
            return TRUE;
        guest_part_judge(part, CST_GUEST_UNPROVEN,
                         g_strdup_printf(_("%s was killed by signal %d"), argv[0],
                                         ret_result->status - CHILD_SIGNALLED));
        return FALSE;
    }
    code = cst_error_code(why);
    if (code == CST_ERROR_NOT_FOUND)
        guest_part_judge(part, CST_GUEST_UNPROVEN,
                         g_strdup_printf(_("%s is not installed, or not in PATH"), argv[0]));
    else if (code == CST_ERROR_TIMEOUT || code == CST_ERROR_DENIED)
        guest_part_judge(part, CST_GUEST_UNPROVEN, g_strdup(why->message));
    else if (code == CST_ERROR_LIMIT)
        guest_part_judge(part, CST_GUEST_DAMAGED, g_strdup(why->message));
    else
        g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- partitions ------------------------------------------------------------------------------- */

/*
 * Returns the partitions. Without a partition table, or on a failure with a verdict, returns only
 * @whole.
 */
static GPtrArray *find_parts(CstGuestDisk *disk, uint64_t size, CstTask *task, GError **error)
{
    static const char *const argv[] = {"partx",         "--raw",    "--bytes",
                                       "--noheadings",  "--output", "NR,START,SECTORS,TYPE,SCHEME",
                                       GUEST_DISK_PATH, NULL};
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(guest_part_free);
    CstGuestPart *whole = guest_part_new(0, 0, size);
    g_auto(CstChildResult) result = {0};
    GPtrArray *found;
    GError *why = NULL;

    g_ptr_array_add(parts, whole);
    if (!run_for(disk, argv, task, whole, &result, &why)) {
        if (why)
            g_propagate_error(error, why);
        return why ? NULL : g_steal_pointer(&parts);
    }
    if (result.status == PARTX_NO_TABLE)
        return g_steal_pointer(&parts);
    found = result.status == 0 ? guest_partitions_parse(result.out, size) : NULL;
    if (!found)
        guest_part_judge(whole, CST_GUEST_DAMAGED, g_strdup(_("the partitions can't be read")));
    else if (found->len > 0)
        return found;
    g_clear_pointer(&found, g_ptr_array_unref);
    return g_steal_pointer(&parts);
}

/* --- a partition ------------------------------------------------------------------------------ */

/* Finds the type of a partition. Returns FALSE if it cannot be checked. */
static gboolean part_find_type(CstGuestDisk *disk, CstGuestPart *part, CstTask *task,
                               GError **error)
{
    g_autofree char *offset = g_strdup_printf("%" PRIu64, part->offset);
    g_autofree char *length = g_strdup_printf("%" PRIu64, part->length);
    const char *const argv[] = {"blkid", "-p", "-o",   "export",        "-O",
                                offset,  "-S", length, GUEST_DISK_PATH, NULL};
    g_auto(CstChildResult) result = {0};

    if (!run_for(disk, argv, task, part, &result, error))
        return FALSE;
    if (result.status == BLKID_NOTHING)
        guest_part_judge(part, CST_GUEST_UNKNOWN, g_strdup(_("no known content")));
    else if (result.status == BLKID_AMBIGUOUS)
        guest_part_judge(part, CST_GUEST_UNKNOWN, g_strdup(_("signatures of several things")));
    else if (result.status != 0)
        guest_part_judge(part, CST_GUEST_DAMAGED,
                         g_strdup_printf(_("%s ends with status %d"), argv[0], result.status));
    else if (!guest_type_parse(result.out, &part->type) || !guest_checker_find(part->type))
        guest_part_judge(part, CST_GUEST_UNKNOWN, g_strdup(_("not looked into")));
    else
        return TRUE;
    return FALSE;
}

static CstGuestDisk *copy_part(CstGuestDisk *disk, const CstGuestPart *part, CstTask *task,
                               GError **error)
{
    g_autoptr(CstGuestDisk) copy = guest_disk_beside(disk, part->length, error);

    if (!copy || !cst_blob_copy(disk->blob, part->offset, copy->blob, 0, part->length,
                                CST_COPY_DST_ZERO, task, error))
        return NULL;
    return g_steal_pointer(&copy);
}

/* Puts the copy in the state in which a mount would start. *@ret_settled: this has changed it. */
static gboolean part_replay_journal(CstGuestDisk *copy, const GuestChecker *checker,
                                    CstGuestPart *part, CstTask *task, gboolean *ret_settled,
                                    GError **error)
{
    g_auto(CstChildResult) result = {0};

    *ret_settled = FALSE;
    if (checker->unmount)
        return checker->unmount(copy->blob, ret_settled, error);
    if (!checker->replay)
        return TRUE;
    if (!run_for(copy, checker->replay, task, part, &result, error))
        return FALSE;
    /* Ignore the exit status, because the check reports a failed replay. */
    *ret_settled = strstr(result.out, checker->replayed) != NULL;
    return TRUE;
}

static void check_guest_part(CstGuestDisk *disk, CstGuestPart *part, CstTask *task, GError **error)
{
    const GuestChecker *checker;
    g_autoptr(CstGuestDisk) copy = NULL;
    g_auto(CstChildResult) result = {0};
    gboolean settled = FALSE;

    if (!part_find_type(disk, part, task, error))
        return;
    checker = guest_checker_find(part->type);
    copy = copy_part(disk, part, task, error);
    if (copy && part_replay_journal(copy, checker, part, task, &settled, error) &&
        run_for(copy, checker->check, task, part, &result, error))
        guest_checker_judge(checker, &result, settled, part);
    if (checker->replay && part->verdict == CST_GUEST_SOUND)
        part->journal = settled ? CST_GUEST_JOURNAL_REPLAYED : CST_GUEST_JOURNAL_EMPTY;
}

GPtrArray *cst_guest_disk_check(CstGuestDisk *disk, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) parts = NULL;
    uint64_t size;

    if (!cst_blob_get_size(disk->blob, &size, error))
        return NULL;
    parts = find_parts(disk, size, task, error);
    for (guint i = 0; parts && i < parts->len; i++) {
        CstGuestPart *part = parts->pdata[i];
        GError *why = NULL;

        if (!part->detail)
            check_guest_part(disk, part, task, &why);
        if (why) {
            g_propagate_error(error, why);
            return NULL;
        }
    }
    return g_steal_pointer(&parts);
}

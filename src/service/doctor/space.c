/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Space that runs full: of a file system with images, and of its inodes. The space of a volume
 * group or a disk is no finding, because all of it may be in use.
 */
#include "space.h"

#include <inttypes.h>
#include <sys/statvfs.h>

#include <base/i18n.h>
#include <service/promise.h>
#include <service/trash.h>

#include "core/table.h"

#define NEARLY_FULL   90 /* percent of a file system */
#define ALMOST_FULL   98
#define INODES_USED   95
#define INODES_ALMOST 99
#define TRASH_LARGE   10  /* percent of the pool */
#define PROMISED_MANY 300 /* percent of the space */

/* --- file systems ----------------------------------------------------------------------------- */

static unsigned share_percent(uint64_t part, uint64_t whole)
{
    return whole ? (unsigned)(100.0 * (double)part / (double)whole) : 0;
}

static char *trash_repair(const DoctorRun *run)
{
    return cst_doctor_command("cistern", "trash-empty", "--pool", run->pool->name, "--yes", NULL);
}

/* Checks the fill level, and the trash as a part of it. */
static void pool_check_fullness(DoctorRun *run, const CstPoolInfo *info)
{
    CstTrashTotals trash = {0};
    unsigned used =
        share_percent(info->capacity - MIN(info->available, info->capacity), info->capacity);
    g_autofree char *available = doctor_size(info->available);
    g_autofree char *trashed = NULL;

    if (run->def->trash_days > 0)
        cst_pool_trash_totals(run->pool, run->task, &trash, NULL);
    if (used >= NEARLY_FULL)
        doctor_report_as(run, used >= ALMOST_FULL ? CST_SEVERITY_ERROR : CST_SEVERITY_WARNING,
                         "pool-nearly-full", run->pool->name,
                         trash.volumes > 0 ? trash_repair(run) : NULL,
                         _("the pool is %u%% full; %s are available"), used, available);
    if (!trash.has_size || share_percent(trash.allocation, info->capacity) < TRASH_LARGE)
        return;
    trashed = doctor_size(trash.allocation);
    doctor_report(run, "trash-large", run->pool->name, trash_repair(run),
                  ngettext("%u deleted volume in the trash uses %s, which is %u%% of the pool",
                           "%u deleted volumes in the trash use %s, which is %u%% of the pool",
                           trash.volumes),
                  trash.volumes, trashed, share_percent(trash.allocation, info->capacity));
}

/*
 * Compares the promise of the pool with the space that its volumes have and can get. Without an
 * answer of the storage, the check is left out.
 */
static void pool_check_promises(DoctorRun *run, const CstPoolInfo *info)
{
    g_autoptr(GPtrArray) volumes = pool_table_sorted(run->pool);
    uint64_t space = info->available;
    CstPoolPromise promise;
    g_autofree char *promised_text = NULL, *space_text = NULL;
    gboolean many;

    for (guint i = 0; i < volumes->len; i++) {
        const CstVolume *volume = volumes->pdata[i];

        space += MIN(volume->allocation, G_MAXUINT64 / 2 - space);
    }
    if (!cst_pool_get_promise(run->pool, &promise, NULL) || promise.promised <= space)
        return;
    many =
        share_percent(promise.promised, space) > PROMISED_MANY &&
        share_percent(info->capacity - MIN(info->available, info->capacity), info->capacity) >= 80;
    promised_text = doctor_size(promise.promised);
    space_text = doctor_size(space);
    doctor_report_as(run, many ? CST_SEVERITY_WARNING : CST_SEVERITY_NOTE, "pool-over-promised",
                     run->pool->name, NULL,
                     _("guests may write %s, but their volumes have and can get only %s"),
                     promised_text, space_text);
}

static void pool_check_inodes(DoctorRun *run)
{
    struct statvfs st;
    unsigned used;

    if (!run->def->target_path || statvfs(run->def->target_path, &st) < 0 || st.f_files == 0)
        return;
    used = share_percent(st.f_files - MIN(st.f_favail, st.f_files), st.f_files);
    if (used >= INODES_USED)
        doctor_report_as(run, used >= INODES_ALMOST ? CST_SEVERITY_ERROR : CST_SEVERITY_WARNING,
                         "inodes-nearly-used", run->pool->name, NULL,
                         _("%u%% of the inodes of the file system are in use; %" PRIu64
                           " new files are possible"),
                         used, (uint64_t)st.f_favail);
}

void doctor_check_space(DoctorRun *run)
{
    CstPoolInfo info;

    if (!cst_pool_state_holds_images(run->state))
        return;
    cst_pool_get_info(run->pool, &info);
    pool_check_fullness(run, &info);
    pool_check_promises(run, &info);
    pool_check_inodes(run);
}

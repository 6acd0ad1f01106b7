/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks of one volume: its content, its backing chain, its sizes, its snapshots, and the access to
 * its file. All but the snapshots use the record of the last scan. The snapshots of at most
 * DOCTOR_FILES images are read for a page.
 */
#include "volume.h"

#include <inttypes.h>
#include <string.h>

#include <base/i18n.h>
#include <service/snapshots.h>
#include <service/trash.h>

#include "core/scan.h"
#include "core/table.h"
#include "core/trust.h"
#include "dependency/depth.h"

#include "access.h"

#define SNAPSHOTS_MANY 64
#define SNAPSHOT_OLD_S (180 * 86400)
#define DAY_S          86400
#define SECTOR         512
#define CLAIM_WAIT_US  (100 * G_TIME_SPAN_MILLISECOND)

/* --- the content ------------------------------------------------------------------------------ */

/* Returns the command that restores @path from the trash; NULL: it is not there. */
static char *trash_restores(const DoctorRun *run, const char *path)
{
    g_autofree char *name = cst_pool_state_vol_resolve(run->state, path);
    g_autoptr(GPtrArray) rows = NULL;

    if (!name || run->def->trash_days == 0)
        return NULL;
    rows = cst_pool_trash_list(run->pool, NULL);
    for (guint i = 0; rows && i < rows->len; i++)
        if (strcmp(((const CstTrashRow *)rows->pdata[i])->name, name) == 0)
            return cst_doctor_command("cistern", "trash-restore", "--pool", run->pool->name, "--",
                                      name, NULL);
    return NULL;
}

/* Returns the check to which the problem of the backing file belongs. */
static const char *backing_check_id(const CstVolumeExtra *extra)
{
    if (extra->backing_trust == CST_TRUST_NONE)
        return "backing-undeclared";
    if (!g_file_test(extra->backing_path, G_FILE_TEST_EXISTS))
        return "backing-missing";
    return "backing-format-differs";
}

static void content_check(DoctorRun *run, const CstVolume *volume, const char *object)
{
    const CstVolumeExtra *extra = volume->extra;
    g_autofree char *problem = volume_problem(run->pool, volume, run->bases);
    const char *id;

    if (cst_volume_header_is_lost(volume))
        doctor_report(run, "image-header-lost", object, NULL, "%s", problem);
    else if (problem && extra->problem)
        doctor_report(run, "image-unusable", object, NULL, "%s", problem);
    else if (problem && extra->backing_path &&
             (extra->backing_trust == CST_TRUST_NONE || !extra->data_file || extra->data_trust)) {
        id = backing_check_id(extra);
        doctor_report(run, id, object,
                      strcmp(id, "backing-missing") == 0 ? trash_restores(run, extra->backing_path)
                                                         : NULL,
                      "%s", problem);
    } else if (problem)
        doctor_report(run, "data-file-undeclared", object, NULL, "%s", problem);
    if (extra->content && !cst_volume_header_is_lost(volume))
        doctor_report(run, "content-differs", object, NULL,
                      _("the volume is %s, but its content looks like %s, which a guest may have "
                        "written"),
                      volume->format, extra->content);
}

/* --- the chain -------------------------------------------------------------------------------- */

/* Follows the declared references down, and checks the access to each file. */
static void chain_check(DoctorRun *run, const CstVolume *volume, const char *object)
{
    const char *path = volume->extra->backing_path;
    g_autoptr(GPtrArray) paths = NULL;
    gboolean is_endless;

    if (!path || volume->extra->backing_trust == CST_TRUST_NONE)
        return;
    paths = chain_paths(run->service, path, &is_endless);
    for (guint i = 0; i < paths->len; i++)
        if (cst_mounts_is_local(run->mounts, paths->pdata[i]))
            doctor_check_access(run, object, paths->pdata[i], DOCTOR_BACKING);
    if (is_endless)
        doctor_report(run, "chain-loop", object, NULL,
                      _("its backing chain leads back to itself, or has more than %d images"),
                      CST_CHAINS_MAX);
    else if (paths->len + 1 >= cst_chain_limits_warn(&run->next_def->chains))
        doctor_report(run, "chain-too-deep", object,
                      cst_doctor_command("cistern", "vol-consolidate", "--", object, NULL),
                      _("its backing chain has %u images, and each makes reads slower"),
                      paths->len + 1);
}

/* --- sizes ------------------------------------------------------------------------------------ */

static char *resize_repair(const char *object, uint64_t unit, uint64_t capacity)
{
    g_autofree char *size = g_strdup_printf("%" PRIu64 "B", (capacity + unit - 1) / unit * unit);

    return cst_doctor_command("cistern", "vol-resize", "--", object, size, NULL);
}

static void size_check(DoctorRun *run, const CstVolume *volume, const char *object)
{
    uint64_t sector;

    if (volume->type != CST_VOL_FILE || volume->capacity == 0)
        return;
    if (volume->capacity % SECTOR != 0) {
        doctor_report(run, "size-unaligned", object,
                      resize_repair(object, SECTOR, volume->capacity),
                      _("its size is %" PRIu64 " bytes, which is no multiple of %d; a "
                        "guest cannot use its end"),
                      (uint64_t)volume->capacity, SECTOR);
        return;
    }
    if (volume->capacity % 4096 == 0)
        return;
    if (doctor_queue_number(run, volume->stamp.device, "logical_block_size", &sector) &&
        sector > SECTOR && volume->capacity % sector != 0)
        doctor_report(run, "sector-size", object, resize_repair(object, sector, volume->capacity),
                      _("its size is no multiple of %" PRIu64
                        " bytes, the sector size of its device; QEMU without a cache cannot use "
                        "its end"),
                      sector);
}

/* --- snapshots -------------------------------------------------------------------------------- */

/* Returns the snapshots, or NULL while another operation has the volume. */
static GPtrArray *snapshots_read(DoctorRun *run, const CstVolume *volume)
{
    CstTask *task = cst_task_new();
    GPtrArray *snapshots;

    cst_task_set_max_wait(task, CLAIM_WAIT_US);
    snapshots = cst_vol_snapshots(run->pool, volume->name, task, NULL);
    cst_task_unref(task);
    return snapshots;
}

static void snapshots_check(DoctorRun *run, const CstVolume *volume, const char *object)
{
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;
    g_autoptr(GPtrArray) snapshots = NULL;
    const CstSnapshot *oldest = NULL;

    if (run->files_left == 0 || volume->extra->snapshots == 0)
        return;
    run->files_left--;
    snapshots = snapshots_read(run, volume);
    if (!snapshots)
        return;
    if (snapshots->len > SNAPSHOTS_MANY)
        doctor_report(run, "snapshots-many", object, NULL,
                      _("it has %u snapshots, and each makes writes slower"), snapshots->len);
    for (guint i = 0; i < snapshots->len; i++) {
        const CstSnapshot *snapshot = snapshots->pdata[i];

        if (snapshot->created > 0 && (!oldest || snapshot->created < oldest->created))
            oldest = snapshot;
    }
    /* The image has one finding, because its author decides the number of its snapshots. */
    if (oldest && now - oldest->created >= SNAPSHOT_OLD_S)
        doctor_report(
            run, "snapshot-old", object,
            cst_doctor_command("cistern", "snap-delete", "--yes", "--", object, oldest->name, NULL),
            _("its oldest snapshot '%s' is %" PRId64 " days old"), oldest->name,
            (now - oldest->created) / DAY_S);
}

/* --- processes -------------------------------------------------------------------------------- */

static void holders_check(DoctorRun *run, const CstVolume *volume, const char *object)
{
    g_autoptr(GPtrArray) holders = cst_pool_state_vol_holders(run->state, volume->name, NULL);
    g_autofree char *text = NULL;

    if (!holders || holders->len == 0 || cst_holders_pass(holders))
        return;
    text = cst_holders_describe(holders);
    doctor_report(run, "disk-in-use", object, NULL, _("it is open: %s"), text);
}

void doctor_check_volume(DoctorRun *run, const CstVolume *volume)
{
    g_autofree char *object = doctor_volume_object(run, volume->name);
    g_autofree char *path = cst_pool_state_vol_path(run->state, volume->name);

    if (volume->extra) {
        content_check(run, volume, object);
        chain_check(run, volume, object);
        snapshots_check(run, volume, object);
    }
    size_check(run, volume, object);
    if (g_path_is_absolute(path))
        doctor_check_access(run, object, path,
                            pool_table_has_overlay(run->pool, path) ? DOCTOR_BASE : DOCTOR_DISK);
    if (run->is_single)
        holders_check(run, volume, object);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk: a spool that belongs to the user of its tools, so that the tools can open it as /dev/fd/3
 * and no other user can.
 */
#include "disk.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/spool.h>
#include <base/units.h>

#define TOOL_SECONDS (15 * 60)
#define TOOL_MEMORY  (4 * CST_GIB)
#define TOOL_OUTPUT  (1u << 20)

static gboolean guest_disk_check_room(int fd, const char *dir, uint64_t data, GError **error)
{
    uint64_t room;

    if (!cst_spool_room(fd, &room))
        return cst_fail_errno(error, errno, _("cannot make a scratch disk in '%s'"), dir);
    return room >= data ||
           cst_fail(error, CST_ERROR_NO_SPACE,
                    _("'%s' has %" PRIu64 " MiB left, and the scratch disk needs %" PRIu64
                      " MiB; say where with --scratch"),
                    dir, room / CST_MIB, cst_div_up(data, CST_MIB));
}

static CstGuestDisk *new_disk(const char *dir, const CstConfine *confine, uint64_t size,
                              uint64_t data, GError **error)
{
    g_autoptr(CstGuestDisk) disk = g_new0(CstGuestDisk, 1);
    g_auto(CstFd) fd = cst_spool_open(dir);

    disk->dir = g_strdup(dir);
    disk->confine = *confine;
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
        (confine->uid && fchown(fd, confine->uid, (gid_t)confine->uid) < 0)) {
        cst_fail_errno(error, errno, _("cannot make a scratch disk in '%s'"), dir);
        return NULL;
    }
    if (!guest_disk_check_room(fd, dir, data, error))
        return NULL;
    disk->blob = cst_blob_file_new(g_steal_fd(&fd), _("scratch disk"), TRUE, error);
    return disk->blob ? g_steal_pointer(&disk) : NULL;
}

CstGuestDisk *cst_guest_disk_new(const char *dir, uint64_t size, uint64_t data, GError **error)
{
    CstConfine confine = {.memory = TOOL_MEMORY};

    cst_confine_choose_user(&confine);
    return new_disk(dir, &confine, size, data, error);
}

CstGuestDisk *guest_disk_beside(const CstGuestDisk *disk, uint64_t size, GError **error)
{
    return new_disk(disk->dir, &disk->confine, size, 0, error);
}

void cst_guest_disk_free(CstGuestDisk *disk)
{
    if (!disk)
        return;
    cst_blob_unref(disk->blob);
    g_free(disk->dir);
    g_free(disk);
}

CstBlob *cst_guest_disk_blob(CstGuestDisk *disk)
{
    return disk->blob;
}

gboolean guest_confined(const CstChildResult *result, const char *tool, GError **error)
{
    g_autofree char *why = NULL;

    if (result->status != CST_CONFINE_FAILED)
        return TRUE;
    why = g_strstrip(g_strdup(result->err));
    return cst_fail(error, CST_ERROR_DENIED, _("'%s' is not run over a guest's disk: %s"), tool,
                    why);
}

gboolean guest_disk_run(CstGuestDisk *disk, const char *const *argv, CstTask *task,
                        CstChildResult *ret_result, GError **error)
{
    const int fd = cst_blob_file_fd(disk->blob);
    const CstChild child = {.argv = argv,
                            .timeout_s = TOOL_SECONDS,
                            .output_limit = TOOL_OUTPUT,
                            .fds = &fd,
                            .n_fds = 1,
                            .confine = &disk->confine};

    return cst_child_run(&child, task, ret_result, error) &&
           guest_confined(ret_result, argv[0], error);
}

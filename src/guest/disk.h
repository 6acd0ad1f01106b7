/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/child.h>
#include <guest/guest.h>

struct CstGuestDisk {
    CstBlob *blob;
    CstConfine confine; /* of the tools */
    char *dir;
};

/** The path under which a tool opens the disk. The disk is its descriptor 3. */
#define GUEST_DISK_PATH "/dev/fd/3"

/** Makes another disk of @size bytes for the same tools. */
CstGuestDisk *guest_disk_beside(const CstGuestDisk *disk, uint64_t size, GError **error);

/** Runs a tool, confined, for at most 15 minutes. Errors as in cst_child_run(), and DENIED. */
gboolean guest_disk_run(CstGuestDisk *disk, const char *const *argv, CstTask *task,
                        CstChildResult *ret_result, GError **error);
/** Fails with DENIED if @result reports that the child could not be confined. */
gboolean guest_confined(const CstChildResult *result, const char *tool, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/child.h>
#include <guest/guest.h>

struct CstGuestDisk {
    CstBlob *blob;
    CstConfine confine; /* of the tools; owns the file */
    char *dir;
};

/** A tool that gets a disk as its descriptor 3, which GUEST_DISK_PATH names. */
#define GUEST_DISK_PATH "/dev/fd/3"

/** Makes another one of @size bytes for the same tools. */
CstGuestDisk *guest_disk_beside(const CstGuestDisk *disk, uint64_t size, GError **error);

/** Runs a tool, confined, for at most some minutes. Errors as cst_child_run(), DENIED besides. */
gboolean guest_disk_run(CstGuestDisk *disk, const char *const *argv, CstTask *task,
                        CstChildResult *ret_result, GError **error);
/** Fails with DENIED when @result is that of a child that could not be confined. */
gboolean guest_confined(const CstChildResult *result, const char *tool, GError **error);

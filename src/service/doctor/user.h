/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/stat.h>

#include <store/paths.h>

/** The user as which libvirt runs QEMU, by /etc/libvirt/qemu.conf. */
typedef struct {
    char *name; /* as the configuration has it */
    uid_t uid;
    GArray *groups;         /* of gid_t: all groups of the process */
    gboolean changes_owner; /* libvirt gives local disk files to the user (dynamic_ownership) */
} DoctorUser;

/** Rights on a file or directory, as bits of its mode. */
typedef enum { DOCTOR_SEARCH = 1, DOCTOR_WRITE = 2, DOCTOR_READ = 4 } DoctorRights;

/**
 * Returns the user, which the caller frees. NULL: this host has no QEMU of libvirt, or its user is
 * root or unknown.
 */
DoctorUser *doctor_user_find(const CstPaths *paths);
/** NULL is accepted. */
void doctor_user_free(DoctorUser *user);

/**
 * Whether the user has all of @rights (DoctorRights) on the file at @path, by its owner, its mode
 * and its POSIX access list. @st: its stat(2). *ret_has_acl: the file has an access list.
 */
gboolean doctor_user_may(const DoctorUser *user, const char *path, const struct stat *st,
                         unsigned rights, gboolean *ret_has_acl);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why QEMU's user cannot open a disk.
 *
 * QEMU needs the right to search each directory on the way to the file, also of the target of each
 * symbolic link. libvirt changes no directory. It gives the file itself to QEMU's user, unless
 * dynamic_ownership is 0. On a network file system this may be refused, so the rights of the file
 * count there. An immutable file, or a read-only mount, prevents both.
 */
#include "access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <base/file.h>
#include <base/i18n.h>
#include <pool/tool.h>

/* --- repairs ---------------------------------------------------------------------------------- */

/*
 * Returns a command that grants @rights to the user. An access list grants them to no further user.
 * Without its tool, or on a file with the user as its owner, the mode is changed.
 */
static char *rights_repair(const DoctorUser *user, const char *path, const struct stat *st,
                           gboolean has_acl, unsigned rights)
{
    const char *letters = rights == DOCTOR_SEARCH ? "x" : rights & DOCTOR_WRITE ? "rw" : "r";
    g_autofree char *change = NULL;
    const char *class = "o";

    if (st->st_uid != user->uid && (has_acl || cst_tool_exists("setfacl"))) {
        change = g_strdup_printf("u:%u:%s", (unsigned)user->uid, letters);
        return cst_doctor_command("setfacl", "-m", change, path, NULL);
    }
    if (st->st_uid == user->uid)
        class = "u";
    else
        for (guint i = 0; i < user->groups->len; i++)
            if (g_array_index(user->groups, gid_t, i) == st->st_gid)
                class = "g";
    change = g_strdup_printf("%s+%s", class, letters);
    return cst_doctor_command("chmod", change, path, NULL);
}

/* --- directories ------------------------------------------------------------------------------ */

/* The types of directories that SELinux's policy does not let QEMU search. */
static const char *const closed_types[] = {"default_t", "unlabeled_t", "user_home_t",
                                           "admin_home_t"};

static gboolean selinux_is_enforcing(const DoctorRun *run)
{
    g_autofree char *path = doctor_root_path(run, "/sys/fs/selinux/enforce");
    g_autofree char *text = cst_kernel_read(path);

    return text && *text == '1';
}

/* Checks the label USER:ROLE:TYPE:LEVEL of the directory that has a disk. */
static void directory_check_label(DoctorRun *run, const char *dir)
{
    char label[256] = "";
    ssize_t len = getxattr(dir, "security.selinux", label, sizeof(label) - 1);
    g_auto(GStrv) parts = NULL;

    if (len <= 0 || !selinux_is_enforcing(run))
        return;
    parts = g_strsplit(label, ":", -1);
    if (g_strv_length(parts) < 3)
        return;
    for (guint i = 0; i < G_N_ELEMENTS(closed_types); i++)
        if (strcmp(parts[2], closed_types[i]) == 0)
            doctor_report(run, "selinux-label", dir,
                          cst_doctor_command("chcon", "-t", "virt_image_t", dir, NULL),
                          _("SELinux does not let QEMU search the directory, because its type is "
                            "%s"),
                          parts[2]);
}

static void directory_check(DoctorRun *run, const char *dir)
{
    struct stat st;
    gboolean has_acl;

    if (!run->user || stat(dir, &st) < 0 || !S_ISDIR(st.st_mode) ||
        doctor_user_may(run->user, dir, &st, DOCTOR_SEARCH, &has_acl))
        return;
    doctor_report(run, "path-not-searchable", dir,
                  rights_repair(run->user, dir, &st, has_acl, DOCTOR_SEARCH),
                  _("user %s, as which QEMU runs, cannot search the directory: its mode is %04o "
                    "and its owner is %u:%u"),
                  run->user->name, st.st_mode & 07777, (unsigned)st.st_uid, (unsigned)st.st_gid);
}

/* Checks all directories above @path, each once. */
static void directories_check(DoctorRun *run, const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);

    if (g_hash_table_add(run->walked, g_strdup(dir)))
        directory_check_label(run, dir);
    else
        return;
    while (TRUE) {
        g_autofree char *key = g_strconcat("search ", dir, NULL);
        char *above;

        if (!g_hash_table_add(run->walked, g_steal_pointer(&key)))
            return;
        directory_check(run, dir);
        if (strcmp(dir, "/") == 0)
            return;
        above = g_path_get_dirname(dir);
        g_free(dir);
        dir = above;
    }
}

/* --- the file --------------------------------------------------------------------------------- */

static void file_check_attributes(DoctorRun *run, const char *object, const char *path)
{
    struct statx stx;

    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &stx) < 0)
        return;
    if (stx.stx_attributes & STATX_ATTR_IMMUTABLE)
        doctor_report(run, "disk-immutable", object, cst_doctor_command("chattr", "-i", path, NULL),
                      _("'%s' has the attribute i (immutable), so that no process can write it"),
                      path);
    else if (stx.stx_attributes & STATX_ATTR_APPEND)
        doctor_report(run, "disk-immutable", object, cst_doctor_command("chattr", "-a", path, NULL),
                      _("'%s' has the attribute a (append only), so that no guest can write it"),
                      path);
}

static void file_check_rights(DoctorRun *run, const char *object, const char *path,
                              const struct stat *st, DoctorUse use)
{
    const DoctorUser *user = run->user;
    gboolean has_acl;

    if (!doctor_user_may(user, path, st, DOCTOR_READ, &has_acl)) {
        unsigned rights = use == DOCTOR_DISK ? DOCTOR_READ | DOCTOR_WRITE : DOCTOR_READ;

        doctor_report(run, use == DOCTOR_BACKING ? "backing-not-readable" : "disk-not-readable",
                      object, rights_repair(user, path, st, has_acl, rights),
                      _("user %s, as which QEMU runs, cannot read '%s': its mode is %04o and its "
                        "owner is %u:%u"),
                      user->name, path, st->st_mode & 07777, (unsigned)st->st_uid,
                      (unsigned)st->st_gid);
    } else if (use == DOCTOR_DISK && !doctor_user_may(user, path, st, DOCTOR_WRITE, &has_acl)) {
        doctor_report(run, "disk-not-writable", object,
                      rights_repair(user, path, st, has_acl, DOCTOR_READ | DOCTOR_WRITE),
                      _("user %s, as which QEMU runs, cannot write '%s': its mode is %04o and its "
                        "owner is %u:%u"),
                      user->name, path, st->st_mode & 07777, (unsigned)st->st_uid,
                      (unsigned)st->st_gid);
    }
}

/* A mount has one finding, because it concerns all of its disks. */
static void mount_check(DoctorRun *run, const CstMount *mount)
{
    g_autofree char *key = g_strconcat("mount ", mount->target, NULL);

    if (mount->read_only && g_hash_table_add(run->walked, g_steal_pointer(&key)))
        doctor_report(run, "mount-read-only", mount->target,
                      cst_doctor_command("mount", "-o", "remount,rw", mount->target, NULL),
                      _("the file system '%s' with disks is mounted read-only"), mount->source);
}

void doctor_check_access(DoctorRun *run, const char *object, const char *path, DoctorUse use)
{
    char *real = realpath(path, NULL);
    const CstMount *mount = real ? doctor_mount_of(run, real) : NULL;
    struct stat st;

    if (!real || stat(real, &st) < 0 || S_ISDIR(st.st_mode)) {
        /* Also a directory that this process cannot search is reported. */
        directories_check(run, path);
        free(real);
        return;
    }
    directories_check(run, path);
    if (strcmp(real, path) != 0)
        directories_check(run, real);
    if (use == DOCTOR_DISK && S_ISREG(st.st_mode)) {
        file_check_attributes(run, object, real);
        if (mount)
            mount_check(run, mount);
    }
    if (run->user &&
        !(run->user->changes_owner && (!mount || cst_mounts_is_local(run->mounts, real))))
        file_check_rights(run, object, real, &st, use);
    free(real);
}

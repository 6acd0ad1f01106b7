/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Common code for volumes that are block devices: the device's node in their records, and the
 * comparison of records. A new record without changes is dropped and the known one is kept, so that
 * a refresh without changes has no effect.
 */
#include <pool/device.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

#define DEFAULT_MODE 0600

gboolean cst_device_is_same(const char *a, const char *b)
{
    struct stat x, y;

    if (strcmp(a, b) == 0)
        return TRUE;
    return cst_node_stat(a, &x) && cst_node_stat(b, &y) && S_ISBLK(x.st_mode) &&
           S_ISBLK(y.st_mode) && x.st_rdev == y.st_rdev;
}

gboolean cst_device_take_node(CstVolume *volume, const char *path)
{
    struct stat st;

    volume->mode = DEFAULT_MODE;
    if (!cst_node_stat(path, &st))
        return FALSE;
    volume->mode = st.st_mode & 07777;
    volume->uid = st.st_uid;
    volume->gid = st.st_gid;
    volume->atime_ns = st.st_atim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_atim.tv_nsec;
    volume->stamp.device = st.st_rdev;
    volume->stamp.mtime_ns = st.st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_mtim.tv_nsec;
    volume->stamp.ctime_ns = st.st_ctim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_ctim.tv_nsec;
    return TRUE;
}

/* A pvmove changes only the extents. */
static gboolean same_extents(const GPtrArray *a, const GPtrArray *b)
{
    guint len = a ? a->len : 0;

    if (len != (b ? b->len : 0))
        return FALSE;
    for (guint i = 0; i < len; i++) {
        const CstVolExtent *x = g_ptr_array_index(a, i), *y = g_ptr_array_index(b, i);

        if (x->start != y->start || x->end != y->end || strcmp(x->path, y->path) != 0)
            return FALSE;
    }
    return TRUE;
}

static gboolean same_options(const GPtrArray *a, const GPtrArray *b)
{
    guint len = a ? a->len : 0;

    if (len != (b ? b->len : 0))
        return FALSE;
    for (guint i = 0; i < len; i++) {
        const CstPoolOption *x = g_ptr_array_index(a, i), *y = g_ptr_array_index(b, i);

        if (strcmp(x->key, y->key) != 0 || g_strcmp0(x->value, y->value) != 0)
            return FALSE;
    }
    return TRUE;
}

gboolean cst_device_same(const CstVolume *a, const CstVolume *b)
{
    const CstVolumeExtra *x = a->extra, *y = b->extra;

    return x && a->capacity == b->capacity && a->allocation == b->allocation &&
           a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           cst_volume_stamp_equal(&a->stamp, &b->stamp) && g_strcmp0(x->key, y->key) == 0 &&
           g_strcmp0(x->backing_path, y->backing_path) == 0 && g_strcmp0(x->mark, y->mark) == 0 &&
           g_strcmp0(x->problem, y->problem) == 0 && same_options(x->options, y->options) &&
           same_extents(x->extents, y->extents);
}

CstVolume *cst_device_newest(CstVolume *known, CstVolume *volume)
{
    if (!known)
        return volume;
    if (cst_device_same(known, volume)) {
        cst_volume_unref(volume);
        return known;
    }
    cst_volume_unref(known);
    return volume;
}

gboolean cst_device_settle_owner(int fd, const CstVolDef *def, GError **error)
{
    mode_t mode = def->perms.mode == CST_PERMS_UNSET ? DEFAULT_MODE : def->perms.mode & 07777;
    uid_t uid = def->perms.uid == CST_PERMS_UNSET ? (uid_t)-1 : def->perms.uid;
    gid_t gid = def->perms.gid == CST_PERMS_UNSET ? (gid_t)-1 : def->perms.gid;

    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0)
        return cst_fail_errno(error, errno, _("cannot chown '%s' to (%u, %u)"), def->name, uid,
                              gid);
    if (fchmod(fd, mode) < 0)
        return cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), def->name, mode);
    return TRUE;
}

gboolean cst_device_write_out(int fd, const char *name, GError **error)
{
    return fsync(fd) == 0 || cst_fail_errno(error, errno, _("cannot sync '%s'"), name);
}

void cst_device_copy_owner(const struct stat *from, const char *path)
{
    g_auto(CstFd) fd = cst_node_open(path, O_RDONLY);

    if (fd < 0 || fchown(fd, from->st_uid, from->st_gid) < 0 ||
        fchmod(fd, from->st_mode & 07777) < 0)
        cst_log(CST_LOG_WARNING, "cannot give '%s' the owner it had", path);
}

uint64_t cst_device_count_writes(const char *path)
{
    unsigned long long writes = 0, discards = 0;
    g_autofree char *text = cst_sysfs_read_of(path, "stat");

    /* Fields 5 and 12 of 17 (Documentation/block/stat.rst). */
    if (text)
        sscanf(text, "%*u %*u %*u %*u %llu %*u %*u %*u %*u %*u %*u %llu", &writes, &discards);
    return writes + discards;
}

gboolean cst_device_refuse_written(const char *path, const char *volume, uint64_t before,
                                   GError **error)
{
    return cst_device_count_writes(path) == before ||
           cst_fail(
               error, CST_ERROR_BUSY,
               _("volume '%s' was written to during the copy; flatten it while no program uses it"),
               volume);
}

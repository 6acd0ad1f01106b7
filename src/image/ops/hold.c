/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Locks on an image file that this process shares with QEMU's processes (image/hold.h describes the
 * bytes). All of them are shared locks of the open file description. They live as long as the
 * blob's descriptor, and closing another descriptor of the same file does not release them.
 * F_OFD_GETLK with a write lock tests whether another description holds a byte.
 *
 * The kernel does not report the process of such a lock. For the error message the process is
 * searched in /proc (base/file_users.h), which shows other users' processes only to root. The
 * result of the search affects only the message.
 */
#include <image/hold.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file_users.h>
#include <base/file_writers.h>
#include <base/i18n.h>
#include <base/process.h>

enum { READ, WRITE, WRITE_UNCHANGED, RESIZE };

#define DOES    100
#define FORBIDS 200

static const CstFileBytes claimed = {
    5, {DOES + READ, DOES + WRITE, DOES + RESIZE, FORBIDS + WRITE, FORBIDS + RESIZE}};
/* Bytes that conflict with our open mode if another process locks them. */
static const CstFileBytes refused = {
    5, {FORBIDS + READ, FORBIDS + WRITE, FORBIDS + RESIZE, DOES + WRITE, DOES + RESIZE}};
/* Bytes that a process locks if it has the file open in any mode. */
static const CstFileBytes using = {
    6,
    {FORBIDS + READ, FORBIDS + WRITE, FORBIDS + RESIZE, DOES + READ, DOES + WRITE, DOES + RESIZE}};
/* Bytes that a process locks if it changes the file. */
static const CstFileBytes changing = {2, {DOES + WRITE, DOES + RESIZE}};

static int lock_byte(CstBlob *blob, int command, short type, off_t byte, short *ret_type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int result = cst_blob_lock(blob, command, &lock);

    *ret_type = lock.l_type;
    return result;
}

static void let_go(CstBlob *blob)
{
    short type;

    for (size_t i = 0; i < claimed.count; i++)
        lock_byte(blob, F_OFD_SETLK, F_UNLCK, claimed.at[i], &type);
}

/* --- holders of locks ------------------------------------------------------------------------- */

/* Returns the bits of CstFileUser.locked for those of the bytes of "using" that are in @bytes. */
static uint8_t lock_mask(const CstFileBytes *bytes)
{
    uint8_t mask = 0;

    for (guint i = 0; i < using.count; i++)
        for (guint k = 0; k < bytes->count; k++)
            if (using.at[i] == bytes->at[k])
                mask |= (uint8_t)(1U << i);
    return mask;
}

CstFileUsers *cst_image_file_users_new(void)
{
    return cst_file_users_new(&using);
}

/* Searches for the processes that have the blob's file open. */
static CstFileUsers *blob_users_search(CstBlob *blob)
{
    CstFileUsers *users = cst_image_file_users_new();

    cst_file_users_want(users, cst_blob_file_fd(blob));
    /* Beyond the limit, the users that were found are sufficient. */
    cst_file_users_search(users, NULL, NULL);
    return users;
}

/*
 * Returns another process that locks one of @bytes. Returns 0 when it is unknown, because only root
 * can read the descriptors of other users, or because it is on another host. *ret_self (may be
 * NULL): this process holds a lock.
 */
static int64_t lock_holder(CstBlob *blob, const CstFileBytes *bytes, gboolean *ret_self)
{
    g_autoptr(CstFileUsers) users = blob_users_search(blob);
    const GArray *found = cst_file_users_of(users, cst_blob_file_fd(blob));
    int64_t holder = 0;

    for (guint i = 0; found && i < found->len; i++) {
        const CstFileUser *user = &g_array_index(found, CstFileUser, i);

        if (user->pid == getpid() && ret_self)
            *ret_self |= user->locked != 0;
        else if (user->pid != getpid() && !holder && (user->locked & lock_mask(bytes)))
            holder = user->pid;
    }
    return holder;
}

GArray *cst_image_users(CstBlob *blob, const CstFileUsers *users, gboolean *ret_self)
{
    const GArray *found = cst_file_users_of(users, cst_blob_file_fd(blob));
    GArray *others = g_array_new(FALSE, FALSE, sizeof(CstImageUser));

    *ret_self = FALSE;
    for (guint i = 0; found && i < found->len; i++) {
        const CstFileUser *user = &g_array_index(found, CstFileUser, i);
        const CstImageUser other = {user->pid, (user->locked & lock_mask(&changing)) != 0};

        if (!user->locked)
            continue;
        if (user->pid == getpid())
            *ret_self = TRUE;
        else
            g_array_append_val(others, other);
    }
    return others;
}

/* --- claiming --------------------------------------------------------------------------------- */

/* Returns whether another open file description locks a byte that QEMU's locks use. */
static gboolean is_any_byte_locked(CstBlob *blob)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = DOES, .l_len = 2 * (FORBIDS - DOES)};

    return cst_blob_lock(blob, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

/*
 * Returns whether another open file description locks one of @bytes. The first query covers all
 * bytes, because most files have no lock.
 */
static gboolean is_locked(CstBlob *blob, const CstFileBytes *bytes)
{
    short type;

    if (!is_any_byte_locked(blob))
        return FALSE;
    for (size_t i = 0; i < bytes->count; i++)
        if (lock_byte(blob, F_OFD_GETLK, F_WRLCK, bytes->at[i], &type) == 0 && type != F_UNLCK)
            return TRUE;
    return FALSE;
}

gboolean cst_image_hold(CstBlob *blob, GError **error)
{
    g_autofree char *who = NULL;
    short type;

    /* Claim first, then check, so that of two concurrent claims at least one sees the other. */
    for (size_t i = 0; i < claimed.count; i++)
        if (lock_byte(blob, F_OFD_SETLK, F_RDLCK, claimed.at[i], &type) < 0 && errno != EAGAIN &&
            errno != EACCES)
            return TRUE; /* the file system has no locks */
    if (!is_locked(blob, &refused))
        return TRUE;
    who = cst_process_describe(lock_holder(blob, &refused, NULL));
    let_go(blob);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("'%s' is in use by %s; stop it before the image is changed"), blob->name,
                    who);
}

gboolean cst_image_is_open(CstBlob *blob, int64_t *ret_pid)
{
    gboolean self = FALSE;

    if (!is_locked(blob, &using))
        return FALSE;
    *ret_pid = lock_holder(blob, is_locked(blob, &changing) ? &changing : &using, &self);
    if (*ret_pid == 0 && self)
        *ret_pid = getpid();
    return TRUE;
}

gboolean cst_image_is_locked(CstBlob *blob, gboolean *ret_changing)
{
    gboolean locked = is_locked(blob, &using);

    *ret_changing = locked && is_locked(blob, &changing);
    return locked;
}

static gboolean is_written_without_lock(CstBlob *blob, char **ret_who)
{
    char *who = cst_file_writer_describe(cst_blob_file_fd(blob));
    gboolean found = who != NULL;

    if (ret_who)
        *ret_who = g_steal_pointer(&who);
    g_free(who);
    return found;
}

gboolean cst_image_is_written(CstBlob *blob, char **ret_who)
{
    if (!is_locked(blob, &changing))
        return is_written_without_lock(blob, ret_who);
    if (ret_who)
        *ret_who = cst_process_describe(lock_holder(blob, &changing, NULL));
    return TRUE;
}

gboolean cst_image_refuse_writer(CstBlob *blob, GError **error)
{
    g_autofree char *who = NULL;

    return !is_written_without_lock(blob, &who) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("'%s' is open for writing in %s; stop it before the image is changed"),
                    blob->name, who);
}

gboolean cst_image_check_unused(CstBlob *blob, GError **error)
{
    return cst_image_hold(blob, error) && cst_image_refuse_writer(blob, error);
}

gboolean cst_image_check_path_unused(const char *path, GError **error)
{
    g_autoptr(CstBlob) blob = cst_blob_file_open(path, FALSE, error);

    return blob && cst_image_check_unused(blob, error);
}

CstBlob *cst_image_open_unused(const char *path, GError **error)
{
    g_autoptr(CstBlob) blob = NULL;

    if (!cst_image_check_path_unused(path, error))
        return NULL;
    blob = cst_blob_file_open(path, TRUE, error);
    return blob && cst_image_hold(blob, error) ? g_steal_pointer(&blob) : NULL;
}

CstFileStamp cst_image_stamp(CstBlob *blob)
{
    return cst_image_is_written(blob, NULL) ? (CstFileStamp){0}
                                            : cst_file_stamp(cst_blob_file_fd(blob));
}

gboolean cst_image_is_as_before(CstBlob *blob, const CstFileStamp *before, const char *name,
                                GError **error)
{
    const CstFileStamp now = cst_file_stamp(cst_blob_file_fd(blob));

    return !cst_file_stamp_differs(before, &now) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("another program has written to '%s' while it was copied; stop it and repeat "
                      "the copy, or say --force-share"),
                    name);
}

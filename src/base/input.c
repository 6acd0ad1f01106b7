/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that a user names as input (see the header). A FIFO is opened with O_NONBLOCK, so that the
 * open does not wait, and its owner is checked before any wait. poll() then waits for its writer:
 * it reports data, or POLLHUP after a writer has closed it.
 */
#include <base/input.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>

static gboolean find_place(CstPlace *place, const char *path, const char *complaint, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (cst_place_init(place, path, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return cst_fail_errno(error, ENOENT, "%s", complaint);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean check_owner(const CstPlace *place, const struct stat *st, GError **error)
{
    if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode) || S_ISDIR(st->st_mode) || place->magic ||
        cst_owner_is_us(st->st_uid))
        return TRUE;
    return cst_fail(error, CST_ERROR_DENIED,
                    _("cannot read '%s': it is a FIFO or device of user %u, which could block the "
                      "command; copy its content to a file of your own, or pass it as /dev/stdin"),
                    place->path, (unsigned)st->st_uid);
}

gboolean cst_input_await(int fd, const char *complaint, GError **error)
{
    struct pollfd fifo = {.fd = fd, .events = POLLIN};

    return poll(&fifo, 1, -1) > 0 || cst_fail_errno(error, errno, "%s", complaint);
}

/* As cst_input_open_no_wait(), and returns the place. */
static int open_no_wait(CstPlace *ret_place, const char *path, gboolean *ret_await,
                        const char *complaint, GError **error)
{
    /* "/" and "." have no name to resolve. read() reports the error, as for any directory. */
    g_auto(CstFd) fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    *ret_await = FALSE;
    if (fd >= 0)
        return g_steal_fd(&fd);
    if (!find_place(ret_place, path, complaint, error))
        return -1;
    fd = cst_place_open_input(ret_place, O_RDONLY, &st, complaint, error);
    if (fd < 0 || !check_owner(ret_place, &st, error))
        return -1;
    if (fcntl(fd, F_SETFL, 0) < 0) {
        cst_fail_errno(error, errno, "%s", complaint);
        return -1;
    }
    /*
     * A pipe that is inherited as a descriptor already has its writer, or read() reports its end.
     */
    *ret_await = S_ISFIFO(st.st_mode) && !ret_place->magic;
    return g_steal_fd(&fd);
}

int cst_input_open_no_wait(const char *path, gboolean *ret_await, const char *complaint,
                           GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    return open_no_wait(&place, path, ret_await, complaint, error);
}

int cst_input_open_place(CstPlace *ret_place, const char *path, const char *complaint,
                         GError **error)
{
    gboolean await;
    g_auto(CstFd) fd = open_no_wait(ret_place, path, &await, complaint, error);

    if (fd < 0 || (await && !cst_input_await(fd, complaint, error)))
        return -1;
    return g_steal_fd(&fd);
}

int cst_input_open(const char *path, const char *complaint, GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    return cst_input_open_place(&place, path, complaint, error);
}

gboolean cst_input_read(const char *path, CstFileAccess access, size_t limit, char **ret_data,
                        size_t *ret_len, GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("cannot open '%s'"), path);
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_auto(CstFd) fd = -1;
    struct stat st;

    if (!find_place(&place, path, complaint, error))
        return FALSE;
    fd = cst_place_open_input(&place, O_RDONLY, &st, complaint, error);
    return fd >= 0 && cst_file_read_open(fd, path, access, limit, ret_data, ret_len, error);
}

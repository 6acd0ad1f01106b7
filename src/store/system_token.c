/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's system token: a random number in a file of mode 0600, shared by the daemons of one user
 * on one host. A peer that presents the token can read the file, so it is such a daemon or has the
 * same rights. cisternd only compares tokens. It presents no token, so it does not create a missing
 * file.
 */
#include <store/system_token.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <base/file.h>

static gboolean read_token(const char *path, char *ret_token)
{
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return FALSE;
    if (!S_ISREG(st.st_mode) || !cst_owner_is_us(st.st_uid) || (st.st_mode & (S_IRWXG | S_IRWXO)))
        return FALSE;
    return st.st_size == CST_SYSTEM_TOKEN_LEN &&
           cst_pread_full(fd, ret_token, CST_SYSTEM_TOKEN_LEN, 0, path, NULL);
}

/* The time does not depend on the position of the first difference. */
static gboolean same_bytes(const char *a, const char *b, size_t len)
{
    unsigned char difference = 0;

    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

gboolean cst_system_token_matches(const CstPaths *paths, const char *token)
{
    char ours[CST_SYSTEM_TOKEN_LEN];

    return strlen(token) == CST_SYSTEM_TOKEN_LEN && read_token(paths->system_token, ours) &&
           same_bytes(ours, token, CST_SYSTEM_TOKEN_LEN);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signed lists, in files or on servers. One is either clear-signed, and then what counts is what
 * gpgv says was signed, or has its signature in a file beside it, on the same server (Ubuntu: .gpg;
 * Debian: .sign; others: .asc, .sig), which gpgv reads from our memory. gpgv(1)
 * knows the keys of the keyring and no others, no trust and no network, and its exit status is 0
 * for a good signature only.
 */
#include "signature.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <base/child.h>
#include <base/file.h>
#include <base/i18n.h>

#include "fetch.h"
#include "name.h"

#define LIST_MAX      (1u << 20)
#define SIGNATURE_MAX (64u << 10)
#define GPGV_S        60 /* seconds for one signature */
#define CLEAR_SIGN    "-----BEGIN PGP SIGNED MESSAGE-----"

typedef struct {
    const char *path; /* or the URL */
    const char *name; /* for messages */
    char *text;
    size_t len;
} List;

/* Bytes that gpgv finds at a path: a file in memory. gpgv itself opens no file of another user. */
typedef struct {
    char *path; /* NULL: there are no bytes */
    CstFd fd;
} Kept;

static void kept_clear(Kept *kept)
{
    g_free(kept->path);
    cst_fd_clear(&kept->fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Kept, kept_clear)

/* @name is for messages. */
static gboolean keep_bytes(const char *name, const char *bytes, size_t len, Kept *ret_kept,
                           GError **error)
{
    ret_kept->fd = memfd_create("gpgv", MFD_CLOEXEC);
    if (ret_kept->fd < 0)
        return cst_fail_errno(error, errno, _("cannot keep '%s' in memory"), name);
    if (!cst_pwrite_full(ret_kept->fd, bytes, len, 0, name, error))
        return FALSE;
    ret_kept->path = g_strdup_printf("/proc/%ld/fd/%d", (long)getpid(), ret_kept->fd);
    return TRUE;
}

/* A FIFO or a device at @path is refused. */
static gboolean keep_file(const char *path, Kept *ret_kept, GError **error)
{
    g_autofree char *bytes = NULL;
    size_t len;

    return cst_file_read(path, LIST_MAX, &bytes, &len, error) &&
           keep_bytes(path, bytes, len, ret_kept, error);
}

/* Has gpgv verify @signature of @list (NULL: the list's own); what was signed goes to *ret_out. */
static gboolean run_gpgv(const ImportContext *context, const char *signature, const List *list,
                         char **ret_out, GError **error)
{
    g_auto(Kept) keys = {.fd = -1};
    const char *keyring = context->how->keyring;
    gboolean kept = keep_file(keyring, &keys, error);
    const char *beside[] = {"gpgv", "--keyring", keys.path, "--", signature, "-", NULL};
    const char *inside[] = {"gpgv", "--keyring", keys.path, "--output", "-", "--", "-", NULL};
    CstChild child = {.argv = signature ? beside : inside,
                      .timeout_s = GPGV_S,
                      .output_limit = LIST_MAX,
                      .input = list->text,
                      .input_len = list->len};
    g_auto(CstChildResult) result = {0};

    if (!kept) {
        g_prefix_error(error, "%s", _("cannot read the keyring: "));
        return FALSE;
    }
    if (!cst_child_run(&child, context->task, &result, error)) {
        g_prefix_error(error, _("cannot verify the signature of '%s' (gpgv): "), list->name);
        return FALSE;
    }
    if (result.status != 0)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("'%s' is not signed by a key of '%s'; gpgv says: %s"), list->name,
                        keyring, g_strstrip(result.err));
    *ret_out = g_steal_pointer(&result.out);
    return TRUE;
}

/* @url with @ending behind its path, and in front of a query. */
static char *url_beside(const char *url, const char *ending)
{
    size_t len = strcspn(url, "?#");

    return g_strdup_printf("%.*s%s%s", (int)len, url, ending, url + len);
}

/* That a server has none is no error, anything else is. */
static gboolean look_for(const ImportContext *context, const List *list, const char *ending,
                         Kept *ret_signature, GError **error)
{
    g_autofree char *name = import_is_url(list->path) ? url_beside(list->path, ending)
                                                      : g_strconcat(list->path, ending, NULL);
    g_autofree char *bytes = NULL;
    g_autoptr(GError) problem = NULL;
    size_t len;

    if (!import_is_url(list->path)) {
        if (access(name, F_OK) == 0)
            return keep_file(name, ret_signature, error);
        return TRUE;
    }
    bytes = import_fetch(context, name, SIGNATURE_MAX, &len, &problem);
    if (bytes)
        return keep_bytes(list->name, bytes, len, ret_signature, error);
    if (cst_error_code(problem) == CST_ERROR_NOT_FOUND)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

static gboolean find_signature(const ImportContext *context, const List *list, Kept *ret_signature,
                               GError **error)
{
    static const char *const endings[] = {".gpg", ".sign", ".asc", ".sig"};

    for (size_t i = 0; i < G_N_ELEMENTS(endings) && !ret_signature->path; i++)
        if (!look_for(context, list, endings[i], ret_signature, error))
            return FALSE;
    return ret_signature->path ||
           cst_fail(
               error, CST_ERROR_MISMATCH,
               _("'%s' is not signed: there is no signature in it, nor beside it (.gpg, .sign, "
                 ".asc, .sig)"),
               list->name);
}

/* Takes over the text of @list, and gives what of it was signed. */
static char *verify(const ImportContext *context, const List *list, GError **error)
{
    g_autofree char *text = list->text;
    g_auto(Kept) signature = {.fd = -1};
    char *out = NULL;

    if (strstr(text, CLEAR_SIGN))
        return run_gpgv(context, NULL, list, &out, error) ? out : NULL;
    if (!find_signature(context, list, &signature, error) ||
        !run_gpgv(context, signature.path, list, &out, error))
        return NULL;
    g_free(out);
    return g_steal_pointer(&text);
}

/* By http anybody on the way can change a list, and the file with it. */
static gboolean read_list(const ImportContext *context, List *list, GError **error)
{
    if (!import_is_url(list->path))
        return cst_file_read(list->path, LIST_MAX, &list->text, &list->len, error);
    if (!context->how->keyring && g_ascii_strncasecmp(list->path, "https:", strlen("https:")) != 0)
        import_note(context,
                    _("'%s' comes by http and without a signature: it shows damage, not forgery"),
                    list->name);
    list->text = import_fetch(context, list->path, LIST_MAX, &list->len, error);
    return list->text != NULL;
}

char *import_signed_list(const ImportContext *context, const char *where, const char *name,
                         GError **error)
{
    List list = {.path = where, .name = name};

    if (!read_list(context, &list, error))
        return NULL;
    return context->how->keyring ? verify(context, &list, error) : list.text;
}

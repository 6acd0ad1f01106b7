/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signed lists. One is either clear-signed, and then what counts is what gpgv says was signed, or
 * has its signature in a file beside it (Ubuntu: .gpg; Debian: .sign; others: .asc, .sig). gpgv(1)
 * knows the keys of the keyring and no others, no trust and no network, and its exit status is 0
 * for a good signature only.
 */
#include "signature.h"

#include <string.h>
#include <unistd.h>

#include <base/child.h>
#include <base/file.h>
#include <base/i18n.h>

#define LIST_MAX   (1u << 20)
#define GPGV_S     60 /* seconds for one signature */
#define CLEAR_SIGN "-----BEGIN PGP SIGNED MESSAGE-----"

typedef struct {
    const char *path;
    char *text;
    size_t len;
} List;

/* Has gpgv verify @signature of @list (NULL: the list's own); what was signed goes to *ret_out. */
static gboolean run_gpgv(const ImportContext *context, const char *signature, const List *list,
                         char **ret_out, GError **error)
{
    /* gpgv looks for a keyring without a slash in a directory of its own. */
    g_autofree char *keyring = g_canonicalize_filename(context->how->keyring, NULL);
    const char *beside[] = {"gpgv", "--keyring", keyring, "--", signature, "-", NULL};
    const char *inside[] = {"gpgv", "--keyring", keyring, "--output", "-", "--", "-", NULL};
    CstChild child = {.argv = signature ? beside : inside,
                      .timeout_s = GPGV_S,
                      .output_limit = LIST_MAX,
                      .input = list->text,
                      .input_len = list->len};
    g_auto(CstChildResult) result = {0};

    if (access(keyring, R_OK) < 0)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("cannot read the keyring '%s'"), keyring);
    if (!cst_child_run(&child, context->task, &result, error)) {
        g_prefix_error(error, _("cannot verify the signature of '%s' (gpgv): "), list->path);
        return FALSE;
    }
    if (result.status != 0)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("'%s' is not signed by a key of '%s'; gpgv says: %s"), list->path,
                        keyring, g_strstrip(result.err));
    *ret_out = g_steal_pointer(&result.out);
    return TRUE;
}

/* The file with the signature of the list @path; NULL: there is none. */
static char *find_signature(const char *path)
{
    static const char *const endings[] = {".gpg", ".sign", ".asc", ".sig"};

    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        char *name = g_strconcat(path, endings[i], NULL);

        if (access(name, F_OK) == 0)
            return name;
        g_free(name);
    }
    return NULL;
}

/* Takes over the text of @list, and gives what of it was signed. */
static char *verify(const ImportContext *context, const List *list, GError **error)
{
    g_autofree char *text = list->text;
    g_autofree char *signature = NULL;
    char *out = NULL;

    if (strstr(text, CLEAR_SIGN))
        return run_gpgv(context, NULL, list, &out, error) ? out : NULL;
    signature = find_signature(list->path);
    if (!signature) {
        cst_fail(error, CST_ERROR_MISMATCH,
                 _("'%s' is not signed: there is no signature in it, nor beside it (.gpg, .sign, "
                   ".asc, .sig)"),
                 list->path);
        return NULL;
    }
    if (!run_gpgv(context, signature, list, &out, error))
        return NULL;
    g_free(out);
    return g_steal_pointer(&text);
}

char *import_signed_list(const ImportContext *context, GError **error)
{
    List list = {.path = context->how->checksum_file};

    if (!cst_file_read(list.path, LIST_MAX, &list.text, &list.len, error))
        return NULL;
    return context->how->keyring ? verify(context, &list, error) : list.text;
}

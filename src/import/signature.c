/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signed lists, in files or on servers. A clear-signed list contains its signature; only the text
 * that gpgv reports as signed is used. Otherwise the signature is in a separate file with the
 * list's name and a suffix, on the same server (Ubuntu: .gpg; Debian: .sign; further: .asc, .sig).
 * gpgv reads it from this process's memory. gpgv(1) uses only the keys of the keyring, no trust
 * database and no network. Its exit status is 0 only for a good signature.
 */
#include "signature.h"

#include <string.h>

#include <base/child.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/input.h>

#include "fetch.h"
#include "memory_file.h"
#include "name.h"

#define LIST_MAX      (1u << 20)
#define SIGNATURE_MAX (64u << 10)
#define GPGV_S        60 /* seconds for one signature */
#define CLEAR_SIGN    "-----BEGIN PGP SIGNED MESSAGE-----"

typedef struct {
    const char *path; /* path or URL */
    const char *name; /* for messages */
    char *text;
    size_t len;
} List;

/*
 * Runs gpgv on @list. @signature NULL: the list is clear-signed. *ret_out receives the output of
 * gpgv.
 *
 *   gpgv --keyring KEYS -- SIGNATURE -
 *   gpgv --keyring KEYS --output - -- -
 */
static gboolean run_gpgv(const ImportContext *context, const char *signature, const List *list,
                         char **ret_out, GError **error)
{
    g_auto(ImportMemoryFile) keys = IMPORT_MEMORY_FILE_INIT;
    const char *keyring = context->how->keyring;
    gboolean kept = import_memory_file_load(&keys, keyring, error);
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

/* Inserts @ending after the path of @url, before a query. */
static char *signature_url(const char *url, const char *ending)
{
    size_t len = strcspn(url, "?#");

    return g_strdup_printf("%.*s%s%s", (int)len, url, ending, url + len);
}

/*
 * Searches a signature with the suffix @ending. A missing file is no error, any other failure is.
 */
static gboolean find_signature_file(const ImportContext *context, const List *list,
                                    const char *ending, ImportMemoryFile *ret_signature,
                                    GError **error)
{
    g_autofree char *name = import_is_url(list->path) ? signature_url(list->path, ending)
                                                      : g_strconcat(list->path, ending, NULL);
    g_autofree char *bytes = NULL;
    g_autoptr(GError) problem = NULL;
    size_t len;

    if (!import_is_url(list->path)) {
        if (import_memory_file_load(ret_signature, name, &problem))
            return TRUE;
    } else {
        bytes = import_fetch(context, name, SIGNATURE_MAX, &len, &problem);
        if (bytes)
            return import_memory_file_fill(ret_signature, list->name, bytes, len, error);
    }
    if (cst_error_code(problem) == CST_ERROR_NOT_FOUND)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

static gboolean find_signature(const ImportContext *context, const List *list,
                               ImportMemoryFile *ret_signature, GError **error)
{
    static const char *const endings[] = {".gpg", ".sign", ".asc", ".sig"};

    for (size_t i = 0; i < G_N_ELEMENTS(endings) && !ret_signature->path; i++)
        if (!find_signature_file(context, list, endings[i], ret_signature, error))
            return FALSE;
    return ret_signature->path || cst_fail(error, CST_ERROR_MISMATCH,
                                           _("'%s' is not signed: there is no signature in it, and "
                                             "no file with one (.gpg, .sign, .asc, .sig)"),
                                           list->name);
}

/* Verifies the signature and returns the signed text. Consumes the text of @list. */
static char *verify_signed_text(const ImportContext *context, const List *list, GError **error)
{
    g_autofree char *text = list->text;
    g_auto(ImportMemoryFile) signature = IMPORT_MEMORY_FILE_INIT;
    char *out = NULL;

    if (strstr(text, CLEAR_SIGN))
        return run_gpgv(context, NULL, list, &out, error) ? out : NULL;
    if (!find_signature(context, list, &signature, error) ||
        !run_gpgv(context, signature.path, list, &out, error))
        return NULL;
    g_free(out);
    return g_steal_pointer(&text);
}

/*
 * Reads the list. Warns about http, because an attacker on the network could change the list and
 * the file.
 */
static gboolean read_list(const ImportContext *context, List *list, GError **error)
{
    if (!import_is_url(list->path))
        return cst_input_read(list->path, CST_FILE_ANY, LIST_MAX, &list->text, &list->len, error);
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
    return context->how->keyring ? verify_signed_text(context, &list, error) : list.text;
}

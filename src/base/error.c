/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of errors: for each code its word in JSON, its exit status, libvirt's error number and
 * the sentence around the detail. libvirt has one number for some failures that programs want to
 * distinguish, so several codes share it. wire/codec/error.c restores the exact code between
 * programs of this project.
 *
 * The numbers are virErrorNumber (libvirt virterror.h). The sentences are the ones that libvirt's
 * clients show, because scripts match them. 38 is VIR_ERR_SYSTEM_ERROR, and its message has no
 * prefix.
 */
#include <base/error_class.h>

#include <errno.h>
#include <gio/gio.h>
#include <stdarg.h>

#include <base/i18n.h>

static const CstErrorInfo error_table[CST_ERROR_LAST] = {
    [CST_ERROR_NO_POOL] = {"no-pool", CST_EXIT_NOT_FOUND, 49, N_("Storage pool not found: %s")},
    [CST_ERROR_NO_VOL] = {"no-volume", CST_EXIT_NOT_FOUND, 50, N_("Storage volume not found: %s")},
    [CST_ERROR_NO_SECRET] = {"no-secret", CST_EXIT_NOT_FOUND, 66, N_("Secret not found: %s")},
    [CST_ERROR_NOT_FOUND] = {"not-found", CST_EXIT_NOT_FOUND, 38, "%s"},
    [CST_ERROR_POOL_EXISTS] = {"pool-exists", CST_EXIT_CONFLICT, 9, N_("operation failed: %s")},
    [CST_ERROR_VOL_EXISTS] = {"volume-exists", CST_EXIT_CONFLICT, 90,
                              N_("storage volume %s exists already")},
    [CST_ERROR_EXISTS] = {"exists", CST_EXIT_CONFLICT, 9, N_("operation failed: %s")},
    [CST_ERROR_POOL_BUILT] = {"pool-built", CST_EXIT_CONFLICT, 76,
                              N_("Storage pool already built: %s")},
    [CST_ERROR_BUSY] = {"busy", CST_EXIT_CONFLICT, 55, N_("Requested operation is not valid: %s")},
    [CST_ERROR_STATE] = {"state", CST_EXIT_CONFLICT, 55,
                         N_("Requested operation is not valid: %s")},
    [CST_ERROR_NOT_PERSISTENT] = {"not-persistent", CST_EXIT_CONFLICT, 1,
                                  N_("Requested operation is not valid: %s")},
    [CST_ERROR_INVALID] = {"invalid", CST_EXIT_USAGE, 8, N_("invalid argument: %s")},
    [CST_ERROR_FLAGS] = {"flags", CST_EXIT_USAGE, 8, N_("unsupported flags %s")},
    [CST_ERROR_XML] = {"xml", CST_EXIT_FAILED, 27, N_("XML error: %s")},
    [CST_ERROR_XML_SYNTAX] = {"xml-syntax", CST_EXIT_FAILED, 35, "%s"},
    [CST_ERROR_XML_SCHEMA] = {"xml-schema", CST_EXIT_FAILED, 92,
                              N_("XML document failed to validate against schema: %s")},
    [CST_ERROR_CONFIG] = {"config", CST_EXIT_FAILED, 67, N_("unsupported configuration: %s")},
    [CST_ERROR_INVALID_SECRET] = {"invalid-secret", CST_EXIT_DENIED, 65, N_("Invalid secret: %s")},
    [CST_ERROR_OVERFLOW] = {"overflow", CST_EXIT_FAILED, 82, N_("numerical overflow: %s")},
    [CST_ERROR_RPC] = {"rpc", CST_EXIT_FAILED, 39, "%s"},
    [CST_ERROR_USAGE] = {"usage", CST_EXIT_USAGE, 8, "%s"},
    [CST_ERROR_UNSUPPORTED] = {"unsupported", CST_EXIT_FAILED, 84,
                               N_("Operation not supported: %s")},
    [CST_ERROR_ARGUMENT_UNSUPPORTED] = {"argument-unsupported", CST_EXIT_USAGE, 74,
                                        N_("argument unsupported: %s")},
    [CST_ERROR_NO_SUPPORT] = {"no-support", CST_EXIT_FAILED, 3,
                              N_("this function is not supported by the connection driver: %s")},
    [CST_ERROR_NO_CONNECT] = {"no-connect", CST_EXIT_UNREACHABLE, 5,
                              N_("no connection driver available for %s")},
    [CST_ERROR_DENIED] = {"denied", CST_EXIT_DENIED, 38, "%s"},
    [CST_ERROR_READ_ONLY] = {"read-only", CST_EXIT_DENIED, 29, N_("operation forbidden: %s")},
    [CST_ERROR_AUTH] = {"auth", CST_EXIT_DENIED, 45, N_("authentication failed: %s")},
    [CST_ERROR_CORRUPT] = {"corrupt", CST_EXIT_FAILED, 9, N_("operation failed: %s")},
    [CST_ERROR_PROBE] = {"probe", CST_EXIT_FAILED, 75, N_("Storage pool probe failed: %s")},
    [CST_ERROR_LIMIT] = {"limit", CST_EXIT_FAILED, 39, "%s"},
    [CST_ERROR_NO_SPACE] = {"no-space", CST_EXIT_FAILED, 38, "%s"},
    [CST_ERROR_NO_MEMORY] = {"no-memory", CST_EXIT_FAILED, 2, N_("out of memory: %s")},
    [CST_ERROR_CANCELLED] = {"cancelled", CST_EXIT_CANCELLED, 78, N_("operation aborted: %s")},
    [CST_ERROR_TIMEOUT] = {"timeout", CST_EXIT_TRY_AGAIN, 68, N_("Timed out during operation: %s")},
    [CST_ERROR_UNREACHABLE] = {"unreachable", CST_EXIT_UNREACHABLE, 38, "%s"},
    [CST_ERROR_MISMATCH] = {"mismatch", CST_EXIT_MISMATCH, 9, N_("operation failed: %s")},
    [CST_ERROR_PARTIAL] = {"partial", CST_EXIT_PARTIAL, 9, N_("operation failed: %s")},
    [CST_ERROR_UNPROVEN] = {"unproven", CST_EXIT_TRY_AGAIN, 38, "%s"},
    [CST_ERROR_IO] = {"io", CST_EXIT_FAILED, 38, "%s"},
    [CST_ERROR_FAILED] = {"failed", CST_EXIT_FAILED, 9, N_("operation failed: %s")},
    [CST_ERROR_INTERNAL] = {"internal", CST_EXIT_FAILED, 1, N_("internal error: %s")},
    /*
     * A number that libvirt does not use, so that no failure of a server is mistaken for a dry run.
     */
    [CST_ERROR_DRY_RUN] = {"dry-run", CST_EXIT_FAILED, 10000, "%s"},
};

GQuark cst_error_quark(void)
{
    return g_quark_from_static_string("cst-error-quark");
}

const CstErrorInfo *cst_error_info(int code)
{
    if (code < 0 || code >= CST_ERROR_LAST)
        code = CST_ERROR_INTERNAL;
    return &error_table[code];
}

CstErrorCode cst_error_from_wire(int wire)
{
    /* If several codes have the number, use the most general code. */
    static const CstErrorCode general[] = {CST_ERROR_FAILED, CST_ERROR_STATE, CST_ERROR_INVALID,
                                           CST_ERROR_RPC,    CST_ERROR_IO,    CST_ERROR_INTERNAL};

    for (size_t i = 0; i < G_N_ELEMENTS(general); i++)
        if (error_table[general[i]].wire == wire)
            return general[i];
    for (int code = 0; code < CST_ERROR_LAST; code++)
        if (error_table[code].wire == wire)
            return code;
    return CST_ERROR_FAILED;
}

gboolean cst_error_from_word(const char *word, CstErrorCode *ret_code)
{
    for (int code = 0; code < CST_ERROR_LAST; code++)
        if (g_str_equal(error_table[code].word, word)) {
            *ret_code = code;
            return TRUE;
        }
    return FALSE;
}

static CstErrorCode code_from_errno(int err)
{
    switch (err) {
    case ENOSPC:
    case EDQUOT: return CST_ERROR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS: return CST_ERROR_DENIED;
    case ENOENT: return CST_ERROR_NOT_FOUND;
    /* EINTR means cancellation here. Callers that ignore signals repeat the call. */
    case EINTR: return CST_ERROR_CANCELLED;
    default: return CST_ERROR_IO;
    }
}

CstErrorCode cst_error_code(const GError *error)
{
    /* G_IO_ERROR without GIO, which its use would load. */
    const GQuark io_domain = g_quark_try_string("g-io-error-quark");

    if (error->domain == CST_ERROR)
        return error->code;
    /*
     * Errors of GLib's functions. Errors of key files and options are translated by their callers.
     */
    if (g_error_matches(error, io_domain, G_IO_ERROR_CANCELLED))
        return CST_ERROR_CANCELLED;
    if (g_error_matches(error, io_domain, G_IO_ERROR_NOT_FOUND) ||
        g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return CST_ERROR_NOT_FOUND;
    if (g_error_matches(error, io_domain, G_IO_ERROR_PERMISSION_DENIED) ||
        g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ACCES))
        return CST_ERROR_DENIED;
    return CST_ERROR_IO;
}

char *cst_error_text(const GError *error)
{
    const CstErrorInfo *info = cst_error_info(cst_error_code(error));
    const char *format = _(info->format);
    const char *mark = strstr(format, "%s");

    return g_strdup_printf("%.*s%s%s", (int)(mark - format), format, error->message, mark + 2);
}

gboolean(cst_fail)(GError **error, CstErrorCode code, const char *format, ...)
{
    va_list args;
    g_autofree char *message = NULL;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, CST_ERROR, code, message);
    return FALSE;
}

gboolean(cst_fail_errno)(GError **error, int err, const char *format, ...)
{
    va_list args;
    g_autofree char *message = NULL;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, CST_ERROR, code_from_errno(err), "%s: %s", message, g_strerror(err));
    return FALSE;
}

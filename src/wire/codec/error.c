/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors on the wire.
 *
 * libvirt's error struct has a number, a sentence and five details. Several of our error codes
 * share a number of libvirt's. So the code's own name is sent in str3, which stock peers ignore,
 * and a peer of this project restores the exact code from it. For a stock server the code is found
 * by number, then by the code with a sentence that matches the text. A SYSTEM_ERROR has its errno
 * in int1, as in libvirt.
 */
#include <wire/codec.h>

#include <errno.h>
#include <string.h>

#include <base/error_class.h>
#include <base/i18n.h>

#define LEVEL_ERROR       2
#define SYSTEM_ERROR      38
#define ERROR_TEXT_MAX    65536 /* bytes; longer texts are truncated */
#define FLAGS_IN_FUNCTION "in function "

/*
 * The errno of a SYSTEM_ERROR for each code, and the code for each errno. The errno in the first
 * row of a code is sent; the errnos in its further rows are accepted.
 */
static const struct {
    CstErrorCode code;
    int err;
} system_errors[] = {
    {CST_ERROR_NOT_FOUND, ENOENT},
    {CST_ERROR_DENIED, EACCES},
    {CST_ERROR_NO_SPACE, ENOSPC},
    {CST_ERROR_UNREACHABLE, EHOSTUNREACH},
    {CST_ERROR_IO, EIO},
    {CST_ERROR_DENIED, EPERM},
    {CST_ERROR_DENIED, EROFS},
    {CST_ERROR_NO_SPACE, EDQUOT},
    {CST_ERROR_BUSY, EBUSY},
    {CST_ERROR_UNREACHABLE, ECONNREFUSED},
    {CST_ERROR_UNREACHABLE, ETIMEDOUT},
};

static int errno_of_code(CstErrorCode code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(system_errors); i++)
        if (system_errors[i].code == code)
            return system_errors[i].err;
    return EIO;
}

/* Sets the details that libvirt sends for unknown flags: the function, and the word "flags". */
static void fill_flags_error(wire_error *wire, char **function, const char *detail)
{
    static char what[] = "flags";
    const char *mark = strstr(detail, FLAGS_IN_FUNCTION);
    static char *what_ptr = what;

    *function = g_strdup(mark ? mark + strlen(FLAGS_IN_FUNCTION) : detail);
    wire->str1 = function;
    wire->str2 = &what_ptr;
    wire->int1 = wire->int2 = 0;
}

void cst_wire_append_error(GByteArray *buf, const CstWireHeader *header, CstWireDomain domain,
                           const GError *error)
{
    CstErrorCode code = cst_error_code(error);
    const CstErrorInfo *info = cst_error_info(code);
    g_autofree char *text = cst_error_text(error);
    g_autofree char *detail = g_strdup(error->message);
    g_autofree char *function = NULL;
    char *format = (char *)info->format, *word = (char *)info->word;
    CstWireHeader reply = *header;
    wire_error wire = {.code = info->wire, .level = LEVEL_ERROR, .int1 = -1, .int2 = -1};

    if (strlen(text) > ERROR_TEXT_MAX)
        text[ERROR_TEXT_MAX] = '\0';
    if (strlen(detail) > ERROR_TEXT_MAX)
        detail[ERROR_TEXT_MAX] = '\0';
    /* As in libvirt, the domain marks errors of the protocol itself. */
    wire.domain = code == CST_ERROR_RPC ? CST_WIRE_FROM_RPC : (int)domain;
    wire.message = &text;
    wire.str1 = &format;
    wire.str2 = &detail;
    wire.str3 = &word;
    if (code == CST_ERROR_FLAGS)
        fill_flags_error(&wire, &function, detail);
    else if (info->wire == SYSTEM_ERROR)
        wire.int1 = errno_of_code(code);
    reply.status = WIRE_ERROR;
    /* Cannot fail: the strings are bounded above. */
    cst_wire_append(buf, &reply, (xdrproc_t)xdr_wire_error, &wire, NULL);
}

/* Returns the detail in @text if it matches @format, which contains one %s; otherwise NULL. */
static char *error_strip_format(const char *text, const char *format)
{
    const char *mark = strstr(format, "%s");
    size_t head = mark - format, tail = strlen(mark + 2), len = strlen(text);

    if (len < head + tail || strncmp(text, format, head) != 0 ||
        strcmp(text + len - tail, mark + 2) != 0)
        return NULL;
    return g_strndup(text + head, len - head - tail);
}

/* Returns a code with a sentence that has only the detail, and with the exit status of @code. */
static CstErrorCode bare_class(CstErrorCode code)
{
    switch (cst_error_info(code)->exit) {
    case CST_EXIT_NOT_FOUND: return CST_ERROR_NOT_FOUND;
    case CST_EXIT_DENIED: return CST_ERROR_DENIED;
    case CST_EXIT_UNREACHABLE: return CST_ERROR_UNREACHABLE;
    default: return CST_ERROR_IO;
    }
}

static CstErrorCode wire_code_from_errno(int err)
{
    for (size_t i = 0; i < G_N_ELEMENTS(system_errors); i++)
        if (system_errors[i].err == err)
            return system_errors[i].code;
    return CST_ERROR_IO;
}

static CstErrorCode code_of(const wire_error *wire)
{
    CstErrorCode code;

    if (wire->str3 && cst_error_from_word(*wire->str3, &code) &&
        cst_error_info(code)->wire == wire->code)
        return code;
    if (wire->code == SYSTEM_ERROR)
        return wire_code_from_errno(wire->int1);
    /* LIMIT has this number, too, but a stock server uses it for protocol errors. */
    if (wire->code == cst_error_info(CST_ERROR_RPC)->wire)
        return CST_ERROR_RPC;
    return cst_error_from_wire(wire->code);
}

/*
 * Sets @error. Several of our codes may share the number, so selects the code with a matching
 * sentence.
 */
static void set_error(const wire_error *wire, GError **error)
{
    CstErrorCode code = code_of(wire);
    const char *text = wire->message ? *wire->message : _("the server gave no error message");
    g_autofree char *detail = error_strip_format(text, _(cst_error_info(code)->format));

    for (int other = 0; !detail && other < CST_ERROR_LAST; other++)
        if (cst_error_info(other)->wire == wire->code) {
            detail = error_strip_format(text, _(cst_error_info(other)->format));
            code = detail ? (CstErrorCode)other : code;
        }
    /* No sentence matches: keep the whole text, and the exit status of the number. */
    if (!detail) {
        code = bare_class(code);
        detail = g_strdup(text);
    }
    cst_fail(error, code, "%s", detail);
}

gboolean cst_wire_error_decode(const uint8_t *packet, size_t len, GError **error)
{
    wire_error wire = {0};

    if (cst_wire_payload_decode(packet, len, (xdrproc_t)xdr_wire_error, &wire, error))
        set_error(&wire, error);
    xdr_free((xdrproc_t)xdr_wire_error, (char *)&wire);
    return FALSE;
}

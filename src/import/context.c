/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions of the import's context: notes to the user and limits. */
#include <inttypes.h>
#include <stdarg.h>

#include <base/i18n.h>
#include <base/units.h>

#include "import_private.h"

#define RATIO_MAX  1000
#define RATIO_FROM CST_GIB

void import_note(const ImportContext *context, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (!context->how->note)
        return;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    context->how->note(text, context->how->note_data);
}

gboolean import_check_size(const ImportContext *context, uint64_t size, const char *name,
                           GError **error)
{
    const char *unit;
    double limit = cst_units_pretty(context->max_size, &unit);

    if (size <= context->max_size)
        return TRUE;
    return cst_fail(error, CST_ERROR_LIMIT,
                    _("'%s' is larger than %.2f %s; --max-size sets another limit"), name, limit,
                    unit);
}

gboolean import_check_expansion(const ImportContext *context, uint64_t made, uint64_t read,
                                const char *name, GError **error)
{
    if (context->bounded || made <= RATIO_FROM || made / RATIO_MAX <= read)
        return TRUE;
    return cst_fail(error, CST_ERROR_LIMIT,
                    _("'%s' unpacks to over %d times its size (%" PRIu64 " bytes so far); "
                      "--max-size allows that"),
                    name, RATIO_MAX, made);
}

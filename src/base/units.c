/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/units.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

static const char unit_letters[] = "KMGTPE";

/* Factor of @suffix, 0 when there is no such unit. */
static uint64_t unit_factor(const char *suffix)
{
    const char *letter;
    uint64_t base;
    uint64_t factor = 1;

    if (g_ascii_strcasecmp(suffix, "b") == 0 || g_ascii_strcasecmp(suffix, "byte") == 0 ||
        g_ascii_strcasecmp(suffix, "bytes") == 0)
        return 1;
    letter = strchr(unit_letters, g_ascii_toupper(suffix[0]));
    if (!letter || !*letter)
        return 0;
    if (suffix[1] == '\0' || g_ascii_strcasecmp(suffix + 1, "iB") == 0)
        base = 1024;
    else if (g_ascii_strcasecmp(suffix + 1, "B") == 0)
        base = 1000;
    else
        return 0;
    for (const char *l = unit_letters; l <= letter; l++)
        factor *= base;
    return factor;
}

gboolean cst_units_scale(uint64_t *value, const char *suffix, uint64_t default_scale,
                         uint64_t limit, GError **error)
{
    uint64_t factor = default_scale;

    if (suffix && *suffix) {
        factor = unit_factor(suffix);
        if (factor == 0)
            return cst_fail(error, CST_ERROR_INVALID, _("unknown suffix '%s'"), suffix);
    }
    if (*value && *value > limit / factor)
        return cst_fail(error, CST_ERROR_OVERFLOW, _("value too large: %" PRIu64 "%s"), *value,
                        suffix ? suffix : "");
    *value *= factor;
    return TRUE;
}

gboolean cst_units_parse(const char *text, uint64_t default_scale, uint64_t *ret_bytes,
                         GError **error)
{
    const char *start = text;
    char *end = NULL;
    uint64_t value;

    while (g_ascii_isspace(*start))
        start++;
    if (!g_ascii_isdigit(*start))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is not a size; write for example 10G"),
                        text);
    errno = 0;
    value = g_ascii_strtoull(start, &end, 10);
    if (errno == ERANGE)
        return cst_fail(error, CST_ERROR_OVERFLOW, _("value too large: %s"), text);
    while (g_ascii_isspace(*end))
        end++;
    if (!cst_units_scale(&value, end, default_scale, G_MAXUINT64, error))
        return FALSE;
    *ret_bytes = value;
    return TRUE;
}

double cst_units_pretty(uint64_t bytes, const char **ret_unit)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024.0 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024.0;
        unit++;
    }
    *ret_unit = units[unit];
    return value;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes in text. The arithmetic uses integers only. The whole part and the fraction are scaled
 * separately, the fraction in 128 bits, so that "1.1T" is exact and an overflow is detected.
 */
#include <base/units.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

static const char unit_letters[] = "KMGTPE";

/* Returns the factor of @suffix; 0: unknown unit. */
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
    /* As in libvirt: "K" and "KiB" are 1024, "KB" is 1000. */
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

/* A size as written. The fraction is numerator / denominator, below 1. */
typedef struct {
    uint64_t whole;
    uint64_t numerator, denominator;
    const char *suffix;
} WrittenSize;

/* Further digits change no result: 10^-18 of an exbibyte is about a byte. */
#define FRACTION_DIGITS 18

/* Parses the digits after a decimal point. Returns the first character after them. */
static const char *read_fraction(const char *digits, WrittenSize *size)
{
    unsigned count = 0;

    for (; g_ascii_isdigit(*digits); digits++) {
        if (count++ >= FRACTION_DIGITS)
            continue;
        size->numerator = size->numerator * 10 + (uint64_t)(*digits - '0');
        size->denominator *= 10;
    }
    return digits;
}

static gboolean read_size(const char *text, WrittenSize *size, GError **error)
{
    const char *start = text;
    gboolean hex;
    char *end = NULL;

    while (g_ascii_isspace(*start))
        start++;
    /*
     * "0x" without a following digit is 0 with an unknown suffix. A leading 0 does not mean octal.
     */
    hex = start[0] == '0' && (start[1] == 'x' || start[1] == 'X') && g_ascii_isxdigit(start[2]);
    if (!g_ascii_isdigit(*start))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is not a size; write for example 10G"),
                        text);
    errno = 0;
    size->whole = g_ascii_strtoull(start, &end, hex ? 16 : 10);
    if (errno == ERANGE)
        return cst_fail(error, CST_ERROR_OVERFLOW, _("value too large: %s"), text);
    size->denominator = 1;
    size->suffix = *end == '.' && !hex ? read_fraction(end + 1, size) : end;
    while (g_ascii_isspace(*size->suffix))
        size->suffix++;
    return TRUE;
}

/* Computes the bytes of the fraction, rounded down. A fraction of a byte is invalid. */
static gboolean scale_fraction(const WrittenSize *size, uint64_t factor, const char *text,
                               uint64_t *ret_bytes, GError **error)
{
    if (factor == 1 && size->numerator != 0)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is not a whole number of bytes"), text);
    *ret_bytes = (uint64_t)((unsigned __int128)size->numerator * factor / size->denominator);
    return TRUE;
}

gboolean cst_units_parse(const char *text, uint64_t default_scale, uint64_t *ret_bytes,
                         GError **error)
{
    WrittenSize size = {0};
    uint64_t factor = 1, rest = 0;

    if (!read_size(text, &size, error) ||
        !cst_units_scale(&factor, size.suffix, default_scale, G_MAXUINT64, error) ||
        !cst_units_scale(&size.whole, size.suffix, default_scale, G_MAXUINT64, error) ||
        !scale_fraction(&size, factor, text, &rest, error))
        return FALSE;
    if (size.whole > G_MAXUINT64 - rest)
        return cst_fail(error, CST_ERROR_OVERFLOW, _("value too large: %s"), text);
    *ret_bytes = size.whole + rest;
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

char *cst_units_text(uint64_t bytes)
{
    const char *unit;
    double value = cst_units_pretty(bytes, &unit);

    return g_strdup_printf("%.2f %s", value, unit);
}

gboolean cst_units_parse_seconds(const char *text, uint64_t *ret_seconds)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'\0', 1},    {'s', 1},         {'m', 60},         {'h', 3600},
                 {'d', 86400}, {'w', 7 * 86400}, {'y', 365 * 86400}};
    uint64_t count;
    char *end;

    if (!g_ascii_isdigit(*text))
        return FALSE;
    errno = 0;
    count = g_ascii_strtoull(text, &end, 10);
    for (guint i = 0; !errno && i < G_N_ELEMENTS(units); i++)
        if (*end == units[i].unit && (!*end || !end[1]) && count <= G_MAXINT64 / units[i].seconds) {
            *ret_seconds = count * units[i].seconds;
            return TRUE;
        }
    return FALSE;
}

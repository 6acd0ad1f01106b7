/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of the space that a pool promises: their comparison with a capacity, and their text. */
#include <model/promise.h>

#include <string.h>

#include <base/i18n.h>

#define DECIMALS 3 /* of a factor in thousandths */

gboolean cst_limits_are_set(const CstPoolLimits *limits)
{
    return limits->overcommit || limits->quota || limits->volumes;
}

uint64_t cst_limits_overcommit_bytes(const CstPoolLimits *limits, uint64_t capacity)
{
    unsigned __int128 bytes = (unsigned __int128)capacity * limits->overcommit / CST_OVERCOMMIT_ONE;

    if (!limits->overcommit || !capacity || bytes > UINT64_MAX)
        return UINT64_MAX;
    return (uint64_t)bytes;
}

uint64_t cst_limits_bytes(const CstPoolLimits *limits, uint64_t capacity)
{
    return MIN(cst_limits_overcommit_bytes(limits, capacity),
               limits->quota ? limits->quota : UINT64_MAX);
}

static gboolean fail_factor(const char *text, GError **error)
{
    return cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' is no factor of the capacity: write a number from 0.001 to 1000 with "
                      "at most three decimals"),
                    text);
}

gboolean cst_overcommit_parse(const char *text, uint32_t *ret_overcommit, GError **error)
{
    const char *point = strchr(text, '.');
    g_autofree char *whole = point ? g_strndup(text, (gsize)(point - text)) : g_strdup(text);
    const char *decimals = point ? point + 1 : "";
    gsize len = strlen(decimals);
    guint64 number, thousandths = 0;

    if (!g_ascii_string_to_unsigned(whole, 10, 0, CST_OVERCOMMIT_MAX / CST_OVERCOMMIT_ONE, &number,
                                    NULL) ||
        (point && (len == 0 || len > DECIMALS ||
                   !g_ascii_string_to_unsigned(decimals, 10, 0, CST_OVERCOMMIT_ONE - 1,
                                               &thousandths, NULL))))
        return fail_factor(text, error);
    for (; len < DECIMALS; len++)
        thousandths *= 10;
    number = number * CST_OVERCOMMIT_ONE + thousandths;
    if (number == 0 || number > CST_OVERCOMMIT_MAX)
        return fail_factor(text, error);
    *ret_overcommit = (uint32_t)number;
    return TRUE;
}

char *cst_overcommit_format(uint32_t overcommit)
{
    GString *text = g_string_new(NULL);

    g_string_printf(text, "%u.%03u", overcommit / CST_OVERCOMMIT_ONE,
                    overcommit % CST_OVERCOMMIT_ONE);
    while (text->str[text->len - 1] == '0')
        g_string_truncate(text, text->len - 1);
    if (text->str[text->len - 1] == '.')
        g_string_truncate(text, text->len - 1);
    return g_string_free(text, FALSE);
}

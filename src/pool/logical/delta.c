/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses the output of thin_delta (thin-provisioning-tools):
 *
 *     <superblock data_block_size="128" …>     sectors
 *       <diff left="1" right="2">
 *         <same begin="0" length="2"/>         blocks that are shared
 *         <different begin="2" length="1"/>
 *         <left_only begin="3" length="1"/>    the other device has zeroes there
 *         <right_only begin="30" length="2"/>
 *       </diff>
 *     </superblock>
 *
 * Ranges that are not allocated in either device are left out. With --verbose the ranges have
 * further elements; the option is not used.
 */
#include "delta.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define SECTOR 512
/* The kernel's limits of a thin pool's block size: 64 KiB to 1 GiB. */
#define MAX_BLOCK (UINT64_C(1) << 30)
/*
 * Maximum distance of two elements in bytes. A document with a longer gap is not valid, because the
 * parser would have to buffer it.
 */
#define MAX_ELEMENT (64u << 10)

struct LvmDelta {
    char *left, *right;
    CstChanged *changed;
    GMarkupParseContext *parser;
    uint64_t block; /* bytes; 0: not known yet */
    uint64_t last;  /* end of the last range */
    size_t silent;  /* bytes since the last element */
    gboolean begun; /* the element "diff" has begun */
    gboolean ended; /* the element "diff" has ended */
    gboolean full;
};

static gboolean delta_fail_corrupt(GError **error)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("cannot parse the output of 'thin_delta'"));
}

static gboolean delta_parse_number(const char **names, const char **values, const char *wanted,
                                   uint64_t max, uint64_t *ret_number, GError **error)
{
    for (; *names; names++, values++)
        if (strcmp(*names, wanted) == 0)
            return g_ascii_string_to_unsigned(*values, 10, 0, max, ret_number, NULL) ||
                   delta_fail_corrupt(error);
    return delta_fail_corrupt(error);
}

static gboolean is_of(const char **names, const char **values, const char *wanted,
                      const char *value)
{
    for (; *names; names++, values++)
        if (strcmp(*names, wanted) == 0)
            return strcmp(*values, value) == 0;
    return FALSE;
}

static gboolean begin_document(LvmDelta *delta, const char **names, const char **values,
                               GError **error)
{
    uint64_t sectors = 0;

    if (delta->block)
        return delta_fail_corrupt(error);
    if (!delta_parse_number(names, values, "data_block_size", MAX_BLOCK / SECTOR, &sectors, error))
        return FALSE;
    delta->block = sectors * SECTOR;
    return sectors > 0 || delta_fail_corrupt(error);
}

static gboolean begin_ranges(LvmDelta *delta, const char **names, const char **values,
                             GError **error)
{
    if (!delta->block || delta->begun || !is_of(names, values, "left", delta->left) ||
        !is_of(names, values, "right", delta->right))
        return delta_fail_corrupt(error);
    delta->begun = TRUE;
    return TRUE;
}

static gboolean delta_add_range(LvmDelta *delta, const char **names, const char **values,
                                gboolean same, GError **error)
{
    uint64_t begin = 0, length = 0, max = G_MAXINT64 / MAX_BLOCK;

    if (!delta_parse_number(names, values, "begin", max, &begin, error) ||
        !delta_parse_number(names, values, "length", max, &length, error))
        return FALSE;
    if (!delta->begun || delta->ended || begin < delta->last)
        return delta_fail_corrupt(error);
    delta->last = begin + length;
    if (!same && !delta->full)
        delta->full = !cst_changed_add(delta->changed, begin * delta->block, length * delta->block);
    return TRUE;
}

static gboolean is_range(const char *element)
{
    return strcmp(element, "different") == 0 || strcmp(element, "left_only") == 0 ||
           strcmp(element, "right_only") == 0;
}

static void start_element(GMarkupParseContext *parser, const char *element, const char **names,
                          const char **values, gpointer data, GError **error)
{
    LvmDelta *delta = data;

    delta->silent = 0;
    if (strcmp(element, "superblock") == 0)
        begin_document(delta, names, values, error);
    else if (strcmp(element, "diff") == 0)
        begin_ranges(delta, names, values, error);
    else if (strcmp(element, "same") == 0 || is_range(element))
        delta_add_range(delta, names, values, !is_range(element), error);
    else
        delta_fail_corrupt(error);
}

static void end_element(GMarkupParseContext *parser, const char *element, gpointer data,
                        GError **error)
{
    LvmDelta *delta = data;

    delta->silent = 0;
    delta->ended = delta->ended || strcmp(element, "diff") == 0;
}

static const GMarkupParser elements = {.start_element = start_element, .end_element = end_element};

LvmDelta *lvm_delta_new(const char *left, const char *right, CstChanged *changed)
{
    LvmDelta *delta = g_new0(LvmDelta, 1);

    delta->left = g_strdup(left);
    delta->right = g_strdup(right);
    delta->changed = changed;
    delta->parser = g_markup_parse_context_new(&elements, 0, delta, NULL);
    return delta;
}

void lvm_delta_free(LvmDelta *delta)
{
    if (!delta)
        return;
    g_markup_parse_context_free(delta->parser);
    g_free(delta->left);
    g_free(delta->right);
    g_free(delta);
}

/* Consumes @why, an error of the parser or of a callback. Always returns FALSE. */
static gboolean fail_parse(GError *why, GError **error)
{
    if (why->domain == CST_ERROR) {
        g_propagate_error(error, why);
        return FALSE;
    }
    g_error_free(why);
    return delta_fail_corrupt(error);
}

gboolean lvm_delta_take(LvmDelta *delta, const char *text, size_t length, gboolean *ret_full,
                        GError **error)
{
    /* Parse small parts, so that a long element is detected before the parser buffers too much. */
    for (size_t at = 0; at < length && !delta->full;) {
        size_t part = MIN(length - at, MAX_ELEMENT / 2);
        GError *why = NULL;

        delta->silent += part;
        if (!g_markup_parse_context_parse(delta->parser, text + at, (gssize)part, &why))
            return fail_parse(why, error);
        if (delta->silent > MAX_ELEMENT)
            return delta_fail_corrupt(error);
        at += part;
    }
    *ret_full = delta->full;
    return TRUE;
}

gboolean lvm_delta_end(LvmDelta *delta, uint64_t older, GError **error)
{
    GError *why = NULL;

    if (delta->full)
        return TRUE;
    if (!g_markup_parse_context_end_parse(delta->parser, &why))
        return fail_parse(why, error);
    if (!delta->ended)
        return delta_fail_corrupt(error);
    cst_changed_end(delta->changed, older);
    return TRUE;
}

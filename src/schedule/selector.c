/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <schedule/selector.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/tag.h>

static const char *const prefixes[CST_SELECT_LAST] = {
    [CST_SELECT_POOL] = "pool:",
    [CST_SELECT_VOLUME] = "volume:",
    [CST_SELECT_MACHINE] = "machine:",
    [CST_SELECT_TAG] = "tag:",
};

void cst_selector_free(CstSelector *selector)
{
    if (!selector)
        return;
    g_free(selector->pool);
    g_free(selector->pattern);
    g_free(selector);
}

static gboolean selector_fail(const char *text, GError **error)
{
    return cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' selects no volumes; give a POOL, POOL/PATTERN, tag:TAG or "
                      "machine:DOMAIN"),
                    text);
}

/* Splits "POOL/PATTERN". The name of a pool has no slash. */
static gboolean selector_set_volume(CstSelector *selector, const char *text)
{
    const char *slash = strchr(text, '/');

    if (!slash || slash == text || !slash[1])
        return FALSE;
    selector->pool = g_strndup(text, (gsize)(slash - text));
    selector->pattern = g_strdup(slash + 1);
    return TRUE;
}

static gboolean selector_set(CstSelector *selector, const char *text)
{
    switch (selector->kind) {
    case CST_SELECT_VOLUME: return selector_set_volume(selector, text);
    case CST_SELECT_POOL: selector->pool = g_strdup(text); return *text && !strchr(text, '/');
    case CST_SELECT_TAG: selector->pattern = g_strdup(text); return cst_tag_check(text, NULL);
    default: selector->pattern = g_strdup(text); return *text != '\0';
    }
}

CstSelector *cst_selector_parse(const char *text, GError **error)
{
    g_autoptr(CstSelector) selector = g_new0(CstSelector, 1);
    const char *rest = text;

    selector->kind = strchr(text, '/') ? CST_SELECT_VOLUME : CST_SELECT_POOL;
    for (int i = 0; i < CST_SELECT_LAST; i++)
        if (g_str_has_prefix(text, prefixes[i])) {
            selector->kind = i;
            rest = text + strlen(prefixes[i]);
        }
    /* A line break separates selectors where they are stored. */
    if (strpbrk(text, "\n\r") || !g_utf8_validate(text, -1, NULL) ||
        !selector_set(selector, rest)) {
        selector_fail(text, error);
        return NULL;
    }
    return g_steal_pointer(&selector);
}

char *cst_selector_format(const CstSelector *selector)
{
    const char *prefix = prefixes[selector->kind];

    if (selector->kind == CST_SELECT_VOLUME)
        return g_strconcat(prefix, selector->pool, "/", selector->pattern, NULL);
    return g_strconcat(prefix, selector->pool ? selector->pool : selector->pattern, NULL);
}

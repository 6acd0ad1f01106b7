/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The block job of disk vda of a domain that several processes change (live.h). */
#include "live.h"

#include <string.h>

#define COPY          2 /* types of libvirt */
#define ACTIVE_COMMIT 4

gboolean live_block_begin(const char *path, int type, const char *copy, const char *top,
                          const char *base)
{
    g_autofree char *fate = live_get(path, "block-fate");

    if (live_get_number(path, "block-type") > 0)
        return FALSE;
    live_set_number(path, "block-last", type);
    live_set(path, "block-copy", copy);
    live_set(path, "block-top", top);
    live_set(path, "block-base", base);
    live_set(path, "block-ready", NULL);
    /* The last step: a test that sees the type may change each key. */
    live_set_number(path, "block-type", type);
    if (g_strcmp0(fate, "ready") == 0)
        live_block_ready(path);
    if (g_strcmp0(fate, "done") == 0)
        live_block_end(path, "C");
    if (g_strcmp0(fate, "failed") == 0)
        live_block_end(path, "F");
    return TRUE;
}

void live_block_ready(const char *path)
{
    live_set(path, "block-ready", "yes");
    live_report(path, "Y");
}

/* Returns the layers after the job. The caller frees them. */
static char *chain_after(const char *path, const char *chain)
{
    int type = live_get_number(path, "block-type");
    g_autofree char *copy = live_get(path, "block-copy"), *top = live_get(path, "block-top"),
                    *base = live_get(path, "block-base");
    g_auto(GStrv) layers = g_strsplit(chain, ";", -1);
    g_autoptr(GPtrArray) after = g_ptr_array_new();
    gboolean below = FALSE;

    if (type == COPY)
        return g_strdup(copy);
    for (guint i = 0; layers[i]; i++) {
        gboolean kept = !top && i == 0;

        below = below || g_strcmp0(layers[i], base) == 0;
        /* A commit keeps the layers above its top. */
        for (guint k = i; top && !kept && layers[k]; k++)
            kept = k > i && strcmp(layers[k], top) == 0;
        if ((type != ACTIVE_COMMIT && kept) || below)
            g_ptr_array_add(after, layers[i]);
    }
    g_ptr_array_add(after, NULL);
    return g_strjoinv(";", (char **)after->pdata);
}

static void chain_change(const char *path, const char *key)
{
    g_autofree char *chain = live_get(path, key);
    g_autofree char *after = chain ? chain_after(path, chain) : NULL;

    if (after)
        live_set(path, key, after);
}

/* Returns whether both definitions have the same top layer. */
static gboolean config_has_top(const char *path)
{
    g_autofree char *chain = live_get(path, "chain"), *config = live_get(path, "config");
    g_auto(GStrv) layers = g_strsplit(chain ? chain : "", ";", 2),
                  persistent = g_strsplit(config ? config : "", ";", 2);

    return g_strcmp0(layers[0], persistent[0]) == 0;
}

gboolean live_block_end(const char *path, const char *event)
{
    if (live_get_number(path, "block-type") == 0)
        return FALSE;
    if (strcmp(event, "C") == 0) {
        g_autofree char *keeps = live_get(path, "keeps-config");
        gboolean changes = !keeps && config_has_top(path);

        chain_change(path, "chain");
        if (changes)
            chain_change(path, "config");
    }
    live_set(path, "block-copy", NULL);
    live_set(path, "block-ready", NULL);
    live_set(path, "block-type", NULL);
    live_report(path, event);
    return TRUE;
}

/* @layer: a path, or "p/v". @index NULL: not shown. */
static void source_append(GString *xml, const char *layer, const char *index)
{
    const char *volume = layer[0] == '/' ? NULL : strchr(layer, '/');

    if (volume)
        g_string_append_printf(xml, "<source pool='%.*s' volume='%s'", (int)(volume - layer), layer,
                               volume + 1);
    else
        g_string_append_printf(xml, "<source file='%s'", layer);
    if (index)
        g_string_append_printf(xml, " index='%s'", index);
    g_string_append(xml, "/>");
}

/* As in libvirt, an empty <backingStore> ends the chain. */
char *live_block_document(const char *path, gboolean persistent)
{
    g_autofree char *chain = live_get(path, persistent ? "config" : "chain"),
                    *copy = persistent ? NULL : live_get(path, "block-copy"),
                    *ready = live_get(path, "block-ready");
    g_auto(GStrv) layers = chain ? g_strsplit(chain, ";", -1) : NULL;
    g_autoptr(GString) xml = g_string_new("<domain><devices>");
    guint i;

    if (!layers)
        return NULL;
    g_string_append_printf(xml, "<disk type='%s'><driver type='qcow2'/><target dev='vda'/>",
                           layers[0] && layers[0][0] != '/' ? "volume" : "file");
    source_append(xml, layers[0], "1");
    if (copy)
        g_string_append_printf(xml, "<mirror%s%s%s><source file='%s'/></mirror>",
                               ready ? " ready='" : "", ready ? ready : "", ready ? "'" : "", copy);
    for (i = 1; layers[i]; i++) {
        g_string_append_printf(xml, "<backingStore index='%u'>", i + 1);
        source_append(xml, layers[i], NULL);
    }
    g_string_append(xml, "<backingStore/>");
    while (--i > 0)
        g_string_append(xml, "</backingStore>");
    g_string_append(xml, "</disk></devices></domain>");
    return strdup(xml->str);
}

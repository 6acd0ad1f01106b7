/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists the volumes of a Gluster server with the gluster tool, for pools that mount them (netfs)
 * and for pools that access the server directly (gluster). The output comes from an untrusted
 * server.
 */
#include <pool/gluster_volumes.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/tool.h>

#define OUTPUT_LIMIT (4u << 20)

/* Whether the next text is the name of a volume. */
static gboolean xml_is_volume_name(GMarkupParseContext *context)
{
    static const char *const path[] = {"name", "volume", "volumes", "volInfo", "cliOutput"};
    const GSList *element = g_markup_parse_context_get_element_stack(context);

    for (size_t i = 0; i < G_N_ELEMENTS(path); i++, element = element->next)
        if (!element || !g_str_equal(element->data, path[i]))
            return FALSE;
    return element == NULL;
}

static void xml_add_volume_name(GMarkupParseContext *context, const char *text, gsize len,
                                gpointer names, GError **error)
{
    if (len > 0 && cst_tool_is_text(text, len) && xml_is_volume_name(context))
        g_ptr_array_add(names, g_strndup(text, len));
}

gboolean cst_gluster_parse_volumes(const char *xml, GPtrArray *names, GError **error)
{
    static const GMarkupParser parser = {.text = xml_add_volume_name};
    GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, names, NULL);
    g_autoptr(GError) why = NULL;
    gboolean done = g_markup_parse_context_parse(context, xml, (gssize)strlen(xml), &why) &&
                    g_markup_parse_context_end_parse(context, &why);

    g_markup_parse_context_free(context);
    return done ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'gluster' printed no volumes: %s"), why->message);
}

gboolean cst_gluster_volumes(const char *host, unsigned timeout_s, GPtrArray *names, GError **error)
{
    static const CstToolMeaning meanings[] = {
        {"Unknown host", CST_ERROR_UNREACHABLE},
        {"Connection", CST_ERROR_UNREACHABLE},
        {NULL, 0},
    };
    g_autofree char *remote = g_strconcat("--remote-host=", host, NULL);
    const char *argv[] = {"gluster", "--xml", "--log-file=/dev/null", "volume", "info", "all",
                          remote,    NULL};
    const CstTool tool = {.argv = argv,
                          .package = "glusterfs-cli",
                          .meanings = meanings,
                          .timeout_s = timeout_s,
                          .output_limit = OUTPUT_LIMIT};
    g_autofree char *out = NULL;

    return cst_tool_run(&tool, NULL, &out, error) && cst_gluster_parse_volumes(out, names, error);
}

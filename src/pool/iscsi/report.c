/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses the output of iscsiadm, which has no other format than these lines. A line of another form
 * is skipped, because the output contains untrusted data from the target.
 */
#include "iscsi.h"

#include <string.h>

/* iscsiadm's text for an unset value. */
#define EMPTY "<empty>"

static void offer_free(gpointer data)
{
    IscsiOffer *offer = data;

    g_free(offer->address);
    g_free(offer->target);
    g_free(offer);
}

static void iface_free(gpointer data)
{
    IscsiIface *iface = data;

    g_free(iface->name);
    g_free(iface->initiator);
    g_free(iface);
}

gboolean iscsi_is_name(const char *text)
{
    for (const char *p = text; *p; p++)
        if (g_ascii_isspace(*p) || g_ascii_iscntrl(*p) || *p == '/')
            return FALSE;
    return *text && *text != '-' && *text != '.';
}

/* --- discovery -------------------------------------------------------------------------------- */

/* "10.0.0.1:3260,1", "[fe80::1]:3260,1" */
static gboolean parse_portal(const char *text, IscsiOffer *offer)
{
    g_autofree char *address = g_strdup(text);
    char *comma = strrchr(address, ','), *colon;
    guint64 port, tpgt;
    size_t len;

    if (!comma || !g_ascii_string_to_unsigned(comma + 1, 10, 0, G_MAXUINT16, &tpgt, NULL))
        return FALSE;
    *comma = '\0';
    colon = strrchr(address, ':');
    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT16, &port, NULL))
        return FALSE;
    *colon = '\0';
    len = strlen(address);
    if (address[0] == '[' && address[len - 1] == ']') {
        memmove(address, address + 1, len - 2);
        address[len - 2] = '\0';
    }
    if (!iscsi_is_name(address))
        return FALSE;
    offer->address = g_steal_pointer(&address);
    offer->port = (uint16_t)port;
    offer->tpgt = (unsigned)tpgt;
    return TRUE;
}

/* "10.0.0.1:3260,1 iqn.2026-01.lab:target" */
GPtrArray *iscsi_offers_parse(const char *text)
{
    GPtrArray *offers = g_ptr_array_new_with_free_func(offer_free);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        char *space = strchr(*line, ' ');
        IscsiOffer offer = {0};

        if (!space)
            continue;
        *space = '\0';
        if (!iscsi_is_name(space + 1) || !parse_portal(*line, &offer))
            continue;
        offer.target = g_strdup(space + 1);
        g_ptr_array_add(offers, g_memdup2(&offer, sizeof(offer)));
    }
    return offers;
}

/* --- interfaces and records ------------------------------------------------------------------- */

/* "NAME TRANSPORT,MAC,IP,NETDEV,INITIATOR" */
GPtrArray *iscsi_ifaces_parse(const char *text)
{
    GPtrArray *ifaces = g_ptr_array_new_with_free_func(iface_free);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        char *space = strchr(*line, ' ');
        g_auto(GStrv) values = g_strsplit(space ? space + 1 : "", ",", 5);
        IscsiIface *iface;

        if (!space || g_strv_length(values) != 5)
            continue;
        *space = '\0';
        if (!iscsi_is_name(*line))
            continue;
        iface = g_new0(IscsiIface, 1);
        iface->name = g_strdup(*line);
        if (strcmp(values[4], EMPTY) != 0 && *values[4])
            iface->initiator = g_strdup(values[4]);
        g_ptr_array_add(ifaces, iface);
    }
    return ifaces;
}

gboolean iscsi_tree_uses(const char *text, const char *iface)
{
    static const char label[] = "Iface Name: ";
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        const char *said = g_strstrip(*line);

        if (g_str_has_prefix(said, label) && strcmp(said + strlen(label), iface) == 0)
            return TRUE;
    }
    return FALSE;
}

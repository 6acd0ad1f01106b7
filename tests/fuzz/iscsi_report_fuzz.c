/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Output of iscsiadm, which contains text of the target, and its records. */
#include <stdlib.h>
#include <string.h>

#include <iscsi/iscsi.h>

#include "fuzz.h"

/* Parsed text becomes arguments and names of directories. */
static gboolean is_word(const char *text)
{
    return *text && *text != '-' && *text != '.' && !strpbrk(text, "/ \n");
}

static void check_offer(const IscsiOffer *offer)
{
    if (offer->port == 0 || !is_word(offer->target) || !is_word(offer->address))
        abort();
}

static void check_iface(const IscsiIface *iface)
{
    if (!is_word(iface->name))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const CstChap chap = {.user = (char *)"u", .password = {(uint8_t *)"p", 1}};
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GPtrArray) offers = iscsi_offers_parse(text);
    g_autoptr(GPtrArray) ifaces = iscsi_ifaces_parse(text);
    g_autofree char *record = iscsi_record_with(text, &chap);
    g_autofree char *again = iscsi_record_with(record, &chap);

    for (guint i = 0; i < offers->len; i++)
        check_offer(g_ptr_array_index(offers, i));
    for (guint i = 0; i < ifaces->len; i++)
        check_iface(g_ptr_array_index(ifaces, i));
    iscsi_tree_uses(text, "libvirt-iface-00000000");
    /* Values are replaced, and never added to. */
    if (!strstr(record, "node.session.auth.password = p\n") || strlen(again) > strlen(record))
        abort();
    return 0;
}

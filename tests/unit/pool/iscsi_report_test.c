/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The output of iscsiadm, and invalid output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iscsi/iscsi.h"

/* --- output of the tool ----------------------------------------------------------------------- */

static void test_offers(void **state)
{
    static const struct {
        const char *line;
        const char *means; /* "ADDRESS PORT GROUP TARGET"; NULL: rejected */
    } rows[] = {
        {"10.0.0.1:3260,1 iqn.a", "10.0.0.1 3260 1 iqn.a"},
        {"[fe80::1%eth0]:860,65535 eui.02004567A425678D",
         "fe80::1%eth0 860 65535 eui.02004567A425678D"},
        {"10.0.0.1:3260,-1 iqn.a", NULL},
        {"10.0.0.1:0,1 iqn.a", NULL},
        {"10.0.0.1:65536,1 iqn.a", NULL},
        {"10.0.0.1,1 iqn.a", NULL},
        {":3260,1 iqn.a", NULL},
        {"[]:3260,1 iqn.a", NULL},
        {"../x:3260,1 iqn.a", NULL},
        {"10.0.0.1:3260,1 ../../etc", NULL},
        {"10.0.0.1:3260,1 --logout", NULL},
        {"10.0.0.1:3260,1 iqn.a b", NULL},
        {"10.0.0.1:3260,1 ", NULL},
        {"10.0.0.1:3260,1", NULL},
        {" ", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) offers = iscsi_offers_parse(rows[i].line);
        g_autofree char *means = NULL;

        assert_int_equal(offers->len, rows[i].means ? 1 : 0);
        if (offers->len > 0) {
            const IscsiOffer *offer = g_ptr_array_index(offers, 0);

            means = g_strdup_printf("%s %u %u %s", offer->address, offer->port, offer->tpgt,
                                    offer->target);
            assert_string_equal(means, rows[i].means);
        }
    }
}

static void test_interfaces(void **state)
{
    g_autoptr(GPtrArray) ifaces =
        iscsi_ifaces_parse("default tcp,<empty>,<empty>,<empty>,<empty>\n"
                           "libvirt-iface-1 tcp,<empty>,<empty>,<empty>,iqn.a,b\n"
                           "short tcp,<empty>\n../x tcp,1,2,3,4\n\nx\n");
    const IscsiIface *first, *second;

    assert_int_equal(ifaces->len, 2);
    first = g_ptr_array_index(ifaces, 0);
    second = g_ptr_array_index(ifaces, 1);
    assert_string_equal(first->name, "default");
    assert_null(first->initiator);
    assert_string_equal(second->name, "libvirt-iface-1");
    assert_string_equal(second->initiator, "iqn.a,b");
}

static void test_tree(void **state)
{
    static const char tree[] = "Target: iqn.a\n\tPortal: 10.0.0.1:3260,1\n"
                               "\t\tIface Name: libvirt-iface-12\n";

    assert_true(iscsi_tree_uses(tree, "libvirt-iface-12"));
    assert_false(iscsi_tree_uses(tree, "libvirt-iface-1"));
    assert_false(iscsi_tree_uses("", "libvirt-iface-1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_interfaces),
        cmocka_unit_test(test_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

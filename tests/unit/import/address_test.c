/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses of the public Internet, and addresses of the host and its networks. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"

static gboolean is_private(const char *text)
{
    uint8_t bytes[sizeof(struct in6_addr)];
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;

    assert_int_equal(inet_pton(family, text, bytes), 1);
    return import_address_is_private(family, bytes);
}

/* Both ends of each block. */
static void addresses_of_the_host_and_its_networks_are_private(void **state)
{
    static const char *const rows[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2002:c0a8:101::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!is_private(rows[i]))
            fail_msg("%s is taken for a public address", rows[i]);
    assert_true(import_address_is_private(AF_UNIX, "/run/socket"));
}

/* The neighbours of each block. */
static void addresses_beyond_the_blocks_are_public(void **state)
{
    static const char *const rows[] = {
        "1.0.0.0",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255",
        "100.128.0.0",     "126.255.255.255", "128.0.0.0",       "169.253.255.255",
        "169.255.0.0",     "172.15.255.255",  "172.32.0.0",      "192.0.1.0",
        "192.167.255.255", "192.169.0.0",     "198.17.255.255",  "198.20.0.0",
        "203.0.113.1",     "223.255.255.255", "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8",
        "64:ff9b:2::1",    "2002:808:808::1", "2606:4700::1111", "fbff::1",
        "2001:db8::1",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (is_private(rows[i]))
            fail_msg("%s is taken for a private address", rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_the_host_and_its_networks_are_private),
        cmocka_unit_test(addresses_beyond_the_blocks_are_public),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

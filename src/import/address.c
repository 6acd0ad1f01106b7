/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Distinguishes public and private addresses by IANA's special-purpose registries (RFC 6890). The
 * blocks for documentation (RFC 5737) count as public, because no host uses them.
 */
#include "address.h"

#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t prefix[16];
    unsigned bits;
} AddressBlock;

static const AddressBlock private_4[] = {
    {{0}, 8},          /* this network: the kernel treats 0.0.0.0 as loopback */
    {{10}, 8},         /* RFC 1918 */
    {{100, 64}, 10},   /* shared by the customers of a carrier, RFC 6598 */
    {{127}, 8},        /* loopback */
    {{169, 254}, 16},  /* link-local: cloud metadata is at 169.254.169.254 */
    {{172, 16}, 12},   /* RFC 1918 */
    {{192, 0, 0}, 24}, /* protocol assignments, RFC 6890 */
    {{192, 168}, 16},  /* RFC 1918 */
    {{198, 18}, 15},   /* benchmarks, RFC 2544 */
    {{224}, 3},        /* multicast, reserved, broadcast */
};

static const AddressBlock private_6[] = {
    {{0}, 127},                           /* unspecified and loopback */
    {{0x00, 0x64, 0xff, 0x9b, 0, 1}, 48}, /* NAT64 of a site, RFC 8215 */
    {{0xfc}, 7},                          /* unique local, RFC 4193 */
    {{0xfe, 0x80}, 10},                   /* link-local */
    {{0xfe, 0xc0}, 10},                   /* site-local, RFC 3879 */
    {{0xff}, 8},                          /* multicast */
};

/* IPv6 forms that contain an IPv4 address. The IPv4 address decides. */
static const struct {
    AddressBlock block;
    size_t offset; /* of the IPv4 address, bytes */
} carriers[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12}, /* mapped, RFC 4291 */
    {{{0}, 96}, 12},                                        /* compatible, RFC 4291 */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},                   /* NAT64, RFC 6052 */
    {{{0x20, 0x02}, 16}, 2},                                /* 6to4, RFC 3056 */
};

static gboolean block_has(const AddressBlock *block, const uint8_t *address)
{
    size_t whole = block->bits / 8;
    unsigned rest = block->bits % 8;

    return memcmp(block->prefix, address, whole) == 0 &&
           (rest == 0 || (block->prefix[whole] ^ address[whole]) >> (8 - rest) == 0);
}

static gboolean blocks_have(const AddressBlock *blocks, size_t n, const uint8_t *address)
{
    for (size_t i = 0; i < n; i++)
        if (block_has(&blocks[i], address))
            return TRUE;
    return FALSE;
}

gboolean import_address_is_private(int family, const void *bytes)
{
    const uint8_t *address = bytes;

    if (family == AF_INET)
        return blocks_have(private_4, G_N_ELEMENTS(private_4), address);
    if (family != AF_INET6 || blocks_have(private_6, G_N_ELEMENTS(private_6), address))
        return TRUE;
    for (size_t i = 0; i < G_N_ELEMENTS(carriers); i++)
        if (block_has(&carriers[i].block, address))
            return import_address_is_private(AF_INET, address + carriers[i].offset);
    return FALSE;
}

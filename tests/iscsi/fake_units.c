/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Execution of commands by a target. */
#include "fake_iscsi.h"

#include <string.h>

FakeTarget fake;

void fake_reset(void)
{
    for (guint i = 0; i < FAKE_LUNS; i++) {
        g_free(fake.units[i].data);
        g_free(fake.units[i].mapped);
    }
    fake = (FakeTarget){0};
}

FakeUnit *fake_unit(unsigned lun, uint64_t blocks, uint32_t block_size, gboolean thin)
{
    FakeUnit *unit = &fake.units[lun];

    g_free(unit->data);
    g_free(unit->mapped);
    *unit = (FakeUnit){
        .blocks = blocks, .block_size = block_size, .thin = thin, .serial = (char)('a' + lun)};
    unit->data = g_malloc0(blocks * block_size);
    unit->mapped = g_malloc0(blocks);
    return unit;
}

static uint64_t number(const uint8_t *at, guint len)
{
    uint64_t value = 0;

    for (guint i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

static void put(uint8_t *at, uint64_t value, guint len)
{
    for (guint i = len; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
}

static uint32_t page(const FakeUnit *unit, uint8_t code, uint8_t *out)
{
    out[1] = code;
    if (code == 0x83) {
        const uint8_t designator[] = {2, 1, 0, 4, 'i', 'd', ' ', (uint8_t)unit->serial};

        memcpy(out + 4, designator, sizeof(designator));
        put(out + 2, sizeof(designator), 2);
        return 4 + sizeof(designator);
    }
    if (code == 0xb2) {
        put(out + 2, 4, 2);
        out[5] = 0xe0;
        return 8;
    }
    return 0;
}

static uint32_t luns(uint8_t *out)
{
    uint32_t len = 8;

    for (guint i = 0; i < FAKE_LUNS; i++)
        if (fake.units[i].blocks) {
            put(out + len, i, 2);
            len += 8;
        }
    put(out, len - 8, 4);
    return len;
}

/* One run from the block on. */
static uint32_t status(const FakeUnit *unit, uint64_t block, uint8_t *out)
{
    uint64_t end = block;

    while (end < unit->blocks && unit->mapped[end] == unit->mapped[block])
        end++;
    put(out, 20, 4);
    put(out + 8, block, 8);
    put(out + 16, end - block, 4);
    out[20] = !unit->mapped[block];
    return 24;
}

/* *got is the length of what is in @out. FALSE: there is no such command. */
static gboolean ask(const FakeUnit *unit, const uint8_t *cdb, uint8_t *out, uint32_t *got)
{
    switch (cdb[0]) {
    case 0xa0: *got = luns(out); return TRUE;
    case 0x12:
        if (!(cdb[1] & 1)) {
            out[0] = unit->blocks ? 0 : 0x7f;
            *got = 36;
            return TRUE;
        }
        *got = page(unit, cdb[2], out);
        return *got > 0;
    case 0x9e:
        if (cdb[1] == 0x12) {
            *got = status(unit, number(cdb + 2, 8), out);
            return unit->thin;
        }
        put(out, unit->blocks - 1, 8);
        put(out + 8, unit->block_size, 4);
        out[14] = unit->thin ? 0xc0 : 0;
        *got = 32;
        return TRUE;
    default: return FALSE;
    }
}

static void change(FakeUnit *unit, const uint8_t *cdb, const uint8_t *buf)
{
    uint64_t block = cdb[0] == 0x42 ? number(buf + 8, 8) : number(cdb + 2, 8);
    uint64_t count = cdb[0] == 0x42 ? number(buf + 16, 4) : number(cdb + 10, 4);
    gboolean unmap = cdb[0] == 0x42 || (cdb[0] == 0x93 && (cdb[1] & 8));

    for (uint64_t i = 0; i < count; i++) {
        uint8_t *at = unit->data + (block + i) * unit->block_size;

        if (unmap)
            memset(at, 0, unit->block_size);
        else
            memcpy(at, cdb[0] == 0x93 ? buf : buf + i * unit->block_size, unit->block_size);
        unit->mapped[block + i] = !unmap;
    }
}

static gboolean transfer(FakeUnit *unit, const uint8_t *cdb, uint8_t *buf, uint32_t len)
{
    uint64_t block = number(cdb + 2, 8), count = number(cdb + 10, 4);

    if (cdb[0] != 0x42 && (block > unit->blocks || count > unit->blocks - block))
        return FALSE;
    if (cdb[0] == 0x88)
        memcpy(buf, unit->data + block * unit->block_size, len);
    else
        change(unit, cdb, buf);
    return TRUE;
}

static gboolean execute(FakeUnit *unit, const uint8_t *cdb, uint8_t *buf, uint32_t len,
                        uint32_t *got)
{
    uint8_t out[256] = {0};

    *got = len;
    if (cdb[0] == 0x88 || cdb[0] == 0x8a || cdb[0] == 0x93 || cdb[0] == 0x42) {
        *got -= cdb[0] == 0x88 ? (uint32_t)fake.shorten : 0;
        return transfer(unit, cdb, buf, len);
    }
    if (cdb[0] == 0x91 || cdb[0] == 0)
        return TRUE;
    if (!ask(unit, cdb, out, got))
        return FALSE;
    *got = MIN(*got, len);
    memcpy(buf, out, *got);
    return TRUE;
}

int fake_execute(unsigned lun, const uint8_t *cdb, uint8_t *buf, uint32_t len, uint8_t *ret_key,
                 uint16_t *ret_ascq, uint32_t *ret_got)
{
    *ret_got = 0;
    if (fake.attention && cdb[0] != 0x12 && !(fake.elsewhere && lun != 0)) {
        *ret_key = 6;
        *ret_ascq = fake.attention;
        fake.attention = 0;
        return 2;
    }
    *ret_key = fake.key;
    *ret_ascq = fake.ascq;
    if (fake.fail_opcode && cdb[0] == fake.fail_opcode)
        return 2;
    *ret_key = 5;
    *ret_ascq = 0x2000;
    if (lun >= FAKE_LUNS || (fake.refuse && cdb[0] == fake.refuse) ||
        !execute(&fake.units[lun], cdb, buf, len, ret_got))
        return 2;
    return 0;
}

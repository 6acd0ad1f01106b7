/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads LUKS headers for "info": the binary header of version 1, and the JSON area of version 2,
 * which is after the binary header (4096 bytes). The checksum of version 2 is not verified, and
 * only the first copy of its header is read, because the result decrypts no data. All sizes and
 * offsets are untrusted. The JSON area is read only up to 4 MiB. The first problem is kept.
 */
#include <stdio.h>
#include <string.h>

#include <base/i18n.h>
#include <base/json.h>

#include "bytes.h"
#include "format.h"
#include "luksheader.h"

#define V1_LEN   592u
#define V1_SLOTS 8u
#define ENABLED  0x00ac71f3u
#define DISABLED 0x0000deadu

#define V2_BINARY_LEN 4096u
#define V2_MAX_LEN    (4u << 20)

static void luks_note_problem(CstImageLuks *luks, const char *problem)
{
    if (!luks->problem)
        luks->problem = g_strdup(problem);
}

void cst_image_luks_clear(CstImageLuks *luks)
{
    g_free(luks->cipher);
    g_free(luks->mode);
    g_free(luks->ivgen);
    g_free(luks->ivgen_hash);
    g_free(luks->hash);
    g_free(luks->uuid);
    g_free(luks->label);
    g_free(luks->problem);
    memset(luks, 0, sizeof(*luks));
}

/* Splits a mode such as "xts-plain64", "cbc-essiv:sha256" or "ecb". */
static void split_mode(CstImageLuks *luks, const char *text)
{
    const char *dash = strchr(text, '-'), *colon = dash ? strchr(dash, ':') : NULL;

    luks->mode = g_strndup(text, dash ? (gsize)(dash - text) : strlen(text));
    if (!dash)
        return;
    dash++;
    luks->ivgen = g_strndup(dash, colon ? (gsize)(colon - dash) : strlen(dash));
    if (colon)
        luks->ivgen_hash = g_strdup(colon + 1);
}

static void set_key_bytes(CstImageLuks *luks, uint32_t bytes)
{
    if (bytes > 512)
        luks_note_problem(luks, _("the LUKS key has a bad size"));
    else
        luks->key_bits = bytes * 8 / (g_strcmp0(luks->mode, "xts") == 0 ? 2 : 1);
}

/* --- version 1 -------------------------------------------------------------------------------- */

static char *text_at(const uint8_t *raw, size_t len)
{
    return g_strndup((const char *)raw, len);
}

static void read_slot(CstImageLuks *luks, const uint8_t *raw)
{
    CstLuksSlot *slot = &luks->slots[luks->slot_count++];

    if (cst_be32(raw) != ENABLED && cst_be32(raw) != DISABLED)
        luks_note_problem(luks, _("a LUKS key slot has an unknown state"));
    slot->active = cst_be32(raw) == ENABLED;
    slot->offset = cst_be32(raw + 40) * UINT64_C(512);
    if (!slot->active)
        return;
    slot->iterations = cst_be32(raw + 4);
    slot->stripes = cst_be32(raw + 44);
    luks->active_slots++;
}

static void read_v1(const uint8_t *raw, CstImageLuks *luks)
{
    g_autofree char *mode = text_at(raw + 40, 32);

    luks->cipher = text_at(raw + 8, 32);
    split_mode(luks, mode);
    luks->hash = text_at(raw + 72, 32);
    luks->payload_offset = cst_be32(raw + 104) * UINT64_C(512);
    set_key_bytes(luks, cst_be32(raw + 108));
    luks->iterations = cst_be32(raw + 164);
    luks->uuid = text_at(raw + 168, 40);
    for (unsigned i = 0; i < V1_SLOTS; i++)
        read_slot(luks, raw + 208 + (size_t)i * 48);
}

/* --- version 2: mostly JSON ------------------------------------------------------------------- */

static void take_text(char **field, const char *value)
{
    if (!*field)
        *field = g_strdup(value);
}

/* Splits the encryption, such as "aes-xts-plain64". The first value counts. */
static void take_encryption(CstImageLuks *luks, const char *value)
{
    const char *dash = strchr(value, '-');

    if (luks->cipher)
        return;
    luks->cipher = g_strndup(value, dash ? (gsize)(dash - value) : strlen(value));
    if (dash)
        split_mode(luks, dash + 1);
}

/* State of the walk through the JSON area. Members of one key slot are adjacent there. A member of
 * slot "number" belongs to the last slot of luks, and another number begins a new slot. */
typedef struct {
    CstImageLuks *luks;
    int number;
    uint32_t key_bytes;
} Reading;

static void take_slot(Reading *reading, int number, const char *key, const char *value)
{
    CstImageLuks *luks = reading->luks;
    CstLuksSlot *slot;

    if (number != reading->number) {
        if (luks->slot_count == CST_LUKS_SLOTS)
            return;
        reading->number = number;
        luks->slots[luks->slot_count++].active = TRUE;
        luks->active_slots++;
    }
    slot = &luks->slots[luks->slot_count - 1];
    if (strcmp(key, "area.offset") == 0)
        slot->offset = g_ascii_strtoull(value, NULL, 10);
    else if (strcmp(key, "af.stripes") == 0)
        slot->stripes = (uint32_t)g_ascii_strtoull(value, NULL, 10);
    else if (strcmp(key, "key_size") == 0)
        reading->key_bytes = (uint32_t)MIN(g_ascii_strtoull(value, NULL, 10), UINT32_MAX);
}

static void luks_visit(const char *path, const char *value, gpointer data)
{
    Reading *reading = data;
    CstImageLuks *luks = reading->luks;
    int number = 0, used = 0;

    if (strcmp(path, "segments.0.offset") == 0)
        luks->payload_offset = g_ascii_strtoull(value, NULL, 10);
    else if (strcmp(path, "segments.0.encryption") == 0)
        take_encryption(luks, value);
    else if (strcmp(path, "digests.0.hash") == 0)
        take_text(&luks->hash, value);
    else if (sscanf(path, "keyslots.%5d.%n", &number, &used) == 1 && used > 0)
        take_slot(reading, number, path + used, value);
}

static void read_v2(CstInspection *inspection, uint64_t offset, uint64_t length, const uint8_t *raw,
                    CstImageLuks *luks)
{
    uint64_t size = cst_be64(raw + 8);
    Reading reading = {luks, -1, 0};
    g_autofree char *json = NULL;

    luks->label = text_at(raw + 24, 48);
    luks->uuid = text_at(raw + 168, 40);
    if (size <= V2_BINARY_LEN || size > V2_MAX_LEN || size > length) {
        luks_note_problem(luks, _("the LUKS header has a bad size"));
        return;
    }
    json = cst_inspection_string(inspection, offset + V2_BINARY_LEN, size - V2_BINARY_LEN);
    if (!json || !cst_json_walk(json, luks_visit, &reading)) {
        luks_note_problem(luks, _("the LUKS header has no sound JSON"));
        return;
    }
    if (luks->payload_offset > inspection->size)
        luks_note_problem(luks, _("the LUKS payload lies outside the file"));
    set_key_bytes(luks, reading.key_bytes);
}

/* --- all versions ----------------------------------------------------------------------------- */

void cst_luks_read(CstInspection *inspection, uint64_t offset, uint64_t length, CstImageLuks *luks)
{
    uint8_t raw[V1_LEN];

    luks->version = 1;
    if (offset > inspection->size || length > inspection->size - offset || length < V1_LEN ||
        !cst_inspection_read(inspection, offset, raw, sizeof(raw)) ||
        memcmp(raw, "LUKS\xba\xbe", 6) != 0) {
        luks_note_problem(luks, _("the LUKS header is missing"));
        return;
    }
    luks->version = cst_be16(raw + 6);
    if (luks->version == 1)
        read_v1(raw, luks);
    else if (luks->version == 2)
        read_v2(inspection, offset, length, raw, luks);
    else
        luks_note_problem(luks, _("the LUKS header has an unknown version"));
}

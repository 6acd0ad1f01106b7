/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <string.h>

#include <base/i18n.h>

/*
 * What a LUKS header says, with qemu-img's members. It tells version 1 only; of version 2 the same
 * members are told where they mean the same.
 */

/** "aes-256": some ciphers come with their key's bits. */
static char *cipher_alg(const CstImageLuks *luks)
{
    static const char *const with_bits[] = {"aes", "serpent", "twofish", "cast5", NULL};

    if (!luks->cipher || luks->key_bits == 0 || !g_strv_contains(with_bits, luks->cipher))
        return g_strdup(luks->cipher);
    return g_strdup_printf("%s-%u", luks->cipher, luks->key_bits);
}

/* --- text ------------------------------------------------------------------------------------ */

static void print_if(CliCtl *ctl, unsigned depth, const char *label, const char *value)
{
    if (value)
        cli_image_print_at(ctl, depth, label, value);
}

static void print_slot(CliCtl *ctl, unsigned depth, const CstLuksSlot *slot)
{
    cli_image_print_at(ctl, depth, _("active"), slot->active ? "true" : "false");
    if (slot->active && slot->iterations)
        cli_image_print_number(ctl, depth, _("iters"), slot->iterations);
    cli_image_print_number(ctl, depth, _("key offset"), slot->offset);
    if (slot->active)
        cli_image_print_number(ctl, depth, _("stripes"), slot->stripes);
}

void cli_image_print_luks(CliCtl *ctl, unsigned depth, const CstImageLuks *luks)
{
    g_autofree char *cipher = cipher_alg(luks);
    g_autofree char *count =
        g_strdup_printf(_("%u of %u active"), luks->active_slots, luks->slot_count);

    cli_image_print_number(ctl, depth, _("version"), luks->version);
    print_if(ctl, depth, _("ivgen alg"), luks->ivgen);
    print_if(ctl, depth, _("ivgen hash alg"), luks->ivgen_hash);
    print_if(ctl, depth, _("hash alg"), luks->hash);
    print_if(ctl, depth, _("cipher alg"), cipher);
    print_if(ctl, depth, _("uuid"), luks->uuid);
    print_if(ctl, depth, _("label"), luks->label && *luks->label ? luks->label : NULL);
    print_if(ctl, depth, _("cipher mode"), luks->mode);
    cli_image_print_at(ctl, depth, _("slots"), count);
    for (unsigned i = 0; i < luks->slot_count; i++) {
        g_autofree char *index = g_strdup_printf("[%u]", i);

        cli_image_print_at(ctl, depth + 1, index, "");
        print_slot(ctl, depth + 2, &luks->slots[i]);
    }
    cli_image_print_number(ctl, depth, _("payload offset"), luks->payload_offset);
    if (luks->version == 1)
        cli_image_print_number(ctl, depth, _("master key iters"), luks->iterations);
    print_if(ctl, depth, _("damaged"), luks->problem);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void add_if(JsonBuilder *json, const char *key, const char *value)
{
    if (value)
        cli_json_add_string(json, key, value);
}

static void add_slot(JsonBuilder *json, const CstLuksSlot *slot)
{
    json_builder_begin_object(json);
    cli_json_add_bool(json, "active", slot->active);
    if (slot->active && slot->iterations)
        cli_json_add_size(json, "iters", slot->iterations);
    cli_json_add_size(json, "key-offset", slot->offset);
    if (slot->active)
        cli_json_add_size(json, "stripes", slot->stripes);
    json_builder_end_object(json);
}

void cli_image_add_luks(JsonBuilder *json, const CstImageLuks *luks)
{
    g_autofree char *cipher = cipher_alg(luks);

    cli_json_add_size(json, "version", luks->version);
    add_if(json, "ivgen-alg", luks->ivgen);
    add_if(json, "ivgen-hash-alg", luks->ivgen_hash);
    add_if(json, "hash-alg", luks->hash);
    add_if(json, "cipher-alg", cipher);
    add_if(json, "uuid", luks->uuid);
    add_if(json, "label", luks->label && *luks->label ? luks->label : NULL);
    add_if(json, "cipher-mode", luks->mode);
    json_builder_set_member_name(json, "slots");
    json_builder_begin_array(json);
    for (unsigned i = 0; i < luks->slot_count; i++)
        add_slot(json, &luks->slots[i]);
    json_builder_end_array(json);
    cli_json_add_size(json, "payload-offset", luks->payload_offset);
    if (luks->version == 1)
        cli_json_add_size(json, "master-key-iters", luks->iterations);
    add_if(json, "problem", luks->problem);
}

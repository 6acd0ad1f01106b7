/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The facts of a LUKS header, with qemu-img's members. qemu-img describes only version 1. For
 * version 2, the members with the same meaning are shown.
 */
#include "image.h"

#include <base/i18n.h>

#include "output/sheet.h"

/** Return: the cipher, for some ciphers with the size of the key in bits, as in "aes-256". */
static char *cipher_alg(const CstImageLuks *luks)
{
    static const char *const with_bits[] = {"aes", "serpent", "twofish", "cast5", NULL};

    if (!luks->cipher || luks->key_bits == 0 || !g_strv_contains(with_bits, luks->cipher))
        return g_strdup(luks->cipher);
    return g_strdup_printf("%s-%u", luks->cipher, luks->key_bits);
}

static void add_slots(CliSheet *sheet, const CstImageLuks *luks)
{
    g_autofree char *count =
        g_strdup_printf(_("%u of %u active"), luks->active_slots, luks->slot_count);

    cli_sheet_begin_list(sheet, "slots", _("slots"), count);
    for (unsigned i = 0; i < luks->slot_count; i++) {
        const CstLuksSlot *slot = &luks->slots[i];
        const CliFact facts[] = {
            cli_fact_bool("active", N_("active"), TRUE, slot->active),
            cli_fact_number("iters", N_("iters"), slot->active && slot->iterations != 0,
                            slot->iterations),
            cli_fact_number("key-offset", N_("key offset"), TRUE, slot->offset),
            cli_fact_number("stripes", N_("stripes"), slot->active, slot->stripes),
        };

        cli_sheet_begin_item(sheet, i);
        cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
        cli_sheet_end_object(sheet);
    }
    cli_sheet_end_list(sheet);
}

void cli_image_add_luks(CliSheet *sheet, const CstImageLuks *luks)
{
    g_autofree char *cipher = cipher_alg(luks);
    const char *label = luks->label && *luks->label ? luks->label : NULL;
    const CliFact head[] = {
        cli_fact_number("version", N_("version"), TRUE, luks->version),
        cli_fact_text("ivgen-alg", N_("ivgen alg"), luks->ivgen),
        cli_fact_text("ivgen-hash-alg", N_("ivgen hash alg"), luks->ivgen_hash),
        cli_fact_text("hash-alg", N_("hash alg"), luks->hash),
        cli_fact_text("cipher-alg", N_("cipher alg"), cipher),
        cli_fact_text("uuid", N_("uuid"), luks->uuid),
        cli_fact_text("label", N_("label"), label),
        cli_fact_text("cipher-mode", N_("cipher mode"), luks->mode),
    };
    const CliFact tail[] = {
        cli_fact_number("payload-offset", N_("payload offset"), TRUE, luks->payload_offset),
        cli_fact_number("master-key-iters", N_("master key iters"), luks->version == 1,
                        luks->iterations),
        cli_fact_text("problem", N_("damaged"), luks->problem),
    };

    cli_sheet_add(sheet, head, G_N_ELEMENTS(head));
    add_slots(sheet, luks);
    cli_sheet_add(sheet, tail, G_N_ELEMENTS(tail));
}

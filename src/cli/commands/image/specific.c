/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The format-specific part of image-info, with qemu-img's members. */
#include "image.h"

#include <string.h>

#include <base/i18n.h>
#include <image/bitmap.h>

#include "output/sheet.h"
#include "output/text.h"

#define FACTS 12u

static void specific_facts_collect(const CstImageInfo *info, CliFact *ret_facts)
{
    gboolean is_qcow2 = info->compat != NULL, is_v3 = g_strcmp0(info->compat, "1.1") == 0;
    const char *compression = is_qcow2 ? info->compression : NULL;
    const char *data_file = is_qcow2 ? info->data_file : NULL;
    const CliFact facts[FACTS] = {
        cli_fact_text("subformat", N_("subformat"), info->subformat),
        cli_fact_number("cid", N_("cid"), info->has_cid, info->cid),
        cli_fact_number("parent-cid", N_("parent cid"), info->has_cid, info->parent_cid),
        cli_fact_text("create-type", N_("create type"), info->has_cid ? info->subformat : NULL),
        cli_fact_text("compat", N_("compat"), info->compat),
        cli_fact_text("compression-type", N_("compression type"), compression),
        cli_fact_bool("lazy-refcounts", N_("lazy refcounts"), is_v3, info->lazy_refcounts),
        cli_fact_number("refcount-bits", N_("refcount bits"), info->refcount_bits != 0,
                        info->refcount_bits),
        cli_fact_text("data-file", N_("data file"), data_file),
        cli_fact_bool("data-file-raw", N_("data file raw"), data_file != NULL, info->data_file_raw),
        cli_fact_bool("corrupt", N_("corrupt"), is_v3, info->marked_corrupt),
        cli_fact_bool("extended-l2", N_("extended l2"), is_v3, info->extended_l2),
    };

    memcpy(ret_facts, facts, sizeof(facts));
}

/* The flags have the names of qemu-img. */
static void add_flags(CliSheet *sheet, const CstImageBitmap *bitmap)
{
    unsigned count = 0;

    cli_sheet_begin_list(sheet, "flags", _("flags"), "");
    if (bitmap->inconsistent)
        cli_sheet_add_item(sheet, count++, "in-use");
    if (bitmap->enabled)
        cli_sheet_add_item(sheet, count, "auto");
    cli_sheet_end_list(sheet);
}

static void add_bitmaps(CliSheet *sheet, const GPtrArray *bitmaps)
{
    cli_sheet_begin_list(sheet, "bitmaps", _("bitmaps"), "");
    for (guint i = 0; i < bitmaps->len; i++) {
        const CstImageBitmap *bitmap = g_ptr_array_index(bitmaps, i);
        const CliFact facts[] = {
            cli_fact_text("name", N_("name"), bitmap->name),
            cli_fact_number("granularity", N_("granularity"), TRUE, bitmap->granularity),
        };

        cli_sheet_begin_item(sheet, i);
        if (!sheet->json.text) /* the order of qemu-img's text */
            add_flags(sheet, bitmap);
        cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
        if (sheet->json.text)
            add_flags(sheet, bitmap);
        cli_sheet_end_object(sheet);
    }
    cli_sheet_end_list(sheet);
}

static void add_extents(CliSheet *sheet, const GPtrArray *extents)
{
    cli_sheet_begin_list(sheet, "extents", _("extents"), "");
    for (guint i = 0; i < extents->len; i++) {
        const CstImagePart *part = g_ptr_array_index(extents, i);
        const CliFact facts[] = {
            cli_fact_bool("compressed", N_("compressed"), part->compressed, TRUE),
            cli_fact_number("virtual-size", N_("virtual size"), TRUE, part->capacity),
            cli_fact_text("filename", N_("filename"), part->file),
            cli_fact_number("cluster-size", N_("cluster size"), part->cluster_size != 0,
                            part->cluster_size),
            cli_fact_text("format", N_("format"), part->kind),
        };

        cli_sheet_begin_item(sheet, i);
        cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
        cli_sheet_end_object(sheet);
    }
    cli_sheet_end_list(sheet);
}

/**
 * Add the LUKS facts. A LUKS container has only these facts. For LUKS inside another format, they
 * are in a separate object.
 */
static void add_luks(CliSheet *sheet, const CliImageSpecific *specific)
{
    const CliFact format = cli_fact_text("format", N_("format"), "luks");

    if (cst_image_format_is_container(specific->info->format)) {
        cli_image_add_luks(sheet, specific->luks);
        return;
    }
    cli_sheet_begin_object(sheet, "encrypt", _("encrypt"));
    cli_sheet_add(sheet, &format, 1);
    cli_image_add_luks(sheet, specific->luks);
    cli_sheet_end_object(sheet);
}

static void specific_begin_object(CliSheet *sheet, const CstImageInfo *info)
{
    const CliFact type = cli_fact_text("type", NULL, cst_image_format_name(info->format));

    cli_print_lines(sheet->ctl, _("Format specific information:\n"));
    cli_sheet_begin_object(sheet, "format-specific", NULL);
    cli_sheet_add(sheet, &type, 1);
    cli_sheet_begin_object(sheet, "data", NULL);
    sheet->depth--; /* text shows only one of the two levels */
}

static void specific_end_object(CliSheet *sheet)
{
    sheet->depth++;
    cli_sheet_end_object(sheet);
    cli_sheet_end_object(sheet);
}

static gboolean is_any(const GPtrArray *list)
{
    return list && list->len > 0;
}

void cli_image_add_specific(CliSheet *sheet, const CliImageSpecific *specific)
{
    gboolean has_luks = specific->luks && specific->luks->version != 0;
    CliFact facts[FACTS];

    specific_facts_collect(specific->info, facts);
    /* A single extent file of a VMDK image may have no facts except its extent. */
    if (!cli_facts_any_known(facts, FACTS) && !has_luks && !is_any(specific->bitmaps) &&
        !is_any(specific->parts))
        return;
    specific_begin_object(sheet, specific->info);
    cli_sheet_add(sheet, facts, FACTS);
    if (has_luks)
        add_luks(sheet, specific);
    if (is_any(specific->bitmaps))
        add_bitmaps(sheet, specific->bitmaps);
    if (is_any(specific->parts))
        add_extents(sheet, specific->parts);
    specific_end_object(sheet);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <string.h>

#include <base/i18n.h>
#include <image/bitmap.h>

#include "table.h"

/*
 * What only some formats have to say of an image. The members are qemu-img's; its text says the
 * same words with spaces.
 */
typedef struct {
    const char *key;
    const char *label;
    gboolean is_known;
    enum { FACT_TEXT, FACT_NUMBER, FACT_BOOL } kind;
    const char *text;
    uint64_t number; /* FACT_BOOL: 0 or 1 */
} Fact;

#define FACTS 12u

static unsigned collect(const CstImageInfo *info, Fact *facts)
{
    gboolean is_qcow2 = info->compat != NULL, is_v3 = g_strcmp0(info->compat, "1.1") == 0;
    const char *data_file = is_qcow2 ? info->data_file : NULL;
    const Fact all[FACTS] = {
        {"subformat", N_("subformat"), info->subformat != NULL, FACT_TEXT, info->subformat, 0},
        {"cid", N_("cid"), info->has_cid, FACT_NUMBER, NULL, info->cid},
        {"parent-cid", N_("parent cid"), info->has_cid, FACT_NUMBER, NULL, info->parent_cid},
        {"create-type", N_("create type"), info->has_cid && info->subformat, FACT_TEXT,
         info->subformat, 0},
        {"compat", N_("compat"), is_qcow2, FACT_TEXT, info->compat, 0},
        {"compression-type", N_("compression type"), is_qcow2 && info->compression, FACT_TEXT,
         info->compression, 0},
        {"lazy-refcounts", N_("lazy refcounts"), is_v3, FACT_BOOL, NULL, info->lazy_refcounts},
        {"refcount-bits", N_("refcount bits"), info->refcount_bits != 0, FACT_NUMBER, NULL,
         info->refcount_bits},
        {"data-file", N_("data file"), data_file != NULL, FACT_TEXT, data_file, 0},
        {"data-file-raw", N_("data file raw"), data_file != NULL, FACT_BOOL, NULL,
         info->data_file_raw},
        {"corrupt", N_("corrupt"), is_v3, FACT_BOOL, NULL, info->marked_corrupt},
        {"extended-l2", N_("extended l2"), is_v3, FACT_BOOL, NULL, info->extended_l2},
    };
    unsigned count = 0;

    for (unsigned i = 0; i < FACTS; i++)
        if (all[i].is_known)
            facts[count++] = all[i];
    return count;
}

/* --- text ------------------------------------------------------------------------------------ */

/** A line; what an image says of itself may hold anything and is escaped. */
void cli_image_print_at(CliCtl *ctl, unsigned depth, const char *label, const char *value)
{
    size_t width;
    g_autofree char *shown = cli_table_encode(value, &width);

    cli_print(ctl, "%*s%s:%s%s\n", (int)depth * 4, "", label, *shown ? " " : "", shown);
}

void cli_image_print_number(CliCtl *ctl, unsigned depth, const char *label, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);

    cli_image_print_at(ctl, depth, label, text);
}

static void print_index(CliCtl *ctl, guint index)
{
    g_autofree char *text = g_strdup_printf("[%u]", index);

    cli_image_print_at(ctl, 2, text, "");
}

static void print_bitmaps(CliCtl *ctl, const GPtrArray *bitmaps)
{
    cli_image_print_at(ctl, 1, _("bitmaps"), "");
    for (guint i = 0; i < bitmaps->len; i++) {
        const CstImageBitmap *bitmap = g_ptr_array_index(bitmaps, i);
        unsigned flag = 0;

        print_index(ctl, i);
        cli_image_print_at(ctl, 3, _("flags"), "");
        if (bitmap->inconsistent)
            cli_print(ctl, "%16s[%u]: in-use\n", "", flag++);
        if (bitmap->enabled)
            cli_print(ctl, "%16s[%u]: auto\n", "", flag);
        cli_image_print_at(ctl, 3, _("name"), bitmap->name);
        cli_image_print_number(ctl, 3, _("granularity"), bitmap->granularity);
    }
}

static void print_extents(CliCtl *ctl, const GPtrArray *extents)
{
    cli_image_print_at(ctl, 1, _("extents"), "");
    for (guint i = 0; i < extents->len; i++) {
        const CstImagePart *part = g_ptr_array_index(extents, i);

        print_index(ctl, i);
        if (part->compressed)
            cli_image_print_at(ctl, 3, _("compressed"), "true");
        cli_image_print_number(ctl, 3, _("virtual size"), part->capacity);
        cli_image_print_at(ctl, 3, _("filename"), part->file);
        if (part->cluster_size)
            cli_image_print_number(ctl, 3, _("cluster size"), part->cluster_size);
        cli_image_print_at(ctl, 3, _("format"), part->kind);
    }
}

static gboolean has_luks(const CliImageSpecific *specific)
{
    return specific->luks && specific->luks->version != 0;
}

/** A container of its own, not one inside of another format. */
static gboolean is_luks(const CliImageSpecific *specific)
{
    return strcmp(cst_image_format_name(specific->info->format), "luks") == 0;
}

static gboolean is_any(const GPtrArray *list)
{
    return list && list->len > 0;
}

/** @count: of facts. A part of a VMDK image that is looked at alone has an extent, and no facts. */
static gboolean has_any(const CliImageSpecific *specific, unsigned count)
{
    return count > 0 || has_luks(specific) || is_any(specific->bitmaps) || is_any(specific->parts);
}

static void print_luks(CliCtl *ctl, const CliImageSpecific *specific)
{
    if (is_luks(specific)) {
        cli_image_print_luks(ctl, 1, specific->luks);
        return;
    }
    cli_image_print_at(ctl, 1, _("encrypt"), "");
    cli_image_print_at(ctl, 2, _("format"), "luks");
    cli_image_print_luks(ctl, 2, specific->luks);
}

void cli_image_print_specific(CliCtl *ctl, const CliImageSpecific *specific)
{
    Fact facts[FACTS];
    unsigned count = collect(specific->info, facts);

    if (has_any(specific, count))
        cli_print(ctl, "%s", _("Format specific information:\n"));
    for (unsigned i = 0; i < count; i++) {
        const Fact *fact = &facts[i];

        if (fact->kind == FACT_NUMBER)
            cli_image_print_number(ctl, 1, _(fact->label), fact->number);
        else
            cli_image_print_at(ctl, 1, _(fact->label),
                               fact->kind == FACT_TEXT ? fact->text
                               : fact->number          ? "true"
                                                       : "false");
    }
    if (has_luks(specific))
        print_luks(ctl, specific);
    if (is_any(specific->bitmaps))
        print_bitmaps(ctl, specific->bitmaps);
    if (is_any(specific->parts))
        print_extents(ctl, specific->parts);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void begin_array(JsonBuilder *json, const char *key)
{
    json_builder_set_member_name(json, key);
    json_builder_begin_array(json);
}

static void add_extents(JsonBuilder *json, const GPtrArray *parts)
{
    begin_array(json, "extents");
    for (guint i = 0; i < parts->len; i++) {
        const CstImagePart *part = g_ptr_array_index(parts, i);

        json_builder_begin_object(json);
        if (part->compressed)
            cli_json_add_bool(json, "compressed", TRUE);
        cli_json_add_size(json, "virtual-size", part->capacity);
        cli_json_add_string(json, "filename", part->file);
        if (part->cluster_size)
            cli_json_add_size(json, "cluster-size", part->cluster_size);
        cli_json_add_string(json, "format", part->kind);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static void add_luks(JsonBuilder *json, const CliImageSpecific *specific)
{
    if (is_luks(specific)) {
        cli_image_add_luks(json, specific->luks);
        return;
    }
    json_builder_set_member_name(json, "encrypt");
    json_builder_begin_object(json);
    cli_json_add_string(json, "format", "luks");
    cli_image_add_luks(json, specific->luks);
    json_builder_end_object(json);
}

void cli_image_add_specific(JsonBuilder *json, const CliImageSpecific *specific)
{
    Fact facts[FACTS];
    unsigned count = collect(specific->info, facts);

    if (!has_any(specific, count))
        return;
    json_builder_set_member_name(json, "format-specific");
    json_builder_begin_object(json);
    cli_json_add_string(json, "type", cst_image_format_name(specific->info->format));
    json_builder_set_member_name(json, "data");
    json_builder_begin_object(json);
    for (unsigned i = 0; i < count; i++) {
        const Fact *fact = &facts[i];

        if (fact->kind == FACT_TEXT)
            cli_json_add_string(json, fact->key, fact->text);
        else if (fact->kind == FACT_NUMBER)
            cli_json_add_size(json, fact->key, fact->number);
        else
            cli_json_add_bool(json, fact->key, fact->number != 0);
    }
    if (has_luks(specific))
        add_luks(json, specific);
    if (is_any(specific->bitmaps))
        cli_image_add_bitmaps(json, specific->bitmaps);
    if (is_any(specific->parts))
        add_extents(json, specific->parts);
    json_builder_end_object(json);
    json_builder_end_object(json);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "facts.h"

#include <base/i18n.h>

#include "json.h"
#include "table.h"
#include "text.h"

#define STEP 4 /* columns */

/* --- text ------------------------------------------------------------------------------------ */

static void print_line(CliFactSheet *sheet, const char *label, const char *value)
{
    size_t width;
    g_autofree char *shown = cli_table_encode(value, &width);

    cli_print(sheet->ctl, "%*s%s:%s%s\n", (int)sheet->depth * STEP, "", label, *shown ? " " : "",
              shown);
}

static void print_item(CliFactSheet *sheet, unsigned index, const char *value)
{
    g_autofree char *label = g_strdup_printf("[%u]", index);

    print_line(sheet, label, value);
}

static void print_fact(CliFactSheet *sheet, const CliFact *fact)
{
    g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, fact->number);
    const char *word = fact->number ? "true" : "false";

    print_line(sheet, _(fact->label),
               fact->kind == CLI_FACT_TEXT     ? fact->text
               : fact->kind == CLI_FACT_NUMBER ? digits
                                               : word);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void add_fact(JsonBuilder *json, const CliFact *fact)
{
    if (fact->kind == CLI_FACT_TEXT)
        cli_json_add_string(json, fact->key, fact->text);
    else if (fact->kind == CLI_FACT_NUMBER)
        cli_json_add_size(json, fact->key, fact->number);
    else
        cli_json_add_bool(json, fact->key, fact->number != 0);
}

/* --- either ---------------------------------------------------------------------------------- */

void cli_facts_tell(CliFactSheet *sheet, const CliFact *facts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (facts[i].is_known && sheet->json)
            add_fact(sheet->json, &facts[i]);
        else if (facts[i].is_known)
            print_fact(sheet, &facts[i]);
}

gboolean cli_facts_any_known(const CliFact *facts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (facts[i].is_known)
            return TRUE;
    return FALSE;
}

void cli_facts_begin_object(CliFactSheet *sheet, const char *key, const char *label)
{
    if (sheet->json) {
        cli_json_add_member(sheet->json, key);
        json_builder_begin_object(sheet->json);
    } else {
        print_line(sheet, label, "");
    }
    sheet->depth++;
}

void cli_facts_end_object(CliFactSheet *sheet)
{
    if (sheet->json)
        json_builder_end_object(sheet->json);
    sheet->depth--;
}

void cli_facts_begin_list(CliFactSheet *sheet, const char *key, const char *label,
                          const char *summary)
{
    if (sheet->json) {
        cli_json_add_member(sheet->json, key);
        json_builder_begin_array(sheet->json);
    } else {
        print_line(sheet, label, summary);
    }
    sheet->depth++;
}

void cli_facts_begin_item(CliFactSheet *sheet, unsigned index)
{
    if (sheet->json)
        json_builder_begin_object(sheet->json);
    else
        print_item(sheet, index, "");
    sheet->depth++;
}

void cli_facts_tell_item(CliFactSheet *sheet, unsigned index, const char *word)
{
    if (sheet->json)
        json_builder_add_string_value(sheet->json, word);
    else
        print_item(sheet, index, word);
}

void cli_facts_end_list(CliFactSheet *sheet)
{
    if (sheet->json)
        json_builder_end_array(sheet->json);
    sheet->depth--;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Facts about one object, as lines of text or as one JSON object. The code that adds facts is the
 * same for both. Text is printed at once. JSON is collected and printed at the end, so that a
 * failure never leaves a partial object.
 */
#include "sheet.h"

#include <base/i18n.h>

#include "json.h"
#include "text.h"
#include "width.h"

#define STEP 4 /* columns of indentation per level */

void cli_sheet_begin(CliSheet *sheet, CliCtl *ctl)
{
    *sheet = (CliSheet){.ctl = ctl};
    if (ctl->settings.json)
        cli_json_begin(&sheet->json);
}

void cli_sheet_end(CliSheet *sheet)
{
    cli_sheet_end_on(sheet, sheet->ctl->out);
}

void cli_sheet_end_on(CliSheet *sheet, FILE *stream)
{
    if (sheet->json.text)
        cli_json_end(&sheet->json, stream);
}

void cli_sheet_clear(CliSheet *sheet)
{
    cli_json_clear(&sheet->json);
}

/* --- text ------------------------------------------------------------------------------------ */

static void print_line(CliSheet *sheet, const char *label, const char *value)
{
    size_t width;
    g_autofree char *shown = cli_table_encode(value, &width);
    g_autofree char *padded = sheet->label_width ? cli_text_pad(label, sheet->label_width) : NULL;

    if (padded)
        cli_print(sheet->ctl, "%s %s\n", padded, value);
    else
        cli_print(sheet->ctl, "%*s%s:%s%s\n", (int)sheet->depth * STEP, "", label,
                  *shown ? " " : "", shown);
}

static void print_fact(CliSheet *sheet, const CliFact *fact)
{
    g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, fact->number);
    const char *value = fact->kind == CLI_FACT_TEXT     ? fact->text
                        : fact->kind == CLI_FACT_NUMBER ? digits
                        : fact->number                  ? "true"
                                                        : "false";

    if (value)
        print_line(sheet, _(fact->label), value);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void add_fact(CliJson *json, const CliFact *fact)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];

    switch (fact->kind) {
    case CLI_FACT_TEXT: cli_json_add_string(json, fact->key, fact->text); break;
    case CLI_FACT_NUMBER: cli_json_add_number(json, fact->key, fact->number); break;
    case CLI_FACT_BOOL: cli_json_add_bool(json, fact->key, fact->number != 0); break;
    case CLI_FACT_REAL:
        cli_json_add_spelt(json, fact->key, g_ascii_dtostr(digits, sizeof(digits), fact->real));
        break;
    }
}

/* --- text or JSON ---------------------------------------------------------------------------- */

void cli_sheet_add(CliSheet *sheet, const CliFact *facts, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!facts[i].is_known)
            continue;
        if (sheet->json.text && facts[i].key)
            add_fact(&sheet->json, &facts[i]);
        else if (!sheet->json.text && facts[i].label)
            print_fact(sheet, &facts[i]);
    }
}

void cli_sheet_print(CliCtl *ctl, const CliFact *facts, unsigned count)
{
    CliSheet sheet;

    cli_sheet_begin(&sheet, ctl);
    cli_sheet_add(&sheet, facts, count);
    cli_sheet_end(&sheet);
}

void cli_sheet_print_json(CliCtl *ctl, FILE *stream, const CliFact *facts, unsigned count)
{
    CliSheet sheet;

    if (!ctl->settings.json)
        return;
    cli_sheet_begin(&sheet, ctl);
    cli_sheet_add(&sheet, facts, count);
    cli_sheet_end_on(&sheet, stream);
}

gboolean cli_facts_any_known(const CliFact *facts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (facts[i].is_known)
            return TRUE;
    return FALSE;
}

void cli_sheet_add_table(CliSheet *sheet, const char *key, const CliTable *table)
{
    if (sheet->json.text)
        cli_table_add_json(table, &sheet->json, key);
    else
        cli_table_print(sheet->ctl, table, key);
}

static void sheet_open_level(CliSheet *sheet, const char *key, char bracket, const char *label,
                             const char *summary)
{
    if (sheet->json.text)
        cli_json_open(&sheet->json, key, bracket);
    else if (label)
        print_line(sheet, label, summary);
    sheet->depth++;
}

static void sheet_close_level(CliSheet *sheet, char bracket)
{
    if (sheet->json.text)
        cli_json_close(&sheet->json, bracket);
    sheet->depth--;
}

void cli_sheet_begin_object(CliSheet *sheet, const char *key, const char *label)
{
    sheet_open_level(sheet, key, '{', label, "");
}

void cli_sheet_end_object(CliSheet *sheet)
{
    sheet_close_level(sheet, '}');
}

void cli_sheet_begin_list(CliSheet *sheet, const char *key, const char *label, const char *summary)
{
    sheet_open_level(sheet, key, '[', label, summary);
}

void cli_sheet_begin_item(CliSheet *sheet, unsigned index)
{
    g_autofree char *label = g_strdup_printf("[%u]", index);

    sheet_open_level(sheet, NULL, '{', label, "");
}

void cli_sheet_add_item(CliSheet *sheet, unsigned index, const char *word)
{
    g_autofree char *label = g_strdup_printf("[%u]", index);

    if (sheet->json.text)
        cli_json_add_string(&sheet->json, NULL, word);
    else
        print_line(sheet, label, word);
}

void cli_sheet_end_list(CliSheet *sheet)
{
    sheet_close_level(sheet, ']');
}

void cli_sheet_add_words(CliSheet *sheet, const char *key, const GPtrArray *words)
{
    if (!sheet->json.text)
        return;
    cli_json_open(&sheet->json, key, '[');
    for (guint i = 0; i < words->len; i++)
        cli_json_add_string(&sheet->json, NULL, g_ptr_array_index(words, i));
    cli_json_close(&sheet->json, ']');
}

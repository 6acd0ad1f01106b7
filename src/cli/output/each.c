/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs one command for several objects. Each run ends as it would alone, with a sentence or an
 * error. JSON output is one document, so the results become the items of a list. The plans of a dry
 * run are joined, one on each line.
 */
#include "each.h"

#include <base/error.h>
#include <base/i18n.h>

#include "confirm.h"
#include "output/text.h"
#include "report.h"

/* State of a run over several objects. */
typedef struct {
    CliCtl *ctl;
    const CliEach *each;
    CliSheet sheet; /* used for JSON */
    GString *plans;
    GError *last; /* error of the last run that failed */
    guint failed;
} Run;

/* Return: POOL/NAME of @thing, or only its name. */
static char *full_name(const CliEach *each, gconstpointer thing)
{
    const char *pool = NULL, *name;

    each->name(thing, &pool, &name);
    return pool ? g_strdup_printf("%s/%s", pool, name) : g_strdup(name);
}

static char *each_names_text(const CliEach *each, const GPtrArray *things)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < things->len; i++) {
        g_autofree char *name = full_name(each, things->pdata[i]);

        g_string_append_printf(names, "%s%s", i ? ", " : "", name);
    }
    return g_string_free(names, FALSE);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* Ask once. The answer applies to all objects. */
static gboolean each_confirm_all(CliCtl *ctl, const CliEach *each, const GPtrArray *things,
                                 GError **error)
{
    g_autofree char *names = each->question ? each_names_text(each, things) : NULL;

    if (!names)
        return TRUE;
    if (!cli_confirm(ctl, error, _(each->question), things->len, names))
        return FALSE;
    ctl->settings.yes = TRUE;
    return TRUE;
}

#pragma GCC diagnostic pop

/* Add the names of @thing to the current item. */
static void each_add_names(Run *run, gconstpointer thing)
{
    const char *pool = NULL, *name;

    run->each->name(thing, &pool, &name);
    {
        const CliFact facts[] = {
            cli_fact_text("pool", NULL, pool),
            cli_fact_text(run->each->kind, NULL, name),
        };

        cli_sheet_add(&run->sheet, facts, G_N_ELEMENTS(facts));
    }
}

static void each_add_item(Run *run, gconstpointer thing, const GError *why)
{
    g_autofree char *problem = why ? cst_error_text(why) : NULL;
    const CliFact facts[] = {
        cli_fact_bool("done", NULL, TRUE, why == NULL && !run->ctl->settings.dry_run),
        cli_fact_nullable("problem", NULL, problem),
    };

    cli_sheet_begin_object(&run->sheet, NULL, NULL);
    each_add_names(run, thing);
    cli_sheet_add(&run->sheet, facts, G_N_ELEMENTS(facts));
    cli_sheet_end_object(&run->sheet);
}

/*
 * Add one object as an item. In JSON, an object that fails keeps the known facts and gets a
 * "problem".
 */
static void show_item(Run *run, const char *name, gconstpointer thing, gpointer data,
                      GError **ret_why)
{
    CliSheet *sheet = &run->sheet;
    g_autofree char *problem = NULL;

    cli_sheet_begin_object(sheet, NULL, sheet->label_width ? NULL : name);
    if (!run->each->object)
        each_add_names(run, thing);
    if (!run->each->show(sheet, thing, data, ret_why)) {
        const CliFact fact = cli_fact_text("problem", NULL, (problem = cst_error_text(*ret_why)));

        cli_sheet_add(sheet, &fact, 1);
    }
    cli_sheet_end_object(sheet);
}

/* Return: FALSE if the user cancelled this object, which cancels all later ones too. */
static gboolean each_run_object(Run *run, gconstpointer thing, gpointer data)
{
    CliCtl *ctl = run->ctl;
    g_autofree char *name = full_name(run->each, thing);
    g_autoptr(GError) why = NULL;

    if (run->each->show)
        show_item(run, name, thing, data, &why);
    else
        run->each->run(ctl, thing, data, &why);
    if (ctl->plan)
        g_string_append_printf(run->plans, "%s%s", run->plans->len ? "\n" : "", ctl->plan);
    g_clear_pointer(&ctl->plan, g_free);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN)) {
        g_clear_pointer(&ctl->headline, g_free);
        g_clear_error(&why);
    }
    if (!run->each->show)
        each_add_item(run, thing, why);
    if (!why)
        return TRUE;
    run->failed++;
    if (!ctl->headline)
        cli_failed(ctl, _("failed for %s"), name);
    cli_report_part(ctl, why);
    g_clear_error(&run->last);
    run->last = g_error_copy(why);
    return !g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED);
}

static gboolean each_finish_run(Run *run, guint count, GError **error)
{
    CliCtl *ctl = run->ctl;

    cli_sheet_end_list(&run->sheet);
    /* A dry run without failures ends with its plan. */
    if (run->plans->len && run->failed == 0)
        ctl->plan = g_strdup(run->plans->str);
    else
        cli_sheet_end(&run->sheet);
    cli_sheet_clear(&run->sheet);
    g_string_free(run->plans, TRUE);
    if (run->failed == 0)
        return TRUE;
    if (run->failed == count) {
        /* Each failure has already been reported with its object. */
        ctl->reported = !ctl->settings.json;
        g_propagate_error(error, run->last);
        return FALSE;
    }
    g_error_free(run->last);
    return cst_fail(error, CST_ERROR_PARTIAL, _("%u of %u failed"), run->failed, count);
}

/* Show the facts even if @each->show fails. Its error is then the error of the command. */
static gboolean show_alone(CliCtl *ctl, const CliEach *each, gconstpointer thing, gpointer data,
                           GError **error)
{
    g_auto(CliSheet) sheet = {0};
    g_autoptr(GError) why = NULL;

    cli_sheet_begin(&sheet, ctl);
    sheet.label_width = each->label_width;
    if (each->object)
        cli_sheet_begin_object(&sheet, each->object, NULL);
    each->show(&sheet, thing, data, &why);
    if (each->object)
        cli_sheet_end_object(&sheet);
    if (!why || g_error_matches(why, CST_ERROR, CST_ERROR_MISMATCH))
        cli_sheet_end(&sheet);
    if (why)
        g_propagate_error(error, g_error_copy(why));
    return why == NULL;
}

gboolean cli_each(CliCtl *ctl, const CliEach *each, const GPtrArray *things, gpointer data,
                  GError **error)
{
    Run run = {.ctl = ctl, .each = each};
    guint done = 0;

    if (things->len == 1)
        return each->show ? show_alone(ctl, each, things->pdata[0], data, error)
                          : each->run(ctl, things->pdata[0], data, error);
    if (cli_args_has(ctl->current, "detach"))
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--detach goes with one at a time"));
    if (!each_confirm_all(ctl, each, things, error))
        return FALSE;
    cli_sheet_begin(&run.sheet, ctl);
    run.sheet.label_width = each->label_width;
    cli_sheet_begin_list(&run.sheet, each->list, NULL, "");
    run.sheet.depth = 0; /* the list has no line in text output */
    run.plans = g_string_new(NULL);
    ctl->one_of_several = TRUE;
    while (done < things->len && each_run_object(&run, things->pdata[done], data)) {
        done++;
        if (each->show && done < things->len)
            cli_print(ctl, "\n");
    }
    ctl->one_of_several = FALSE;
    /* The objects after the cancelled one count as failed too. */
    if (done < things->len)
        run.failed += things->len - done - 1;
    return each_finish_run(&run, things->len, error);
}

void cli_each_add(GPtrArray *words, int index, const char *word)
{
    if (!g_ptr_array_find_with_equal_func(words, word, g_str_equal, NULL))
        g_ptr_array_insert(words, index, (gpointer)word);
}

GPtrArray *cli_each_word(const CliArgs *args, const char *first, GError **error)
{
    g_autoptr(GPtrArray) rest = cli_args_rest(args);
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    const char *word;

    if (!cli_args_string(args, first, &word, error))
        return NULL;
    g_ptr_array_insert(rest, 0, (gpointer)word);
    for (guint i = 0; i < rest->len; i++) {
        word = rest->pdata[i];
        if (!*word) {
            cst_fail(error, CST_ERROR_USAGE,
                     _("Failed to get option '%s': Option argument is empty"), "further");
            return NULL;
        }
        cli_each_add(words, -1, word);
    }
    return g_steal_pointer(&words);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The context in which a command of qemu-img calls the code of the image-* commands. A backing file
 * is followed, because qemu-img follows it. Questions are answered with yes, because scripts expect
 * none. The progress of -p is printed in qemu-img's form.
 */
#include "run.h"

#include <stdio.h>

static void show_progress(CliCtl *ctl, CstProgress progress)
{
    double percent = progress.total ? 100.0 * (double)progress.done / (double)progress.total : 0.0;

    fprintf(ctl->out, "    (%3.2f/100%%)\r", MIN(percent, 100.0));
    fflush(ctl->out);
}

void cli_qemu_run_init(CliQemuRun *run, const CliCommand *command, const CliQemuLine *line)
{
    const CliSettings settings = {.quiet = TRUE, .yes = TRUE, .no_input = TRUE, .no_config = TRUE};

    cli_ctl_init(&run->ctl, &settings, NULL);
    run->args = cli_args_new(command);
    run->ctl.current = run->args;
    if (cli_command_option(command, "backing-chain"))
        cli_qemu_run_set(run, "backing-chain", NULL);
    if (cli_qemu_has(line, 'U') && cli_command_option(command, "force-share"))
        cli_qemu_run_set(run, "force-share", NULL);
    if (cli_qemu_has(line, 'p') && !cli_qemu_has(line, 'q'))
        run->ctl.show_progress = show_progress;
}

void cli_qemu_run_clear(CliQemuRun *run)
{
    g_clear_pointer(&run->args, cli_args_free);
    cli_ctl_clear(&run->ctl);
}

void cli_qemu_run_set(CliQemuRun *run, const char *name, const char *value)
{
    const CliOption *option = cli_command_option(run->args->command, name);

    g_assert(option);
    cli_args_imply(run->args, option, value, NULL);
}

void cli_qemu_run_set_number(CliQemuRun *run, const char *name, guint64 value)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

    cli_qemu_run_set(run, name, text);
}

void cli_qemu_run_set_value(CliQemuRun *run, const char *name, const char *value)
{
    if (value)
        cli_qemu_run_set(run, name, value);
}

/* Appends @value to the list in @option. */
static void append_to_list(CliArgs *args, const CliOption *option, const char *value)
{
    for (guint i = 0; i < args->items->len; i++) {
        CliArg *item = &g_array_index(args->items, CliArg, i);

        if (item->option == option) {
            char *list = g_strjoin(",", item->value, value, NULL);

            g_free(item->value);
            item->value = list;
            return;
        }
    }
    cli_args_imply(args, option, value, NULL);
}

void cli_qemu_run_set_file(CliQemuRun *run, const char *name, const char *format,
                           const CliQemuFile *file)
{
    const CliOption *data_file = cli_command_option(run->args->command, "data-file");

    if (name)
        cli_qemu_run_set(run, name, file->path);
    if (format)
        cli_qemu_run_set_value(run, format, file->format);
    for (guint i = 0; data_file && file->data_files && i < file->data_files->len; i++)
        append_to_list(run->args, data_file, g_ptr_array_index(file->data_files, i));
}

gboolean cli_qemu_run(CliQemuRun *run, GError **error)
{
    gboolean ok, shows = run->ctl.show_progress != NULL;

    if (shows)
        show_progress(&run->ctl, (CstProgress){0});
    ok = run->args->command->handler(&run->ctl, run->args, error);
    if (shows && ok)
        show_progress(&run->ctl, (CstProgress){.done = 1, .total = 1});
    if (shows)
        fputc('\n', run->ctl.out);
    return ok;
}

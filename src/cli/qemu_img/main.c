/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cistern-qemu-img: the program under another name takes qemu-img's command line, prints its texts
 * and ends with its exit statuses. Messages are not translated, as in qemu-img.
 */
#include "qemu_img.h"

#include <stdio.h>
#include <string.h>

#include <base/log.h>

#include "commands.h"
#include "message.h"

static const CliQemuCommand *const commands[] = {
    &cli_qemu_amend,   &cli_qemu_bench,   &cli_qemu_bitmap,   &cli_qemu_check,  &cli_qemu_commit,
    &cli_qemu_compare, &cli_qemu_convert, &cli_qemu_create,   &cli_qemu_dd,     &cli_qemu_info,
    &cli_qemu_map,     &cli_qemu_measure, &cli_qemu_snapshot, &cli_qemu_rebase, &cli_qemu_resize,
};

gboolean cli_qemu_img_is_name(const char *program)
{
    g_autofree char *name = g_path_get_basename(program);

    return strcmp(name, "cistern-qemu-img") == 0 || strcmp(name, "qemu-img") == 0;
}

static void print_version(void)
{
    printf("qemu-img version 7.2.0 (Cistern %s)\n"
           "This program is Cistern. It takes the command lines of qemu-img 7.2.\n",
           CST_VERSION);
}

static void print_help(void)
{
    print_version();
    printf("usage: qemu-img [standard options] command [command options]\n\n"
           "    '-h', '--help'       display this help and exit\n"
           "    '-V', '--version'    output version information and exit\n"
           "    '-T', '--trace'      accepted without an effect\n\n"
           "Command syntax:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        printf("  %s %s\n", commands[i]->name, commands[i]->usage);
    printf("\nSupported formats: raw qcow2 qcow qed vdi vmdk vpc vhdx parallels\n"
           "See cistern-qemu-img(1) for the differences from qemu-img.\n");
}

/*
 * Runs @command. The last word of a resize is the size, which may begin with '-', so it is not
 * parsed as an option.
 */
static int run_command(const CliQemuCommand *command, int argc, char **argv)
{
    const int size_words = command->size_is_last ? 1 : 0;
    g_auto(CliQemuLine) line = {0};
    gboolean help;

    if (size_words && argc < 3 && !(argc == 2 && strcmp(argv[1], "--help") == 0))
        return !cli_qemu_usage("Not enough arguments");
    if (!cli_qemu_line_parse(argc > 2 ? argc - size_words : argc, argv, command->letters,
                             command->names, &line, &help))
        return 1;
    if (help) {
        print_help();
        return 0;
    }
    line.count += size_words;
    for (guint i = 0; i < line.items->len; i++)
        if (g_array_index(line.items, CliQemuItem, i).id == QEMU_OBJECT)
            return !cli_qemu_error("--object is not supported");
    return command->run(&line);
}

static int run_line(int argc, char **argv)
{
    static const struct option names[] = {
        QEMU_NAME_HELP,
        {"version", no_argument, NULL, 'V'},
        {"trace", required_argument, NULL, 'T'},
        {0},
    };
    int id;

    if (argc < 2)
        return !cli_qemu_usage("Not enough arguments");
    while ((id = getopt_long(argc, argv, "+:hVT:", names, NULL)) != -1) {
        switch (id) {
        case 'h': print_help(); return 0;
        case 'V': print_version(); return 0;
        case 'T': break;
        case ':': return !cli_qemu_usage("missing argument for option '%s'", argv[optind - 1]);
        default: return !cli_qemu_usage("unrecognized option '%s'", argv[optind - 1]);
        }
    }
    if (optind == argc)
        return !cli_qemu_usage("Not enough arguments");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if (strcmp(commands[i]->name, argv[optind]) == 0)
            return run_command(commands[i], argc - optind, argv + optind);
    return !cli_qemu_usage("Command not found: %s", argv[optind]);
}

int cli_qemu_img_main(int argc, char **argv)
{
    int status;

    cst_log_init();
    cst_log_set_level(CST_LOG_ERROR);
    status = run_line(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout))
        status = status ? status : 1;
    return status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "line.h"

/** A command of qemu-img. */
typedef struct {
    const char *name;
    const char *letters;        /**< for getopt_long(3) */
    const struct option *names; /**< for getopt_long(3) */
    const char *usage;          /**< the options in the help */
    gboolean size_is_last;      /**< the last word is a size, which may begin with '-' */
    /** Runs the command. Return: the exit status of the program. */
    int (*run)(const CliQemuLine *line);
} CliQemuCommand;

/* Each is defined in the file of its handler. */
extern const CliQemuCommand cli_qemu_amend;
extern const CliQemuCommand cli_qemu_bench;
extern const CliQemuCommand cli_qemu_bitmap;
extern const CliQemuCommand cli_qemu_check;
extern const CliQemuCommand cli_qemu_commit;
extern const CliQemuCommand cli_qemu_compare;
extern const CliQemuCommand cli_qemu_convert;
extern const CliQemuCommand cli_qemu_create;
extern const CliQemuCommand cli_qemu_dd;
extern const CliQemuCommand cli_qemu_info;
extern const CliQemuCommand cli_qemu_map;
extern const CliQemuCommand cli_qemu_measure;
extern const CliQemuCommand cli_qemu_rebase;
extern const CliQemuCommand cli_qemu_resize;
extern const CliQemuCommand cli_qemu_snapshot;

/** Rows that tables of long options share. */
#define QEMU_NAME_FORCE_SHARE                 \
    {                                         \
        "force-share", no_argument, NULL, 'U' \
    }
#define QEMU_NAME_HELP                 \
    {                                  \
        "help", no_argument, NULL, 'h' \
    }
#define QEMU_NAME_IMAGE_OPTS                             \
    {                                                    \
        "image-opts", no_argument, NULL, QEMU_IMAGE_OPTS \
    }
#define QEMU_NAME_OBJECT                               \
    {                                                  \
        "object", required_argument, NULL, QEMU_OBJECT \
    }
#define QEMU_NAME_OUTPUT                               \
    {                                                  \
        "output", required_argument, NULL, QEMU_OUTPUT \
    }

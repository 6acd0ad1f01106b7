/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Return: TRUE if the program was called as qemu-img. @program is argv[0]. */
gboolean cli_qemu_img_is_name(const char *program);
/** Runs the program as qemu-img. Return: the exit status. */
int cli_qemu_img_main(int argc, char **argv);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Runs the keeper of a block job, or its repair. @argc and @argv: of main(). */
void block_keeper_main(int argc, char **argv) G_GNUC_NORETURN;

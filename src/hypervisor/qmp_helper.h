/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Runs the helper process for a QMP monitor. @argc and @argv: of main(). */
void qmp_helper_main(int argc, char **argv) G_GNUC_NORETURN;

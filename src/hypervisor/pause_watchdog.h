/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pause_protocol.h"

/** Runs the watchdog of a pause. @argc and @argv: of main(). */
void pause_watchdog_main(int argc, char **argv) G_GNUC_NORETURN;

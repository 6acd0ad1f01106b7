/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * The manual page: @template is scdoc(5) text in which the lines @OPTIONS@, @COMMANDS@ and @EXIT@
 * are replaced by what the tables of options, commands and exit statuses say.
 */
char *cli_man_fill(const char *template);

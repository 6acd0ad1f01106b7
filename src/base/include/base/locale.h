/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Sets the directory of the translations: $CISTERN_LOCALE_DIR, else the build tree's if the program
 * runs from it, else the installed one.
 */
void cst_bind_locale(void);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Finds the translations: $CISTERN_LOCALE_DIR, else the build tree's when the program runs from it,
 * else those of the installation.
 */
void cst_bind_locale(void);

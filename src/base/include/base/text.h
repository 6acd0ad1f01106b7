/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Returns @text with each byte escaped ("\x1b") that is not part of a printable UTF-8 character, so
 * that text of others can stand in a message. g_free() it.
 */
char *cst_text_escape(const char *text);

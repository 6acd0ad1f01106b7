/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The severity of an event or of a finding. The numbers are part of the protocol and of the
 * databases.
 */
typedef enum {
    CST_SEVERITY_NOTE,    /**< worth knowing; no harm is in sight */
    CST_SEVERITY_WARNING, /**< will cause a failure if it stays */
    CST_SEVERITY_ERROR,   /**< a failure, a disk that cannot be used now, or content in danger */
    CST_SEVERITY_LAST
} CstSeverity;

/** Returns "note", "warning", "error", or "unknown". Stable, not translated. */
const char *cst_severity_word(int severity);
/** Sets *@ret_severity to the severity with this word. Returns FALSE for an unknown word. */
gboolean cst_severity_parse(const char *word, CstSeverity *ret_severity);

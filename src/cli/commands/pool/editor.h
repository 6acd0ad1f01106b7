/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Takes what the user made of the definition; FALSE with @error makes cli_edit() ask again. */
typedef gboolean (*CliEditApply)(CliCtl *ctl, const char *xml, gpointer data, GError **error);

/**
 * Lets the user edit @xml with $VISUAL, $EDITOR or vi, and hands the result to @apply. When that
 * fails and there is a terminal, asks whether to edit again. *ret_changed is FALSE, and @apply is
 * not called, when the text came back as it was.
 */
gboolean cli_edit(CliCtl *ctl, const char *xml, CliEditApply apply, gpointer data,
                  gboolean *ret_changed, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Applies the edited definition. FALSE with @error makes cli_edit() ask whether to edit again. */
typedef gboolean (*CliEditApply)(CliCtl *ctl, const char *xml, gpointer data, GError **error);

/**
 * Opens @xml in $VISUAL, $EDITOR or vi, and passes the result to @apply. If @apply fails and a
 * terminal is available, asks whether to edit again. If the text is unchanged, @apply is not called
 * and *ret_changed is FALSE.
 */
gboolean cli_edit(CliCtl *ctl, const char *xml, CliEditApply apply, gpointer data,
                  gboolean *ret_changed, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "volume_content.h"

/** A volume of another daemon, as the source of an import. */
typedef struct CliFarVolume CliFarVolume;

/**
 * Connects to @uri and looks at the volume @source ("POOL/VOL"), which stays borrowed; @how as
 * cli_vol_content_open() has it. USAGE for another form, NO_POOL, NO_VOL, whatever connecting ends
 * with.
 */
CliFarVolume *cli_far_volume_open(const CliCtl *ctl, const char *uri, const char *source,
                                  const CstImportHow *how, GError **error);
/** NULL is accepted. */
void cli_far_volume_free(CliFarVolume *far);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliFarVolume, cli_far_volume_free)

/** What its guest sees; borrowed. */
CliVolContent *cli_far_volume_content(const CliFarVolume *far);

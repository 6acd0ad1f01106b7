/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "volume_content.h"

/** A volume of another daemon, as the source of an import. */
typedef struct CliFarVolume CliFarVolume;

/**
 * Connects to @uri and finds the volume @source ("POOL/VOL"), which is borrowed. For @how see
 * cli_vol_content_open(). Fails with USAGE if @source has another form, with NO_POOL, NO_VOL, or
 * with an error of the connection.
 */
CliFarVolume *cli_far_volume_open(const CliCtl *ctl, const char *uri, const char *source,
                                  const CstImportHow *how, GError **error);
/** NULL is accepted. */
void cli_far_volume_free(CliFarVolume *far);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliFarVolume, cli_far_volume_free)

/** Returns the guest-visible content, borrowed. */
CliVolContent *cli_far_volume_content(const CliFarVolume *far);

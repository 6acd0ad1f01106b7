/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/** A volume of another daemon, as the source of an import. */
typedef struct CliFarVolume CliFarVolume;

/**
 * Connects to @uri and looks for the volume @source ("POOL/VOL"), which stays borrowed. USAGE for
 * another form, NO_POOL, NO_VOL, NO_SUPPORT by a stock server, whatever connecting ends with.
 */
CliFarVolume *cli_far_volume_open(const char *uri, const char *source, GError **error);
/** NULL is accepted. */
void cli_far_volume_free(CliFarVolume *far);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliFarVolume, cli_far_volume_free)

/** What comes after the pool in @source; NULL when that is no "POOL/VOL". */
const char *cli_far_volume_name(const char *source);
/** Bytes that a guest sees. */
uint64_t cli_far_volume_capacity(const CliFarVolume *far);
/**
 * Gives what a guest sees to @receive, of another connection. BUSY when the volume's size has
 * changed since. @task counts the bytes.
 */
gboolean cli_far_volume_send(const CliFarVolume *far, CstConnReceive *receive, CstTask *task,
                             GError **error);

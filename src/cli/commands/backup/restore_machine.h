/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/** Implements backup-restore --machine: the volumes of a domain, and its definition. */
gboolean cli_restore_machine(CliCtl *ctl, const CliArgs *args, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/** What qcow2.c puts into the format's table; each is described in format.h. */

gboolean qcow2_create(CstBlob *blob, const CstImageCreate *options, CstTask *task, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "reader.h"

/** A reader that gives @bytes in pieces of at most @step; @fails: it ends with an error. */
ImportReader *pieces_new(GBytes *bytes, size_t step, gboolean fails);

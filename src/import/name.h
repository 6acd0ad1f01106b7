/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** A name from an image or a server as it can be shown: control characters escaped. g_free() it. */
char *import_shown(const char *text);

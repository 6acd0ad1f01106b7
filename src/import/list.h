/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "checksum.h"

/**
 * Finds the checksum of the file @name in the text of a list, in coreutils' form ("HEX  name"),
 * BSD's ("SHA256 (name) = HEX") or that of OVF's manifests ("SHA256(name)= HEX"); @what names the
 * list. NOT_FOUND when it has none that counts: not of MD5, nor, unless @damage_only, of SHA-1,
 * which can be forged. MISMATCH when two lines contradict each other.
 */
gboolean import_list_find(const char *text, const char *name, const char *what,
                          gboolean damage_only, ImportChecksum *ret_checksum, GError **error);

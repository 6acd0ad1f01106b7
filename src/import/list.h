/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "checksum.h"

/**
 * Finds the checksum of the file @name in the text of a list, in coreutils' form ("HEX  name"),
 * BSD's ("SHA256 (name) = HEX") or that of openssl and OVF's manifests ("SHA256(name)= HEX",
 * "SHA2-256(name)= HEX"); @what names the list in messages.
 *
 * In a list, a line's directories are ignored ("./images/name"), and a text that is one digest and
 * no name counts for any file. In a @manifest, the whole path has to be equal, and SHA-1 counts.
 *
 * NOT_FOUND when no digest that counts is there: MD5 never does, and SHA-1, which can be forged,
 * only in a manifest. MISMATCH when two lines have different digests of one kind.
 */
gboolean import_list_find(const char *text, const char *name, const char *what, gboolean manifest,
                          ImportChecksum *ret_checksum, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "checksum.h"

/**
 * Finds the checksum of the file @name in the text of a list. Accepts the forms of coreutils ("HEX
 * name"), BSD ("SHA256 (name) = HEX"), and openssl and OVF manifests ("SHA256(name)= HEX",
 * "SHA2-256(name)= HEX"). @what names the list in messages.
 *
 * In a list, the directories of a line are ignored ("./images/name"), and a text with one digest
 * and no name applies to any file. In a @manifest, the whole path must match, and SHA-1 is
 * accepted.
 *
 * Fails with NOT_FOUND if there is no accepted digest. MD5 is never accepted. SHA-1 is accepted
 * only in a manifest, because it can be forged. Fails with MISMATCH if two lines have different
 * digests of one kind.
 */
gboolean import_list_find(const char *text, const char *name, const char *what, gboolean manifest,
                          ImportChecksum *ret_checksum, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

/** Length of libvirt's token: 16 random bytes in hexadecimal. */
#define CST_SYSTEM_TOKEN_LEN 32

/**
 * Whether @token is the one in run/libvirt/common/system.token, which the first of libvirt's
 * daemons writes and only this user's processes can read. FALSE too when the file is missing or
 * others than its owner may read or write it.
 */
gboolean cst_system_token_matches(const CstPaths *paths, const char *token);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

/** Length of libvirt's token: 16 random bytes in hexadecimal. */
#define CST_SYSTEM_TOKEN_LEN 32

/**
 * Whether @token equals the content of run/libvirt/common/system.token, which the first of
 * libvirt's daemons creates and only processes of this user can read. Returns FALSE also if the
 * file is missing, or is accessible to users other than its owner. The time of the comparison does
 * not depend on the position of the first difference.
 */
gboolean cst_system_token_matches(const CstPaths *paths, const char *token);

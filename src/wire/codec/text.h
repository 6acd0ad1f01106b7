/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <tirpc_library.h>

/**
 * As xdr_string(), for strings that are used as C strings. Decoding fails if the received bytes
 * contain a NUL, so that both sides see the same string.
 */
bool_t cst_xdr_string(XDR *xdr, char **text, u_int max);

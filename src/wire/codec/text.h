/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <rpc/rpc.h>

/**
 * xdr_string() for strings that are used as C strings: a NUL byte among those that were sent ends
 * the decoding, so that nothing is taken for less than what somebody else saw in it.
 */
bool_t cst_xdr_string(XDR *xdr, char **text, u_int max);

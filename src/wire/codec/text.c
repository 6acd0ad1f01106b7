/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strings in XDR. rpcgen's functions accept a NUL inside a string. C would then see a shorter
 * string than the peer sent, so such strings are rejected.
 */
#include "text.h"

#include <limits.h>
#include <string.h>

bool_t cst_xdr_string(XDR *xdr, char **text, u_int max)
{
    u_int start, len;

    /* Only decoding needs the check, and an XDR stream for freeing has no position. */
    if (xdr->x_op == XDR_ENCODE)
        return xdr_string(xdr, text, max);
    /* With @max, xdr_string() would not free a string that was too long and therefore not sent. */
    if (xdr->x_op == XDR_FREE)
        return xdr_string(xdr, text, UINT_MAX);
    /* Read the length and seek back, so that xdr_string() reads it again. */
    start = xdr_getpos(xdr);
    if (!xdr_u_int(xdr, &len) || !xdr_setpos(xdr, start) || !xdr_string(xdr, text, max))
        return FALSE;
    return strlen(*text) == len;
}

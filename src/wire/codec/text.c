/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strings in XDR. rpcgen's functions accept a NUL inside a string, and C would then see a shorter
 * one than the peer sent: such strings are refused.
 */
#include "text.h"

#include <limits.h>
#include <string.h>

bool_t cst_xdr_string(XDR *xdr, char **text, u_int max)
{
    u_int start, len;

    /* Only decoding needs the check, and an XDR stream that frees has no position. */
    if (xdr->x_op == XDR_ENCODE)
        return xdr_string(xdr, text, max);
    /* xdr_string() would not free what is too long, and was therefore not sent. */
    if (xdr->x_op == XDR_FREE)
        return xdr_string(xdr, text, UINT_MAX);
    /* Reads the length and goes back, for xdr_string() to read it again. */
    start = xdr_getpos(xdr);
    if (!xdr_u_int(xdr, &len) || !xdr_setpos(xdr, start) || !xdr_string(xdr, text, max))
        return FALSE;
    return strlen(*text) == len;
}

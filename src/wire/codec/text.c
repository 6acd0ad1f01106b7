/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text.h"

#include <string.h>

bool_t cst_xdr_string(XDR *xdr, char **text, u_int max)
{
    u_int start, len;

    /* A stream that frees has no position. */
    if (xdr->x_op != XDR_DECODE)
        return xdr_string(xdr, text, max);
    start = xdr_getpos(xdr);
    if (!xdr_u_int(xdr, &len) || !xdr_setpos(xdr, start) || !xdr_string(xdr, text, max))
        return FALSE;
    return strlen(*text) == len;
}

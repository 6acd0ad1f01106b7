/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XDR in memory (see the header).
 *
 * Decoding trusts no input. A count is compared with its limit and with the rest of the buffer
 * before memory is allocated: each element and each byte needs space in the buffer, so a short
 * packet cannot request much memory.
 */
#include <wire/xdr.h>

#include <stdlib.h>
#include <string.h>

#define UNIT 4U

static size_t xdr_left(const CstXdr *xdr)
{
    return (size_t)(xdr->end - xdr->at);
}

/* --- numbers --------------------------------------------------------------------------------- */

bool_t cst_xdr_u_int(CstXdr *xdr, u_int *value)
{
    uint32_t word;

    if (xdr->x_op == XDR_FREE || xdr->see)
        return TRUE;
    if (xdr_left(xdr) < UNIT)
        return FALSE;
    if (xdr->x_op == XDR_DECODE) {
        memcpy(&word, xdr->at, UNIT);
        *value = GUINT32_FROM_BE(word);
    } else {
        word = GUINT32_TO_BE(*value);
        memcpy(xdr->at, &word, UNIT);
    }
    xdr->at += UNIT;
    return TRUE;
}

bool_t cst_xdr_u_hyper(CstXdr *xdr, u_quad_t *value)
{
    u_int high = (u_int)(*value >> 32), low = (u_int)*value;

    if (!cst_xdr_u_int(xdr, &high) || !cst_xdr_u_int(xdr, &low))
        return FALSE;
    if (xdr->x_op == XDR_DECODE)
        *value = (u_quad_t)high << 32 | low;
    return TRUE;
}

bool_t cst_xdr_u_char(CstXdr *xdr, u_char *value)
{
    u_int word = *value;

    if (!cst_xdr_u_int(xdr, &word))
        return FALSE;
    *value = (u_char)word;
    return TRUE;
}

bool_t cst_xdr_char(CstXdr *xdr, char *value)
{
    u_int word = (u_int)(int)*value;

    if (!cst_xdr_u_int(xdr, &word))
        return FALSE;
    *value = (char)word;
    return TRUE;
}

bool_t cst_xdr_double(CstXdr *xdr, double *value)
{
    u_quad_t bits;

    memcpy(&bits, value, sizeof(bits));
    if (!cst_xdr_u_hyper(xdr, &bits))
        return FALSE;
    memcpy(value, &bits, sizeof(bits));
    return TRUE;
}

/* --- bytes ----------------------------------------------------------------------------------- */

/* Returns whether @len bytes and their padding are in the buffer. */
static gboolean has_room(const CstXdr *xdr, u_int len)
{
    return xdr_left(xdr) >= len && xdr_left(xdr) - len >= -len % UNIT;
}

static bool_t xdr_raw(CstXdr *xdr, void *bytes, u_int len, gboolean counted)
{
    u_int padding = -len % UNIT;

    if (xdr->x_op == XDR_FREE || len == 0)
        return TRUE;
    if (xdr->see) {
        xdr->see(bytes, len, counted, xdr->data);
        return TRUE;
    }
    if (!has_room(xdr, len))
        return FALSE;
    if (xdr->x_op == XDR_DECODE) {
        memcpy(bytes, xdr->at, len);
    } else {
        memcpy(xdr->at, bytes, len);
        memset(xdr->at + len, 0, padding);
    }
    xdr->at += len + padding;
    return TRUE;
}

bool_t cst_xdr_opaque(CstXdr *xdr, void *bytes, u_int len)
{
    return xdr_raw(xdr, bytes, len, FALSE);
}

static bool_t xdr_free_block(void **block)
{
    free(*block);
    *block = NULL;
    return TRUE;
}

/* Decodes a number of bytes and the bytes, and adds a NUL. */
static bool_t decode_bytes(CstXdr *xdr, char **ret_bytes, u_int *ret_len, u_int max)
{
    u_int len = 0;

    if (!cst_xdr_u_int(xdr, &len) || len > max || !has_room(xdr, len))
        return FALSE;
    *ret_bytes = malloc((size_t)len + 1);
    if (!*ret_bytes)
        return FALSE;
    (*ret_bytes)[len] = '\0';
    *ret_len = len;
    return xdr_raw(xdr, *ret_bytes, len, TRUE);
}

static bool_t encode_bytes(CstXdr *xdr, char *bytes, u_int len, u_int max)
{
    return len <= max && cst_xdr_u_int(xdr, &len) && xdr_raw(xdr, bytes, len, TRUE);
}

bool_t cst_xdr_bytes(CstXdr *xdr, char **bytes, u_int *len, u_int max)
{
    switch (xdr->x_op) {
    case XDR_ENCODE: return encode_bytes(xdr, *bytes, *len, max);
    case XDR_DECODE: return decode_bytes(xdr, bytes, len, max);
    default: return xdr_free_block((void **)bytes);
    }
}

bool_t cst_xdr_string(CstXdr *xdr, char **text, u_int max)
{
    u_int len = 0;

    switch (xdr->x_op) {
    case XDR_ENCODE: return *text && encode_bytes(xdr, *text, (u_int)strlen(*text), max);
    case XDR_DECODE: return decode_bytes(xdr, text, &len, max) && !memchr(*text, '\0', len);
    default: return xdr_free_block((void **)text);
    }
}

/* --- arrays ---------------------------------------------------------------------------------- */

bool_t cst_xdr_vector(CstXdr *xdr, char *elements, u_int count, u_int size, CstXdrFunc func)
{
    for (u_int i = 0; i < count; i++)
        if (!func(xdr, elements + (size_t)i * size))
            return FALSE;
    return TRUE;
}

bool_t cst_xdr_array(CstXdr *xdr, char **elements, u_int *count, u_int max, u_int size,
                     CstXdrFunc func)
{
    if (xdr->x_op == XDR_FREE) {
        if (*elements)
            cst_xdr_vector(xdr, *elements, *count, size, func);
        return xdr_free_block((void **)elements);
    }
    if (!cst_xdr_u_int(xdr, count))
        return FALSE;
    if (xdr->x_op == XDR_DECODE && *count > 0 && *count <= max && *count <= xdr_left(xdr) / UNIT)
        *elements = calloc(*count, size);
    return *count == 0 ||
           (*count <= max && *elements && cst_xdr_vector(xdr, *elements, *count, size, func));
}

bool_t cst_xdr_pointer(CstXdr *xdr, char **object, u_int size, CstXdrFunc func)
{
    u_int present = *object != NULL;

    if (xdr->x_op == XDR_FREE) {
        if (*object)
            func(xdr, *object);
        return xdr_free_block((void **)object);
    }
    if (!cst_xdr_u_int(xdr, &present))
        return FALSE;
    if (xdr->x_op == XDR_DECODE && present)
        *object = calloc(1, size);
    return !present || (*object && func(xdr, *object));
}

void cst_xdr_free(CstXdrFunc func, void *object)
{
    CstXdr xdr = {.x_op = XDR_FREE};

    func(&xdr, object);
}

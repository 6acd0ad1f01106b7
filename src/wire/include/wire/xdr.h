/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * The part of XDR (RFC 4506) that rpcgen's code calls, under the names of the RPC library. That
 * library needs Kerberos, so its load took longer than a small call. The macros give the functions
 * names of their own, because a sanitizer replaces functions with the library's names.
 *
 * A number is a big-endian word, a hyper is two words. Bytes are padded to a multiple of 4. The
 * functions work on memory only; any thread.
 */
#define xdr_array    cst_xdr_array
#define xdr_bytes    cst_xdr_bytes
#define xdr_char     cst_xdr_char
#define xdr_double   cst_xdr_double
#define xdr_enum     cst_xdr_enum
#define xdr_free     cst_xdr_free
#define xdr_int      cst_xdr_int
#define xdr_opaque   cst_xdr_opaque
#define xdr_pointer  cst_xdr_pointer
#define xdr_quad_t   cst_xdr_hyper
#define xdr_string   cst_xdr_string
#define xdr_u_char   cst_xdr_u_char
#define xdr_u_int    cst_xdr_u_int
#define xdr_u_quad_t cst_xdr_u_hyper
#define xdr_vector   cst_xdr_vector
#define xdrproc_t    CstXdrFunc
#define XDR          CstXdr

typedef int bool_t;
typedef int enum_t;

typedef enum { XDR_ENCODE, XDR_DECODE, XDR_FREE } CstXdrOp;

/** Receives bytes that are encoded: @counted ones follow their number, other ones do not. */
typedef void (*CstXdrSeeFunc)(const void *bytes, u_int len, gboolean counted, gpointer data);

typedef struct {
    CstXdrOp x_op;
    uint8_t *at, *end; /**< the rest of the buffer; unused by XDR_FREE */
    /** If set, XDR_ENCODE writes no buffer, and passes all bytes except empty ones to @see. */
    CstXdrSeeFunc see;
    gpointer data;
} CstXdr;

/** A generated function, which encodes, decodes or frees the struct at @object. */
typedef bool_t (*CstXdrFunc)(CstXdr *xdr, void *object);

/** Frees the content of @object with the generated @func. */
void cst_xdr_free(CstXdrFunc func, void *object);

/*
 * Each function encodes, decodes or frees one object, as xdr->x_op says. Returns FALSE if a limit
 * is exceeded, the buffer is too short, or memory is lacking. Memory for decoded objects is zeroed
 * and comes from calloc(); XDR_FREE also frees a part of an object whose decoding failed.
 */
bool_t cst_xdr_u_int(CstXdr *xdr, u_int *value);
bool_t cst_xdr_u_hyper(CstXdr *xdr, u_quad_t *value);
bool_t cst_xdr_u_char(CstXdr *xdr, u_char *value);
bool_t cst_xdr_char(CstXdr *xdr, char *value);
bool_t cst_xdr_double(CstXdr *xdr, double *value);
/** @len bytes without their number. */
bool_t cst_xdr_opaque(CstXdr *xdr, void *bytes, u_int len);
bool_t cst_xdr_bytes(CstXdr *xdr, char **bytes, u_int *len, u_int max);
/**
 * @text must not be NULL when it is encoded. Decoding fails if the received bytes contain a NUL, so
 * that both sides see the same string.
 */
bool_t cst_xdr_string(CstXdr *xdr, char **text, u_int max);
/** @count elements of @size bytes, for which @func is called. */
bool_t cst_xdr_vector(CstXdr *xdr, char *elements, u_int count, u_int size, CstXdrFunc func);
bool_t cst_xdr_array(CstXdr *xdr, char **elements, u_int *count, u_int max, u_int size,
                     CstXdrFunc func);
/** An object that may be missing (NULL). */
bool_t cst_xdr_pointer(CstXdr *xdr, char **object, u_int size, CstXdrFunc func);

static inline bool_t cst_xdr_int(CstXdr *xdr, int *value)
{
    return cst_xdr_u_int(xdr, (u_int *)value);
}

static inline bool_t cst_xdr_enum(CstXdr *xdr, enum_t *value)
{
    return cst_xdr_u_int(xdr, (u_int *)value);
}

static inline bool_t cst_xdr_hyper(CstXdr *xdr, quad_t *value)
{
    return cst_xdr_u_hyper(xdr, (u_quad_t *)value);
}

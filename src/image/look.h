/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * A look at an untrusted image. Parsers read through it and report through it, so that they need
 * no error paths of their own: `if (!cst_look_read(…)) return;`.
 */
typedef struct {
    CstBlob *blob;
    uint64_t size; /**< of the blob */
    const uint8_t *head;
    size_t head_len;    /**< bytes of head that are known; the whole blob when it is shorter */
    CstImageInfo *info; /**< what is found out */
    GError *error;      /**< the blob could not be read; ends the look */
} CstImageLook;

/** @head: room for CST_IMAGE_PROBE_LEN bytes, read here. */
gboolean cst_look_init(CstImageLook *look, CstBlob *blob, uint8_t *head, CstImageInfo *info,
                       GError **error);

/**
 * Copies bytes of the image. FALSE: they lie outside (a problem is noted: the image is cut off) or
 * the blob could not be read (look->error).
 */
gboolean cst_look_read(CstImageLook *look, uint64_t offset, void *buf, size_t len);

/** As cst_look_read(), as a string cut at the first NUL; NULL on failure. @len is bounded. */
char *cst_look_string(CstImageLook *look, uint64_t offset, size_t len);

/** FALSE when the blob could not be read; takes the error out of the look. */
gboolean cst_look_ok(CstImageLook *look, GError **error);

/** FALSE when the image can't be opened: it could not be read, or a problem was noted. */
gboolean cst_look_is_sound(CstImageLook *look, GError **error);

/** Notes damage; the first one stays. */
void cst_look_problem(CstImageLook *look, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** Notes why a sound image can't be opened; the first problem stays. */
void cst_look_unsupported(CstImageLook *look, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** ISO 9660's mark is there, beyond the head. */
gboolean cst_look_is_iso(CstImageLook *look);

/** Sets a string of the info. */
void cst_look_set(char **field, const char *text);

/** UTF-16 to UTF-8, cut at the first NUL, broken pairs replaced; never NULL. */
char *cst_look_utf16(const uint8_t *bytes, size_t len, gboolean big_endian);

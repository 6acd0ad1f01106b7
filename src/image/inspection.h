/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * The inspection of an untrusted image. Parsers read and report through it, so that they need no
 * error paths of their own: `if (!cst_inspection_read(…)) return;`.
 */
typedef struct {
    CstBlob *blob;
    uint64_t size; /**< of the blob */
    const uint8_t *head;
    size_t head_len;    /**< number of bytes in head; the whole blob if it is shorter */
    CstImageInfo *info; /**< result of the inspection */
    GError *error;      /**< the blob could not be read; ends the inspection */
} CstInspection;

/**
 * Begins the inspection of @blob: reads its first bytes into @head, which has room for
 * CST_IMAGE_PROBE_LEN. @blob, @head and @info are borrowed and must outlive @inspection.
 */
gboolean cst_inspection_init(CstInspection *inspection, CstBlob *blob, uint8_t *head,
                             CstImageInfo *info, GError **error);

/**
 * Copies bytes of the image. FALSE: the bytes are outside the blob (reports a problem: the image is
 * cut off), or the blob cannot be read (sets inspection->error).
 */
gboolean cst_inspection_read(CstInspection *inspection, uint64_t offset, void *buf, size_t len);

/**
 * Reads @len bytes as a string that ends at the first NUL; g_free() it. NULL on failure, as for
 * cst_inspection_read(). The caller limits @len.
 */
char *cst_inspection_string(CstInspection *inspection, uint64_t offset, size_t len);

/** Returns FALSE, and moves the error of @inspection to @error, when the blob could not be read. */
gboolean cst_inspection_ok(CstInspection *inspection, GError **error);

/**
 * Returns FALSE when the image cannot be opened: the blob could not be read, or a problem was
 * reported (CORRUPT for damage, else UNSUPPORTED).
 */
gboolean cst_inspection_is_sound(CstInspection *inspection, GError **error);

/** Reports damage and sets info->corrupt. Only the text of the first problem is kept. */
void cst_inspection_problem(CstInspection *inspection, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** Reports the reason why an undamaged image cannot be opened. Only the text of the first problem
 * is kept. */
void cst_inspection_unsupported(CstInspection *inspection, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/**
 * Returns whether sector 16, which is after the head, has the volume descriptor of ISO 9660. FALSE
 * also when the blob cannot be read there.
 */
gboolean cst_inspection_is_iso(CstInspection *inspection);

/** Replaces the string at @field with a copy of @text. */
void cst_inspection_set(char **field, const char *text);

/**
 * Converts @len bytes of UTF-16 to UTF-8, up to the first NUL; unpaired surrogates become U+FFFD.
 * Never NULL; g_free() it.
 */
char *cst_inspection_utf16(const uint8_t *bytes, size_t len, gboolean big_endian);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Create options as text: one table drives parsing, help and completion. Names are qemu-img's
 * where it has the option.
 */
typedef struct {
    const char *name;  /**< NULL ends the table */
    const char *value; /**< what it takes: "size", "on|off", … */
    const char *help;  /**< marked with N_() */
} CstImageOption;

/** Options that @format takes; free the array with g_ptr_array_unref(). */
GPtrArray *cst_image_options_of(const CstImageFormat *format);

/** "off", "metadata", "falloc" or "full". */
gboolean cst_preallocation_parse(const char *text, CstPreallocation *ret_preallocation);

/** What options said; the texts that .create points to are owned here. */
typedef struct {
    CstImageCreate create; /**< capacity 0 unless has_size */
    gboolean has_size;
    unsigned given; /**< a bit for each option that was there */
    GPtrArray *texts;
} CstImageOptions;

/** Frees what is in @options, not @options itself. */
void cst_image_options_clear(CstImageOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstImageOptions, cst_image_options_clear)

/**
 * Adds "name=value,name=value" ("name" alone is name=on; ",," is a comma in a value) to @options,
 * which is zeroed at first. ARGUMENT_UNSUPPORTED when the format has no such option, INVALID for a
 * value that it can't be.
 */
gboolean cst_image_options_parse(CstImageOptions *options, const CstImageFormat *format,
                                 const char *text, GError **error);

/* --- not in the library: what a copy can't be asked for --------------------------------------- */

/** UNSUPPORTED when @options give a size or a backing file: a copy has its source's content. */
gboolean cst_image_options_for_copy(const CstImageOptions *options, GError **error);

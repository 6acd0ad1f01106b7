/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Create options as text: one table drives parsing, help and completion. Options that qemu-img has,
 * too, have its names.
 */
typedef struct {
    const char *name;  /**< NULL ends the table */
    const char *value; /**< the kind of value, for help: "size", "on|off", … */
    const char *help;  /**< marked with N_() */
} CstImageOption;

/**
 * Returns the create options of @format as an array of const CstImageOption pointers. Free the
 * array with g_ptr_array_unref().
 */
GPtrArray *cst_image_options_of(const CstImageFormat *format);

/** Parses "off", "metadata", "falloc" or "full"; FALSE without an error for another text. */
gboolean cst_preallocation_parse(const char *text, CstPreallocation *ret_preallocation);

/** Parsed options. The strings in .create belong to texts. */
typedef struct {
    CstImageCreate create; /**< capacity 0 unless has_size */
    gboolean has_size;
    unsigned given; /**< a bit for each given option, by its row in the table */
    GPtrArray *texts;
} CstImageOptions;

/** Frees the members of @options, not @options itself. */
void cst_image_options_clear(CstImageOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstImageOptions, cst_image_options_clear)

/**
 * Adds "name=value,name=value" to @options, which the caller zeroes before the first call. "name"
 * alone means name=on, and ",," is a comma in a value. ARGUMENT_UNSUPPORTED when the format has no
 * such option, INVALID for a value that the option does not accept.
 */
gboolean cst_image_options_parse(CstImageOptions *options, const CstImageFormat *format,
                                 const char *text, GError **error);

/* --- not in the library: options that a copy refuses ------------------------------------------ */

/**
 * Checks that @options have neither a size nor a backing file, because a copy has the size and the
 * content of its source. Otherwise fails with UNSUPPORTED.
 */
gboolean cst_image_options_for_copy(const CstImageOptions *options, GError **error);

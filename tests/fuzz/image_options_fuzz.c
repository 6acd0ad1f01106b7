/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Create options as text, for every format; what was understood is then measured and made. */
#include <base/units.h>
#include <image/measure.h>
#include <image/options.h>

#include "fuzz.h"
#include "sparse.h"

/* Creating writes tables in proportion: kept small for speed alone. */
#define MAKE_LIMIT CST_GIB

static void make(const CstImageFormat *format, CstImageCreate *create)
{
    g_autoptr(CstBlob) blob = sparse_blob(NULL, 0);
    CstImageMeasure measure;

    cst_image_measure(format, create, NULL, &measure, NULL, NULL);
    if (create->capacity > MAKE_LIMIT || create->preallocation > CST_PREALLOC_METADATA)
        return;
    cst_image_create(blob, format, create, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    for (size_t i = 0; cst_image_formats()[i]; i++) {
        const CstImageFormat *format = cst_image_formats()[i];
        g_auto(CstImageOptions) options = {0};

        if (cst_image_options_parse(&options, format, text, NULL) &&
            cst_image_format_can_create(format))
            make(format, &options.create);
    }
    return 0;
}

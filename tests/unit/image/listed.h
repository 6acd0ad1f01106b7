/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <image/image.h>

/** Asserts that a check without repair lists as many errors and leaks as it counts. */
static inline void assert_all_is_listed(CstBlob *blob, const CstImageFormat *format,
                                        const CstImageCheck *counted)
{
    g_autoptr(CstFindings) findings = cst_findings_new();
    uint64_t listed[2] = {0, 0};
    CstImageCheck found = {0};

    assert_true(cst_image_check_list(blob, format, 0, NULL, findings, &found, NULL, NULL));
    assert_int_equal(found.errors, counted->errors);
    assert_int_equal(found.leaks, counted->leaks);
    for (guint i = 0; i < cst_findings_length(findings); i++) {
        const CstFinding *finding = cst_findings_get(findings, i);

        assert_true(*finding->text && finding->count > 0);
        listed[finding->kind == CST_FINDING_LEAK] += finding->count;
    }
    if (cst_findings_length(findings) == CST_FINDINGS_MAX)
        return; /* the rest is only counted */
    assert_int_equal(listed[0], counted->errors);
    assert_int_equal(listed[1], counted->leaks);
}

/** cst_image_check() for images that can be checked. */
static inline CstImageCheck check_listed(CstBlob *blob, const CstImageFormat *format,
                                         unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};

    if (!cst_image_check(blob, format, flags, &found, NULL, &error))
        fail_msg("check: %s", error->message);
    if (flags == 0)
        assert_all_is_listed(blob, format, &found);
    return found;
}

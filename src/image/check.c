/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The common reports of the checks of all formats. Errors and leaks are counted in the
 * CstImageCheck, and listed as findings. A check that walks a file unit by unit would list
 * thousands of adjacent units with the same fault. Such units are collected in a run, which is one
 * finding.
 */
#include <inttypes.h>
#include <stdarg.h>

#include <base/i18n.h>

#include "format.h"

void cst_check_errors(CstImageCheck *check, uint64_t count, const char *format, ...)
{
    va_list args;

    check->errors += count;
    va_start(args, format);
    cst_findings_add_v(check->findings, CST_FINDING_ERROR, count, format, args);
    va_end(args);
}

void cst_check_leaks(CstImageCheck *check, uint64_t count, const char *format, ...)
{
    va_list args;

    check->leaks += count;
    va_start(args, format);
    cst_findings_add_v(check->findings, CST_FINDING_LEAK, count, format, args);
    va_end(args);
}

void cst_check_run_end(CstCheckRun *run)
{
    uint64_t first = run->first * run->unit;

    if (run->count > 0)
        cst_findings_add(run->findings, run->kind, run->count,
                         _("bytes %" PRIu64 " to %" PRIu64 " of the file: %s"), first,
                         first + run->count * run->unit - 1, _(run->what));
    run->count = 0;
}

void cst_check_run_add(CstCheckRun *run, CstFindingKind kind, uint64_t number, const char *what)
{
    if (run->what != what || number != run->first + run->count)
        cst_check_run_end(run);
    if (run->count++ > 0)
        return;
    run->first = number;
    run->what = what;
    run->kind = kind;
}

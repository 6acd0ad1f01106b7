/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each question, read, write, discard and flush fails once, is torn, or is the last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <blob/fault.h>

#include "fault_case.h"

/** A kind of call whose failure may go unreported. */
typedef struct {
    const char *format;
    CstFaultKind kind;
    guint per_drop; /* how many of them, at most, for each discard */
    const char *why;
} Tolerated;

/*
 * Only of operations that leave clusters without a use (Operation.frees). One question more is
 * asked where a whole image is exchanged for another.
 */
static const Tolerated tolerated[] = {
    {"qcow2", CST_FAULT_DISCARD, 1, "what nothing refers to may keep its space in the file"},
    {"qcow2", CST_FAULT_QUERY, 2,
     "the same: whether the file is so long is asked before a discard"},
};

/** A round of faults of the same kind in the same file. */
typedef struct {
    guint part;
    CstFaultKind kind;
    CstFaultMode mode;
    guint drops;   /* discards that the operation makes in that file */
    guint unheard; /* faults that were not reported so far */
} Round;

static gboolean is_tolerated(const Case *c, Round *round)
{
    for (size_t i = 0; c->operation->frees && i < G_N_ELEMENTS(tolerated); i++)
        if (strcmp(tolerated[i].format, c->variant->format) == 0 &&
            tolerated[i].kind == round->kind)
            return ++round->unheard <= tolerated[i].per_drop * round->drops + 1;
    return FALSE;
}

/* The storage's own words, in its class. */
static void assert_told(const Case *c, const GError *error)
{
    if (!g_error_matches(error, CST_ERROR, CST_ERROR_IO) ||
        !strstr(error->message, "injected fault in"))
        fail_case(c, error->message);
}

/* Counts the discards that the operation makes in that file without a fault. */
static guint count_drops(const Case *c, const Disk *ground, guint part)
{
    gboolean before;
    guint drops;
    Part *counted;
    Disk disk;

    disk_copy(ground, &disk);
    counted = part_at(&disk, part);
    cst_blob_unref(counted->shown);
    counted->shown = cst_blob_fault_new(counted->inner);
    assert_true(run_operation(&disk, c->operation, NULL, NULL, &before, NULL));
    drops = cst_blob_fault_count(counted->shown, CST_FAULT_DISCARD);
    disk_clear(&disk);
    return drops;
}

static gboolean has_struck(gpointer fault)
{
    return cst_blob_fault_struck(fault);
}

/* Returns whether the call of the case was reached. */
static gboolean play_fault(const Case *c, const Disk *ground, Round *round, const View *old,
                           const View *new)
{
    g_autoptr(GError) error = NULL;
    gboolean is_write = round->kind == CST_FAULT_WRITE || round->kind == CST_FAULT_TORN;
    gboolean done, struck, before;
    CstBlob *fault;
    Part *aimed;
    Disk disk;

    disk_copy(ground, &disk);
    aimed = part_at(&disk, round->part);
    cst_blob_unref(aimed->shown);
    aimed->shown = fault = cst_blob_fault_new(aimed->inner);
    cst_blob_fault_arm(fault, round->kind, c->nth, round->mode);
    done = run_operation(&disk, c->operation, has_struck, fault, &before, &error);
    struck = cst_blob_fault_struck(fault);
    aimed->shown = cst_blob_ref(aimed->inner);
    cst_blob_unref(fault);
    if (!struck && !done)
        fail_case(c, "it failed without a fault");
    if (before && done && !is_tolerated(c, round))
        fail_case(c, "it was reported as done, but a call had failed");
    if (!done)
        assert_told(c, error);
    judge(c, &disk, done, old, new);
    if (!done && round->mode == CST_FAULT_ONCE)
        assert_can_go_on(c, &disk, is_write, old, new);
    disk_clear(&disk);
    return struck;
}

/* Each call but of the questions, which the dispatcher asks before it reads: fewer of these. */
static guint step(const Round *round, guint nth)
{
    return round->kind == CST_FAULT_QUERY ? 1 + nth / 4 : 1;
}

guint play_faults(Case *c, const Disk *ground, const View *old, const View *new)
{
    static const struct {
        const char *name;
        CstFaultKind kind;
        CstFaultMode mode;
    } faults[] = {
        {"failing read", CST_FAULT_READ, CST_FAULT_ONCE},
        {"failing look", CST_FAULT_QUERY, CST_FAULT_ONCE},
        {"failing discard", CST_FAULT_DISCARD, CST_FAULT_ONCE},
        {"failing write", CST_FAULT_WRITE, CST_FAULT_ONCE},
        {"last write", CST_FAULT_WRITE, CST_FAULT_CUT},
        {"torn write", CST_FAULT_TORN, CST_FAULT_ONCE},
        {"torn last write", CST_FAULT_TORN, CST_FAULT_CUT},
        {"failing flush", CST_FAULT_FLUSH, CST_FAULT_ONCE},
        {"last flush", CST_FAULT_FLUSH, CST_FAULT_CUT},
    };
    guint cases = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        c->kind = faults[i].name;
        for (guint part = 0; part < ground->parts->len; part++) {
            Round round = {part, faults[i].kind, faults[i].mode,
                           c->operation->frees ? count_drops(c, ground, part) : 0, 0};

            for (c->nth = 1; play_fault(c, ground, &round, old, new); cases++)
                c->nth += step(&round, c->nth);
        }
    }
    return cases;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Storage that fails, under every operation on every format: each question, read, write, discard
 * and flush in turn fails, is torn, or is the last thing that happens; the power goes off after any
 * prefix of the work; and there is no memory for what the image asks for.
 *
 * A failure is told: the operation fails with the storage's own error, unless a row of tolerated[]
 * says why it need not. Whatever comes of it, the image opens, a check finds no error (leaks at
 * worst), every byte is the old one or the new one, and what was reported as done is there. What
 * failed for a moment leaves the image so that the same call does the work when it is made again;
 * what happens at once (snapshots, bitmaps, options) has not happened when a write failed.
 *
 * Adding a format or an operation adds a row (variants[], fault_operations.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/units.h>

#include "fault_case.h"

static const Variant variants[] = {
    {"raw", {0}},
    {"qcow2", {.cluster_size = 4096}},
    {"qcow2", {.cluster_size = 512}},
    {"qcow2", {.compat = "0.10", .cluster_size = 65536}},
    {"qcow2", {.cluster_size = 16384, .extended_l2 = TRUE}},
    {"qcow2", {.cluster_size = 4096, .lazy_refcounts = TRUE}},
    {"qcow2", {.cluster_size = 4096, .refcount_bits = 64}},
    {"qcow2", {.cluster_size = 4096, .backing = "base", .backing_format = "raw"}},
    {"vdi", {0}},
    {"vdi", {.subformat = "static"}},
    {"vmdk", {0}},
    {"vmdk", {.cluster_size = 8192}},
    {"vmdk", {.subformat = "monolithicFlat"}},
    {"vmdk", {.subformat = "streamOptimized"}},
    {"vmdk", {.subformat = "twoGbMaxExtentSparse"}},
    {"vmdk", {.subformat = "twoGbMaxExtentFlat"}},
    {"vpc", {0}},
    {"vpc", {.subformat = "fixed"}},
    {"vpc", {.backing = "base", .backing_format = "vpc"}},
    {"vhdx", {.block_size = CST_MIB}},
    {"vhdx", {.block_size = CST_MIB, .sector_size = 4096, .capacity = 648 * 1024}},
    {"vhdx", {.block_size = CST_MIB, .subformat = "fixed"}},
    {"qcow", {0}},
    {"qcow", {.backing = "base", .backing_format = "raw"}},
    {"qed", {.cluster_size = 8192, .table_size = 1}},
    {"qed", {.table_size = 1, .backing = "base", .backing_format = "raw"}},
    {"parallels", {0}},
    {"parallels", {.cluster_size = 65536}},
};

/** What fails. */
typedef struct {
    const char *name;
    guint (*play)(Case *c, const Disk *ground, const View *old, const View *new);
} Kind;

static const Kind kinds[] = {
    {"storage", play_faults},
    {"power", play_power_cuts},
    {"memory", play_no_memory},
};

/* What is played: the program's arguments. NULL: all. */
static const char *format_wanted, *kind_wanted;

/* Returns how many cases there were: none when the format can't do it. */
static guint play(const Variant *variant, const Operation *operation)
{
    g_autofree View *old = g_new(View, 1), *new = g_new(View, 1);
    Case c = {variant, operation, "no fault", 0, 0};
    guint cases = 0;
    gboolean able;
    Disk ground;

    disk_init(&ground, variant, NULL);
    able = prepare(&ground, operation);
    if (able) {
        look(&c, &ground, old);
        able = play_without_faults(&c, &ground, old, new);
    }
    for (size_t i = 0; able && i < G_N_ELEMENTS(kinds); i++)
        if (!kind_wanted || strcmp(kinds[i].name, kind_wanted) == 0)
            cases += kinds[i].play(&c, &ground, old, new);
    disk_clear(&ground);
    return cases;
}

static void what_fails_costs_nothing_but_the_operation(void **state)
{
    guint cases = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        if (!format_wanted || strcmp(variants[i].format, format_wanted) == 0)
            for (const Operation *operation = fault_operations; operation->name; operation++)
                cases += play(&variants[i], operation);
    assert_true(cases > 10);
}

/* The arguments: a format, and a kind of failure. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_costs_nothing_but_the_operation),
    };

    format_wanted = argc > 1 ? argv[1] : NULL;
    kind_wanted = argc > 2 ? argv[2] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

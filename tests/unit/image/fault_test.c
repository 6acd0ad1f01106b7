/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Faults under every operation on every format. Each query, read, write, discard and flush in turn
 * fails, is torn, or is the last call. The power fails after any prefix of the work. Allocations
 * whose size comes from the image fail.
 *
 * The operation must fail with the error of the storage, unless a row of tolerated[] explains the
 * exception. Afterwards the image opens, and a check finds no error (leaks are allowed). Every
 * byte is the old one or the new one, and an operation that was reported as done is complete.
 * After a temporary fault the same call succeeds when it is repeated. An atomic operation
 * (snapshots, bitmaps, options) has no effect when a write failed.
 *
 * A new format or operation needs a new row (variants[], fault_operations.c).
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

/** A kind of fault. */
typedef struct {
    const char *name;
    guint (*play)(Case *c, const Disk *ground, const View *old, const View *new);
} Kind;

static const Kind kinds[] = {
    {"storage", play_faults},
    {"power", play_power_cuts},
    {"memory", play_no_memory},
};

/* Filters from the program's arguments. NULL: all. */
static const char *format_wanted, *kind_wanted;

/* Returns the number of cases, which is 0 when the format does not support the operation. */
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

static void fault_costs_only_the_failed_operation(void **state)
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
        cmocka_unit_test(fault_costs_only_the_failed_operation),
    };

    format_wanted = argc > 1 ? argv[1] : NULL;
    kind_wanted = argc > 2 ? argv[2] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

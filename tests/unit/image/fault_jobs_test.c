/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Images are made, converted, committed, rebased, flattened and repaired while storage fails. Each
 * query, read, write, discard and flush of each file fails once. The work fails with the error of
 * the storage, unless a row of tolerated[] (fault_job.c) explains the exception. Existing content
 * is unchanged, checks are clean, and the same work succeeds when it is repeated.
 */
#include <string.h>

#include <base/units.h>

#include "fault_job.h"

static const Variant variants[] = {
    {"raw", {0}, NULL},
    {"qcow2", {0}, NULL},
    {"qcow2", {.cluster_size = 512}, NULL},
    {"qcow2", {.cluster_size = 4096, .lazy_refcounts = TRUE}, NULL},
    {"qcow2", {.cluster_size = 16384, .extended_l2 = TRUE}, "raw"},
    {"qcow2", {.cluster_size = 4096}, "qcow2"},
    {"qcow2", {.preallocation = CST_PREALLOC_METADATA}, NULL},
    {"qcow2", {.preallocation = CST_PREALLOC_FULL}, NULL},
    {"vdi", {0}, NULL},
    {"vdi", {.subformat = "static"}, NULL},
    {"vmdk", {0}, NULL},
    {"vmdk", {.subformat = "monolithicFlat"}, NULL},
    {"vmdk", {.subformat = "streamOptimized"}, NULL},
    {"vmdk", {.subformat = "twoGbMaxExtentSparse"}, NULL},
    {"vmdk", {0}, "vmdk"},
    {"vpc", {0}, NULL},
    {"vpc", {.subformat = "fixed"}, NULL},
    {"vpc", {0}, "vpc"},
    {"vhdx", {.block_size = CST_MIB}, NULL},
    {"vhdx", {.block_size = CST_MIB, .subformat = "fixed"}, NULL},
    {"vhdx", {.block_size = CST_MIB}, "vhdx"},
    {"qcow", {0}, NULL},
    {"qcow", {0}, "raw"},
    {"qed", {.cluster_size = 8192, .table_size = 1}, NULL},
    {"qed", {.table_size = 1}, "qed"},
    {"parallels", {0}, NULL},
    {"parallels", {.cluster_size = 65536}, NULL},
};

/* Only created, because afterwards they behave like the variants above. */
static const Variant filled[] = {
    {"vdi", {.preallocation = CST_PREALLOC_METADATA}, NULL},
    {"vdi", {.preallocation = CST_PREALLOC_FULL}, NULL},
    {"vmdk", {.subformat = "monolithicFlat", .preallocation = CST_PREALLOC_FULL}, NULL},
    {"vpc", {.preallocation = CST_PREALLOC_METADATA}, NULL},
    {"vpc", {.subformat = "fixed", .preallocation = CST_PREALLOC_FULL}, NULL},
    {"vhdx", {.block_size = CST_MIB, .preallocation = CST_PREALLOC_FULL}, NULL},
    {"qcow", {.preallocation = CST_PREALLOC_METADATA}, NULL},
    {"qed", {.cluster_size = 65536, .preallocation = CST_PREALLOC_METADATA}, NULL},
    {"parallels", {.cluster_size = 65536, .preallocation = CST_PREALLOC_METADATA}, NULL},
    {"parallels", {.cluster_size = 65536, .preallocation = CST_PREALLOC_FULL}, NULL},
};

static const Job *const jobs[] = {
    &create_job, &convert_job, &compress_job, &commit_job, &rebase_job, &flatten_job, &repair_job,
};

static const char *job_wanted; /* the program's argument; NULL: all */

static guint play(const Job *job)
{
    guint cases = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        cases += job_play(job, &variants[i]);
    for (size_t i = 0; job == &create_job && i < G_N_ELEMENTS(filled); i++)
        cases += job_play(job, &filled[i]);
    return cases;
}

static void storage_fault_is_reported_and_keeps_existing_content(void **state)
{
    guint cases = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        if (!job_wanted || strcmp(jobs[i]->name, job_wanted) == 0)
            cases += play(jobs[i]);
    assert_true(cases > 100);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storage_fault_is_reported_and_keeps_existing_content),
    };

    job_wanted = argc > 1 ? argv[1] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

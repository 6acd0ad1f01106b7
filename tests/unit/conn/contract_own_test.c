/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* As contract_test.c, for the calls that libvirt has not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <base/error.h>

#include "side.h"

/* --- jobs, and volumes as images ------------------------------------------------------------- */

static void note_chain(Side *side, const CstVolRef *vol)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_chain(side->conn, vol, &side->error);

    outcome(side, "chain", rows != NULL);
    for (guint i = 0; rows && i < rows->len; i++) {
        const CstChainRow *row = g_ptr_array_index(rows, i);

        note(side, "- %u %d %s %s %s", row->level, row->self, row->name,
             row->format ? row->format : "-", row->problem ? row->problem : "-");
    }
}

static void play_images(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    g_autoptr(CstTask) task = cst_task_new();
    g_autofree char *base = g_strconcat(side->root, "/images/base", NULL);
    g_autofree char *xml =
        g_strdup_printf("<volume><name>top</name><capacity>1048576</capacity><target><format "
                        "type='qcow2'/></target><backingStore><path>%s</path><format type='qcow2'/>"
                        "</backingStore></volume>",
                        base);
    g_autoptr(CstVolRef) below = cst_conn_vol_create(
        side->conn, pool,
        "<volume><name>base</name><capacity>1048576</capacity><target><format type='qcow2'/>"
        "</target></volume>",
        0, NULL, &side->error);
    g_autoptr(CstVolRef) top = cst_conn_vol_create(side->conn, pool, xml, 0, NULL, &side->error);
    CstCheckReport report = {0};
    uint64_t given_back = 0;

    outcome(side, "volumes", below && top);
    note_chain(side, top);
    outcome(side, "check", cst_conn_vol_check(side->conn, top, 0, task, &report, &side->error));
    note(side, "%s %d %d", report.format, (int)report.errors, (int)report.total_clusters);
    outcome(side, "check, flag",
            cst_conn_vol_check(side->conn, top, 64, NULL, &report, &side->error));
    outcome(side, "commit", cst_conn_vol_commit(side->conn, top, NULL, 0, task, &side->error));
    outcome(side, "commit to nobody",
            cst_conn_vol_commit(side->conn, top, "nobody", 0, task, &side->error));
    outcome(side, "flatten", cst_conn_vol_flatten(side->conn, top, task, &side->error));
    outcome(side, "sparsify",
            cst_conn_vol_sparsify(side->conn, top, task, &given_back, &side->error));
    outcome(side, "commit alone",
            cst_conn_vol_commit(side->conn, top, NULL, 0, NULL, &side->error));
    note_chain(side, top);
}

static void play_jobs(Side *side)
{
    g_autoptr(GPtrArray) jobs = cst_conn_job_list(side->conn, TRUE, &side->error);
    CstJobInfo *job;

    outcome(side, "jobs", jobs && jobs->len == 0);
    job = cst_conn_job_info(side->conn, 7, &side->error);
    outcome(side, "nobody's job", job != NULL);
    job = cst_conn_job_wait(side->conn, 7, 0, NULL, &side->error);
    outcome(side, "wait for nobody's job", job != NULL);
    outcome(side, "cancel nobody's job", cst_conn_job_cancel(side->conn, 7, &side->error));
    outcome(side, "slow nobody's job", cst_conn_job_set_limit(side->conn, 7, 1, &side->error));
}

static void images_behave_the_same(void **state)
{
    const char *const must[] = {"- 0 0 base qcow2 -\n- 1 1 top qcow2 -",
                                "check: done\nqcow2 0 16",
                                "flatten: done",
                                "sparsify: done",
                                "- 0 1 top qcow2 -",
                                NULL};

    compare(play_images, must);
}

static void jobs_behave_the_same(void **state)
{
    const char *const must[] = {"jobs: done", "no job with number 7", NULL};

    compare(play_jobs, must);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_behave_the_same),
        cmocka_unit_test(jobs_behave_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

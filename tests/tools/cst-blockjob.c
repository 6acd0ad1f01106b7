/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a block job of a running domain, for tests with a stock libvirtd:
 *
 *     cst-blockjob URI UUID DIRECTORY IMAGE copy DESTINATION FORMAT RATE
 *     cst-blockjob URI UUID DIRECTORY IMAGE copy DESTINATION FORMAT RATE VOLUME NEWVOLUME
 *     cst-blockjob URI UUID DIRECTORY IMAGE pull RATE
 *     cst-blockjob URI UUID DIRECTORY IMAGE commit RATE
 *     cst-blockjob - - DIRECTORY - recover
 *
 * IMAGE is the top layer of the disk. With VOLUME, it is this volume of pool "p", and DESTINATION
 * is NEWVOLUME of that pool. Prints "begun" and then "waited". Then it executes the words of its
 * standard input, one per line: "pivot", "end", "rate BYTES". It prints the result of each, and
 * fails with the message of an error.
 */
#include <hypervisor/job.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/file.h>

static const char *const pivots[CST_HYPERVISOR_PIVOT_LAST] = {
    [CST_HYPERVISOR_NOT_PIVOTED] = "not pivoted",
    [CST_HYPERVISOR_PIVOTED] = "pivoted",
    [CST_HYPERVISOR_PIVOT_UNKNOWN] = "unknown",
};

static void tool_fail(const GError *error) G_GNUC_NORETURN;

static void tool_fail(const GError *error)
{
    fprintf(stderr, "%s\n", error ? error->message : "failed");
    exit(EXIT_FAILURE);
}

static void say(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

static void request_parse(int argc, char **argv, CstHypervisorJobRequest *ret_request)
{
    gboolean named = argc == 11;
    gboolean copies = (named || argc == 9) && strcmp(argv[5], "copy") == 0;

    if (!copies && argc != 7)
        tool_fail(NULL);
    *ret_request = (CstHypervisorJobRequest){.uri = argv[1], .uuid = argv[2], .directory = argv[3]};
    ret_request->rate = g_ascii_strtoull(argv[copies ? 8 : 6], NULL, 10);
    ret_request->kind =
        strcmp(argv[5], "pull") == 0 ? CST_HYPERVISOR_JOB_PULL : CST_HYPERVISOR_JOB_COMMIT;
    if (copies) {
        ret_request->kind = CST_HYPERVISOR_JOB_COPY;
        ret_request->destination = argv[6];
        ret_request->destination_format = argv[7];
        ret_request->pool = named ? "p" : NULL;
        ret_request->pool_volume = named ? argv[10] : NULL;
    }
}

/* Executes a word. Returns FALSE for the last one. */
static gboolean job_execute(CstHypervisorJob *job, const char *word)
{
    CstHypervisorPivotResult result;
    g_autoptr(GError) error = NULL;

    if (g_str_has_prefix(word, "rate ")) {
        if (!cst_hypervisor_job_set_rate(job, g_ascii_strtoull(word + 5, NULL, 10), &error))
            tool_fail(error);
        say("rate set");
    } else if (strcmp(word, "pivot") == 0) {
        if (!cst_hypervisor_job_pivot(job, &result, &error))
            tool_fail(error);
        printf("%s live %d persistent %s%s\n", pivots[result.pivot], result.live,
               result.persistent_unknown ? "unknown" : (result.persistent ? "1" : "0"),
               result.named ? " named" : (result.reason ? result.reason : ""));
        fflush(stdout);
    } else {
        say(pivots[cst_hypervisor_job_end(job)]);
        return FALSE;
    }
    return TRUE;
}

int main(int argc, char **argv)
{
    CstHypervisorJobRequest request;
    CstHypervisorVolume volume = {.pool = "p", .volume = "v"};
    g_autoptr(CstHypervisor) hypervisor = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) fd = -1;
    CstHypervisorPivot pivot;
    CstHypervisorJob *job;
    char line[64];

    cst_hypervisor_run_helper(argc, argv);
    if (argc == 6 && strcmp(argv[5], "recover") == 0) {
        if (!cst_hypervisor_job_recover(argv[3], &error))
            tool_fail(error);
        return EXIT_SUCCESS;
    }
    if (argc < 7)
        tool_fail(NULL);
    request_parse(argc, argv, &request);
    if (argc == 11)
        volume.volume = argv[9];
    fd = open(argv[4], O_RDONLY | O_CLOEXEC);
    cst_hypervisor_volume_set_file(&volume, fd);
    request.volume = &volume;
    hypervisor = cst_hypervisor_new((const char *const[]){argv[1], NULL}, NULL, 10);
    job = cst_hypervisor_job_begin(hypervisor, &request, NULL, &pivot, &error);
    if (!job)
        tool_fail(error);
    say("begun");
    if (!cst_hypervisor_job_wait(job, NULL, &error))
        tool_fail(error);
    say("waited");
    while (fgets(line, sizeof(line), stdin) && job_execute(job, g_strchomp(line)))
        continue;
    return EXIT_SUCCESS;
}

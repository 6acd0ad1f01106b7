/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: bench-audit DIRECTORY
 *
 * Runs a changing procedure whose handler does no work, with the audit record of each call in a
 * root below DIRECTORY. Prints the median and the 99th percentile of a call in microseconds.
 */
#include <stdio.h>
#include <stdlib.h>

#include <api/api.h>
#include <base/log.h>
#include <base/log_context.h>
#include <service/service.h>
#include <store/paths.h>
#include <unistd.h>

enum { CALLS = 20000, MEDIAN = CALLS / 2, PERCENTILE = CALLS / 100 * 99 };

static gboolean handler_run(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return TRUE;
}

static int compare(const void *first, const void *second)
{
    gint64 a = *(const gint64 *)first, b = *(const gint64 *)second;

    return a < b ? -1 : a > b;
}

int main(int argc, char **argv)
{
    static gint64 took_ns[CALLS];
    const wire_vol_flags_args args = {
        .vol = {.pool = (char *)"images", .name = (char *)"web01.qcow2", .key = (char *)""}};
    CstLogContext context = {.connection = 1, .pid = getpid(), .uid = getuid()};
    CstProcedure procedure = *cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_DELETE);
    g_autoptr(CstPaths) paths = cst_paths_new(argc > 1 ? argv[1] : ".");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstService) service = cst_service_new(paths, CST_SERVICE_EMBEDDED, &error);
    CstApiCall call = {.service = service, .procedure = &procedure};
    wire_void ret = {0};

    if (!service) {
        fprintf(stderr, "%s\n", error->message);
        return EXIT_FAILURE;
    }
    procedure.handler = handler_run;
    cst_log_push(&context);
    for (int i = 0; i < CALLS; i++) {
        struct timespec before, after;

        clock_gettime(CLOCK_MONOTONIC, &before);
        cst_api_run(&call, &args, &ret, NULL);
        clock_gettime(CLOCK_MONOTONIC, &after);
        took_ns[i] = (after.tv_sec - before.tv_sec) * G_GINT64_CONSTANT(1000000000) +
                     (after.tv_nsec - before.tv_nsec);
    }
    cst_log_pop(&context);
    qsort(took_ns, CALLS, sizeof(*took_ns), compare);
    printf("%.1f %.1f\n", (double)took_ns[MEDIAN] / 1000, (double)took_ns[PERCENTILE] / 1000);
    return EXIT_SUCCESS;
}

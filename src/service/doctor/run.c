/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a page of checks, and the list of its findings. */
#include "run.h"

#include <string.h>
#include <sys/sysmacros.h>

#include <base/file.h>

DoctorRun *doctor_run_new(CstService *service, CstTask *task)
{
    DoctorRun *run = g_new0(DoctorRun, 1);

    *run = (DoctorRun){
        .service = service,
        .task = task,
        .findings = cst_doctor_findings_new(),
        .until = g_get_monotonic_time() + DOCTOR_PAGE_US,
        .mounts = cst_mounts_read(),
        .user = doctor_user_find(service->paths),
        .walked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .bases = volume_bases_new(),
    };
    return run;
}

void doctor_run_free(DoctorRun *run)
{
    if (!run)
        return;
    g_ptr_array_unref(run->findings);
    g_ptr_array_unref(run->mounts);
    doctor_user_free(run->user);
    g_hash_table_unref(run->walked);
    g_hash_table_unref(run->bases);
    cst_pool_unref(run->pool);
    cst_pool_state_unref(run->state);
    cst_pool_def_free(run->def);
    cst_pool_def_free(run->next_def);
    g_free(run);
}

static void doctor_report_v(DoctorRun *run, CstSeverity severity, const char *id,
                            const char *object, char *repair, const char *format, va_list args)
{
    char *evidence = g_strdup_vprintf(format, args);

    cst_doctor_findings_add(run->findings, id, severity, object, repair, evidence);
}

void doctor_report(DoctorRun *run, const char *id, const char *object, char *repair,
                   const char *format, ...)
{
    va_list args;

    va_start(args, format);
    doctor_report_v(run, cst_doctor_rule(id)->severity, id, object, repair, format, args);
    va_end(args);
}

void doctor_report_as(DoctorRun *run, CstSeverity severity, const char *id, const char *object,
                      char *repair, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    doctor_report_v(run, severity, id, object, repair, format, args);
    va_end(args);
}

gboolean doctor_run_is_over(const DoctorRun *run)
{
    return g_get_monotonic_time() > run->until || cst_task_cancelled(run->task);
}

char *doctor_volume_object(const DoctorRun *run, const char *volume)
{
    return g_strconcat(run->pool->name, "/", volume, NULL);
}

static gboolean path_is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strcmp(dir, "/") == 0 ||
           (strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

const CstMount *doctor_mount_of(const DoctorRun *run, const char *path)
{
    const CstMount *best = NULL;

    /* A later mount at the same directory covers the earlier one. */
    for (guint i = 0; i < run->mounts->len; i++) {
        const CstMount *mount = run->mounts->pdata[i];

        if (path_is_below(path, mount->target) &&
            (!best || strlen(mount->target) >= strlen(best->target)))
            best = mount;
    }
    return best;
}

char *doctor_root_path(const DoctorRun *run, const char *path)
{
    const char *root = run->service->paths->root;

    return g_build_filename(root ? root : "/", path, NULL);
}

/* Reads a file of the kernel below the root of the service, else that of the host. */
static char *kernel_read_of_root(const DoctorRun *run, const char *path)
{
    g_autofree char *below = doctor_root_path(run, path);
    char *text = cst_kernel_read(below);

    return text ? text : cst_kernel_read(path);
}

gboolean doctor_queue_number(const DoctorRun *run, dev_t device, const char *name,
                             guint64 *ret_number)
{
    static const char *const places[] = {"queue", "../queue"};

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/%s/%s", major(device),
                                                minor(device), places[i], name);
        g_autofree char *text = kernel_read_of_root(run, path);

        if (text &&
            g_ascii_string_to_unsigned(g_strchomp(text), 10, 0, G_MAXUINT64, ret_number, NULL))
            return TRUE;
    }
    return FALSE;
}

char *doctor_size(uint64_t bytes)
{
    return g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of the host as a whole, and of its secrets. */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/file.h>
#include <base/i18n.h>
#include <service/domains.h>
#include <service/secrets.h>

#define DAY_S 86400

/* --- links of autostart ----------------------------------------------------------------------- */

static void autostart_check(DoctorRun *run)
{
    g_autoptr(GDir) dir = g_dir_open(run->service->paths->autostart_dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(run->service->paths->autostart_dir, name, NULL);

        if (access(path, F_OK) == 0 || errno != ENOENT)
            continue;
        doctor_report(run, "autostart-link-broken", path, cst_doctor_command("rm", path, NULL),
                      _("the link refers to a definition that does not exist"));
    }
}

/* --- secrets ---------------------------------------------------------------------------------- */

static void secret_check(DoctorRun *run, const CstSecretUse *use)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *object = g_strconcat("secret ", cst_uuid_format(&use->uuid, uuid), NULL);
    gint64 days = (g_get_real_time() / G_USEC_PER_SEC - use->changed) / DAY_S;

    if (use->problem)
        doctor_report(run, "secret-unreadable", object, NULL, "%s", use->problem);
    if (!use->has_value && !use->problem && (use->pools->len > 0 || use->volumes->len > 0))
        doctor_report(run, "secret-without-value", object, NULL,
                      _("%s needs it, and it has no value (secret-set-value)"),
                      use->pools->len > 0 ? (const char *)use->pools->pdata[0]
                                          : (const char *)use->volumes->pdata[0]);
    if (use->overdue)
        doctor_report(run, "secret-old", object, NULL,
                      _("its value is %" PRId64 " days old, which is more than "
                        "secret_max_age (secret-rotate)"),
                      days);
    if (use->has_value && !use->sealed && !use->ephemeral)
        doctor_report(run, "secret-unsealed", object,
                      cst_doctor_command("cistern", "secret-seal", uuid, NULL),
                      _("its value is stored in plain text"));
}

/* The files of values and definitions are for their owner only. */
static void secret_files_check(DoctorRun *run)
{
    g_autoptr(GDir) dir = g_dir_open(run->service->paths->secret_dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(run->service->paths->secret_dir, name, NULL);
        struct stat st;

        if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) == 0)
            continue;
        doctor_report(run, "secret-exposed", path, cst_doctor_command("chmod", "600", path, NULL),
                      _("other users can access the file of a secret: its mode is %04o"),
                      st.st_mode & 07777);
    }
}

static void secrets_check(DoctorRun *run)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) uses = cst_service_secret_uses(run->service, &why);

    secret_files_check(run);
    if (!uses)
        doctor_report(run, "check-failed", CST_DOCTOR_HOST, NULL,
                      _("the secrets cannot be checked: %s"), why->message);
    for (guint i = 0; uses && i < uses->len; i++)
        secret_check(run, uses->pdata[i]);
}

/* --- multipath -------------------------------------------------------------------------------- */

/* Returns the text of @name of device mapper's device @device, without the line break. */
static char *mapper_text(const char *top, const char *device, const char *name)
{
    g_autofree char *path = g_build_filename(top, device, "dm", name, NULL);
    char *text = cst_kernel_read(path);

    return text ? g_strchomp(text) : NULL;
}

static void multipath_check(DoctorRun *run)
{
    g_autofree char *top = doctor_root_path(run, "/sys/block");
    g_auto(GStrv) devices = cst_kernel_list(top);

    for (char **device = devices; *device; device++) {
        g_autofree char *uuid = mapper_text(top, *device, "uuid");
        g_autofree char *name = mapper_text(top, *device, "name");
        g_autofree char *slaves_path = g_build_filename(top, *device, "slaves", NULL);
        g_auto(GStrv) slaves = NULL;

        if (!uuid || !name || !g_str_has_prefix(uuid, "mpath-"))
            continue;
        slaves = cst_kernel_list(slaves_path);
        if (g_strv_length(slaves) < 2)
            doctor_report(run, "multipath-one-path", name, NULL,
                          _("the multipath device has %u path, so a failure of it stops its disks"),
                          g_strv_length(slaves));
    }
}

/* --- machines --------------------------------------------------------------------------------- */

static void drive_check(DoctorRun *run, const CstDomain *domain, const CstDomainDrive *drive)
{
    g_autofree char *object = NULL;
    struct stat st;

    if (!drive->path || !g_path_is_absolute(drive->path) ||
        !cst_mounts_is_local(run->mounts, drive->path) || lstat(drive->path, &st) == 0 ||
        errno != ENOENT)
        return;
    object = g_strdup_printf("machine %s", domain->name);
    doctor_report(run, "domain-disk-missing", object, NULL,
                  _("the file '%s' of its disk %s does not exist"), drive->path, drive->target);
}

static void machines_check(DoctorRun *run)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) domains = cst_service_domains(run->service, NULL, run->task, &why);

    if (!domains && why->code != CST_ERROR_NOT_FOUND)
        doctor_report(run, "libvirt-not-answering", CST_DOCTOR_HOST, NULL,
                      _("libvirt cannot be asked for its machines: %s"), why->message);
    for (guint i = 0; domains && i < domains->len; i++) {
        const CstDomain *domain = domains->pdata[i];

        for (guint j = 0; j < domain->drives->len; j++)
            drive_check(run, domain, domain->drives->pdata[j]);
    }
}

void doctor_check_host(DoctorRun *run)
{
    autostart_check(run);
    secrets_check(run);
    multipath_check(run);
    machines_check(run);
}

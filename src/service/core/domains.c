/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's domains that use a volume: the setting, the questions (src/hypervisor), and the
 * messages.
 *
 * cisternd gets the setting from its configuration at start. An embedded command reads the same
 * file when it needs the setting, so that other commands do not depend on the file.
 * service->hypervisor is set once, under the lock of the tables.
 */
#include "domains.h"

#include <service/domains.h>

#include <errno.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/place.h>
#include <base/settings.h>
#include <base/text.h>
#include <service/volumes.h>

#include "pool.h"
#include "scan.h"
#include "service.h"

#define NAMED_DISKS   5 /* in a message */
#define SETTING_GROUP "service"

/* --- the settings ----------------------------------------------------------------------------- */

typedef struct {
    GStrv uris;    /* NULL: the default */
    char *scratch; /* the same */
} DomainSettings;

static void domain_settings_clear(DomainSettings *settings)
{
    g_strfreev(settings->uris);
    g_free(settings->scratch);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DomainSettings, domain_settings_clear)

/* Implements CstSettingFunc; @data is a DomainSettings *. Other settings are cisternd's. */
static gboolean domain_settings_set(const char *group, const char *key, const char *value,
                                    unsigned line, gpointer data, GError **error)
{
    DomainSettings *settings = data;

    if (!g_str_equal(group, SETTING_GROUP))
        return TRUE;
    if (g_str_equal(key, "hypervisor")) {
        g_clear_pointer(&settings->uris, g_strfreev);
        return cst_hypervisor_parse_uris(value, &settings->uris, error);
    }
    if (g_str_equal(key, "backup_scratch"))
        return cst_hypervisor_parse_scratch(value, &settings->scratch, error);
    return TRUE;
}

/* The default of a setting that the configuration does not have is NULL. */
static gboolean domain_settings_read(const CstPaths *paths, DomainSettings *ret_settings,
                                     GError **error)
{
    g_autofree char *path = cst_paths_daemon_config(paths);

    return cst_settings_read_file(path, FALSE, domain_settings_set, ret_settings, error);
}

/* @uris NULL: the default. */
static CstHypervisor *domains_connect(const CstPaths *paths, const char *const *uris)
{
    return cst_hypervisor_new(uris, paths->session ? NULL : paths->run_dir,
                              CST_HYPERVISOR_DEADLINE_S);
}

/* Ends the backup jobs of dead processes, and removes their files. Logs failures. */
static void backups_recover(const CstPaths *paths, const char *scratch)
{
    g_autofree char *backups = cst_paths_backup_dir(paths);
    gboolean has_scratch = g_file_test(scratch, G_FILE_TEST_IS_DIR);
    g_autoptr(GError) why = NULL;

    if (!cst_hypervisor_backup_recover(backups, has_scratch ? scratch : NULL, &why))
        cst_log(CST_LOG_WARNING, _("cannot end the backup jobs of a dead process: %s"),
                why->message);
}

void cst_service_set_hypervisor(CstService *service, const char *const *uris, const char *scratch)
{
    g_mutex_lock(&service->tables);
    if (!service->hypervisor) {
        service->scratch = g_strdup(scratch);
        service->hypervisor = domains_connect(service->paths, uris);
    }
    g_mutex_unlock(&service->tables);
    if (scratch)
        backups_recover(service->paths, scratch);
}

/* Returns the connection to libvirt, which is borrowed; NULL with an error. */
static CstHypervisor *domains_hypervisor(CstService *service, GError **error)
{
    g_auto(DomainSettings) settings = {0};
    CstHypervisor *hypervisor;

    g_mutex_lock(&service->tables);
    hypervisor = service->hypervisor;
    g_mutex_unlock(&service->tables);
    if (hypervisor)
        return hypervisor;
    if (service->mode == CST_SERVICE_EMBEDDED &&
        !domain_settings_read(service->paths, &settings, error))
        return NULL;
    cst_service_set_hypervisor(service, (const char *const *)settings.uris, settings.scratch);
    return service->hypervisor;
}

void domains_free(CstService *service)
{
    cst_hypervisor_free(service->hypervisor);
    g_free(service->scratch);
}

void cst_service_run_helper(int argc, char **argv)
{
    cst_hypervisor_run_helper(argc, argv);
}

gboolean cst_service_define_domain(const CstPaths *paths, const char *name, const char *uuid,
                                   const char *document, GError **error)
{
    g_autoptr(CstHypervisor) hypervisor = NULL;
    g_auto(DomainSettings) settings = {0};

    if (!domain_settings_read(paths, &settings, error))
        return FALSE;
    hypervisor = domains_connect(paths, (const char *const *)settings.uris);
    return cst_hypervisor_define(hypervisor, name, uuid, document, error);
}

/* --- the question ----------------------------------------------------------------------------- */

/* A volume that is not a file or device, or cannot be opened, is compared by name only. */
static CstHypervisorVolume volume_identity(CstPool *pool, CstPoolState *state, const char *name)
{
    CstHypervisorVolume volume = {.pool = pool->name, .volume = name};
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(state, name, FALSE, NULL);

    if (blob && cst_blob_node_fd(blob) >= 0)
        cst_hypervisor_volume_set_file(&volume, cst_blob_node_fd(blob));
    return volume;
}

GPtrArray *volume_domains(CstPool *pool, CstPoolState *state, const char *name, CstTask *task,
                          GError **error)
{
    CstHypervisor *hypervisor = domains_hypervisor(pool->service, error);
    CstHypervisorVolume volume;

    if (!hypervisor)
        return NULL;
    if (!cst_hypervisor_is_used(hypervisor))
        return g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    volume = volume_identity(pool, state, name);
    return cst_hypervisor_find(hypervisor, &volume, task, error);
}

CstHypervisorVolume volume_domain_identity(const VolumeClaim *claim)
{
    return volume_identity(claim->pool, claim->state, claim->name);
}

/* --- domains with their drives ---------------------------------------------------------------- */

/*
 * Finds the volume by the path of a drive. *ret_pool is NULL if no active pool has it; *ret_problem
 * is the reason.
 */
static void drive_find_by_path(CstService *service, const CstDomainDrive *drive, char **ret_pool,
                               char **ret_volume, char **ret_problem)
{
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) why = NULL;

    if (cst_service_volume_by_path(service, drive->path, &pool, ret_volume, &why))
        *ret_pool = g_strdup(pool->name);
    else if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        *ret_problem = g_strdup_printf(_("'%s' is no volume of an active pool"), drive->path);
    else
        *ret_problem = g_strdup(why->message);
}

/* For a disk with type='volume' of a domain that does not run. */
static void drive_find_by_name(CstService *service, const CstDomainDrive *drive, char **ret_pool,
                               char **ret_volume, char **ret_problem)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstPool) pool = cst_service_pool_by_name(service, drive->pool, &why);
    g_autoptr(CstPoolState) state = pool ? pool_state_get(pool, &why) : NULL;
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, drive->volume, &why) : NULL;

    if (!volume) {
        *ret_problem = g_strdup(why->message);
        return;
    }
    *ret_pool = g_strdup(drive->pool);
    *ret_volume = g_strdup(drive->volume);
}

/* Replaces the names in the domain's document by the pool and the volume of this service. */
static void drive_find_volume(CstService *service, CstDomainDrive *drive)
{
    char *pool = NULL, *volume = NULL;

    if (drive->path)
        drive_find_by_path(service, drive, &pool, &volume, &drive->problem);
    else if (drive->pool && drive->volume)
        drive_find_by_name(service, drive, &pool, &volume, &drive->problem);
    else
        drive->problem = g_strdup(_("it is no file and no device of this host"));
    g_free(drive->pool);
    g_free(drive->volume);
    drive->pool = pool;
    drive->volume = volume;
}

static gboolean domains_check_name(const GPtrArray *domains, const char *name, gboolean has_libvirt,
                                   GError **error)
{
    g_autofree char *plain = cst_text_escape(name);

    if (!has_libvirt)
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("no domain '%s': libvirt does not run on this host"), plain);
    if (domains->len == 0)
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("libvirt has no domain '%s' (virsh list --all)"), plain);
    return domains->len == 1 ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("several domains have the name '%s'; use the UUID (virsh domuuid)"), plain);
}

GPtrArray *cst_service_domains(CstService *service, const char *name, CstTask *task, GError **error)
{
    CstHypervisor *hypervisor;
    g_autoptr(GPtrArray) domains = NULL;

    if (name && *name == '\0') {
        cst_fail(error, CST_ERROR_INVALID, _("the name of the domain is empty"));
        return NULL;
    }
    hypervisor = domains_hypervisor(service, error);
    if (hypervisor)
        domains = cst_hypervisor_domains(hypervisor, name, task, error);
    if (!domains ||
        (name && !domains_check_name(domains, name, cst_hypervisor_is_used(hypervisor), error)))
        return NULL;
    for (guint i = 0; i < domains->len; i++) {
        const CstDomain *domain = domains->pdata[i];

        for (guint j = 0; j < domain->drives->len; j++)
            drive_find_volume(service, domain->drives->pdata[j]);
    }
    return g_steal_pointer(&domains);
}

/* --- pauses ----------------------------------------------------------------------------------- */

/* Creates the parent of @directory, which other files of Cistern may share. */
static gboolean domains_make_parent(const char *directory, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(directory);

    return mkdir(parent, 0755) == 0 || errno == EEXIST ||
           cst_fail_errno(error, errno, _("cannot create directory '%s'"), parent);
}

CstHypervisorPause *volume_domain_pause(const VolumeClaim *claim, const CstDomainDisk *disk,
                                        const CstHypervisorVolume *volumes, guint count,
                                        GError **error)
{
    CstService *service = claim->pool->service;
    CstHypervisor *hypervisor = domains_hypervisor(service, error);
    g_autofree char *directory = cst_paths_pause_dir(service->paths);
    const CstHypervisorPauseRequest request = {.uri = disk->uri,
                                               .uuid = disk->uuid,
                                               .name = disk->domain,
                                               .volumes = volumes,
                                               .n_volumes = count,
                                               .freeze = TRUE,
                                               .directory = directory};

    if (!hypervisor || !domains_make_parent(directory, error))
        return NULL;
    return cst_hypervisor_pause_begin(hypervisor, &request, claim->task, error);
}

/* --- backup jobs ------------------------------------------------------------------------------ */

/* Bytes that stay free on the file system of the scratch files. Other data of Cistern is there. */
#define SCRATCH_RESERVE (UINT64_C(256) << 20)

/* Returns the directory of scratch files, which the caller frees. The hypervisor is set. */
static char *scratch_directory(const CstService *service)
{
    return service->scratch ? g_strdup(service->scratch) : cst_paths_scratch_dir(service->paths);
}

/*
 * Creates the directory of scratch files. QEMU's user must be able to search it. An administrator
 * may have named a directory below that of another user, who could exchange it.
 */
static gboolean scratch_make(const CstService *service, const char *directory, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(directory);
    g_auto(CstPlace) place = CST_PLACE_INIT;

    if (!service->scratch && g_mkdir_with_parents(parent, 0755) < 0)
        return cst_fail_errno(error, errno, _("cannot create directory '%s'"), parent);
    if (!cst_place_init(&place, directory, error))
        return FALSE;
    if (!cst_place_is_secure(&place))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("another user can exchange the scratch directory '%s'; name one below "
                          "directories of root"),
                        directory);
    return mkdirat(place.dir, place.name, 0711) == 0 || errno == EEXIST ||
           cst_fail_errno(error, errno, _("cannot create directory '%s'"), directory);
}

CstHypervisorVolume *volumes_identify(const CstSnapshotVolume *volumes, guint count, GError **error)
{
    g_autofree CstHypervisorVolume *identities = g_new0(CstHypervisorVolume, count);

    for (guint i = 0; i < count; i++) {
        g_autoptr(CstPoolState) state = pool_state_get(volumes[i].pool, error);

        if (!state)
            return NULL;
        identities[i] = volume_identity(volumes[i].pool, state, volumes[i].volume);
    }
    return g_steal_pointer(&identities);
}

CstHypervisorBackup *domain_backup_begin(CstService *service, const CstDomainDisk *disk,
                                         const CstHypervisorVolume *volumes, guint count,
                                         const CstLiveRequest *checkpoints, CstTask *task,
                                         CstHypervisorPauseResult *ret_result, GError **error)
{
    CstHypervisor *hypervisor = domains_hypervisor(service, error);
    g_autofree char *pauses = cst_paths_pause_dir(service->paths);
    g_autofree char *directory = cst_paths_backup_dir(service->paths);
    g_autofree char *scratch = scratch_directory(service);
    const CstHypervisorBackupRequest request = {.uri = disk->uri,
                                                .uuid = disk->uuid,
                                                .name = disk->domain,
                                                .volumes = volumes,
                                                .n_volumes = count,
                                                .freeze = TRUE,
                                                .pauses = pauses,
                                                .directory = directory,
                                                .scratch = scratch,
                                                .reserve = SCRATCH_RESERVE,
                                                .checkpoint = checkpoints->checkpoint,
                                                .bases = checkpoints->bases};

    if (!hypervisor || !domains_make_parent(directory, error) ||
        !scratch_make(service, scratch, error))
        return NULL;
    return cst_hypervisor_backup_begin(hypervisor, &request, task, ret_result, error);
}

/* --- block jobs ------------------------------------------------------------------------------- */

CstHypervisorJob *volume_domain_job(const VolumeClaim *claim, const CstDomainDisk *disk,
                                    CstHypervisorJobRequest *request, CstHypervisorPivot *ret_pivot,
                                    GError **error)
{
    CstService *service = claim->pool->service;
    CstHypervisor *hypervisor = domains_hypervisor(service, error);
    g_autofree char *directory = cst_paths_block_job_dir(service->paths);
    const CstHypervisorVolume volume = volume_domain_identity(claim);

    request->uri = disk->uri;
    request->uuid = disk->uuid;
    request->name = disk->domain;
    request->volume = &volume;
    request->rate = cst_task_rate(claim->task);
    request->directory = directory;
    *ret_pivot = CST_HYPERVISOR_NOT_PIVOTED;
    if (!hypervisor || !domains_make_parent(directory, error))
        return NULL;
    return cst_hypervisor_job_begin(hypervisor, request, claim->task, ret_pivot, error);
}

/* --- recovery --------------------------------------------------------------------------------- */

void domains_recover(CstService *service)
{
    g_autofree char *pauses = cst_paths_pause_dir(service->paths);
    g_autofree char *jobs = cst_paths_block_job_dir(service->paths);
    g_autofree char *scratch = cst_paths_scratch_dir(service->paths);
    g_autoptr(GError) why = NULL;

    if (!cst_hypervisor_pause_recover(pauses, &why))
        cst_log(CST_LOG_WARNING, _("cannot resume the domains of a dead process: %s"),
                why->message);
    g_clear_error(&why);
    if (!cst_hypervisor_job_recover(jobs, &why))
        cst_log(CST_LOG_WARNING, _("cannot end the block jobs of a dead process: %s"),
                why->message);
    backups_recover(service->paths, scratch);
}

/* --- growth ----------------------------------------------------------------------------------- */

gboolean volume_domain_resize(const VolumeClaim *claim, const CstDomainDisk *found,
                              CstHypervisorDisk *disk, CstDiskFitness *ret_fitness,
                              uint64_t *ret_capacity, gboolean *ret_sent, GError **error)
{
    CstHypervisor *hypervisor = domains_hypervisor(claim->pool->service, error);
    CstHypervisorVolume volume;

    if (!hypervisor)
        return FALSE;
    *ret_fitness = CST_DISK_GONE;
    *ret_sent = FALSE;
    volume = volume_identity(claim->pool, claim->state, claim->name);
    disk->uri = found->uri;
    disk->uuid = found->uuid;
    disk->target = found->target;
    if (!volume.has_file)
        return !disk->change ||
               cst_fail(error, CST_ERROR_FAILED, _("cannot open volume '%s'"), claim->name);
    return cst_hypervisor_resize(hypervisor, &volume, disk, claim->task, ret_fitness, ret_capacity,
                                 ret_sent, error);
}

/* --- messages --------------------------------------------------------------------------------- */

/* Describes how a domain uses the volume. The caller frees the text. */
static char *domain_disk_text(const CstDomainDisk *disk)
{
    g_autofree char *domain = cst_text_escape(disk->domain);
    g_autofree char *target = cst_text_escape(disk->target);
    const char *state = _(cst_domain_state_word(disk->state));
    const char *agent = _(cst_domain_agent_word(disk->agent));

    if (disk->state == CST_DOMAIN_SAVED)
        return g_strdup_printf(_("domain '%s' has a managed save, whose memory belongs to the "
                                 "content of disk '%s'"),
                               domain, target);
    if (disk->level > 0)
        return g_strdup_printf(_("domain '%s' (%s, guest agent: %s) has it below disk '%s'"),
                               domain, state, agent, target);
    return g_strdup_printf(_("domain '%s' (%s, guest agent: %s) has it as disk '%s'"), domain,
                           state, agent, target);
}

/* Returns what an administrator can do about the use by a domain. The caller frees the text. */
static char *domain_next_step(const CstDomainDisk *disk)
{
    g_autofree char *plain = cst_text_escape(disk->domain);
    g_autofree char *domain = g_shell_quote(plain);

    if (disk->state == CST_DOMAIN_SAVED)
        return g_strdup_printf(_("start the domain and shut it down, or drop the saved memory "
                                 "(virsh managedsave-remove %s)"),
                               domain);
    if (disk->state == CST_DOMAIN_RUNNING)
        return g_strdup_printf(_("shut the domain down (virsh shutdown %s)"), domain);
    return g_strdup_printf(_("resume the domain and shut it down, or stop it (virsh destroy %s)"),
                           domain);
}

/* Describes @disks, which are not empty, with the next step for the first. */
static char *domains_text(const GPtrArray *disks)
{
    g_autofree char *step = domain_next_step(disks->pdata[0]);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < MIN(disks->len, NAMED_DISKS); i++) {
        g_autofree char *disk = domain_disk_text(disks->pdata[i]);

        g_string_append_printf(text, "%s; ", disk);
    }
    g_string_append(text, step);
    return g_string_free(text, FALSE);
}

/* Moves the disks of domains without a managed save to @ret_running. */
static void domains_split(GPtrArray *disks, GPtrArray *ret_running)
{
    for (guint i = 0; i < disks->len;)
        if (((const CstDomainDisk *)disks->pdata[i])->state == CST_DOMAIN_SAVED)
            i++;
        else
            g_ptr_array_add(ret_running, g_ptr_array_steal_index(disks, i));
}

/* @ret_running: gets the disks of running domains, which are permitted. NULL: they are not. */
static gboolean domains_refuse(const VolumeClaim *claim, GPtrArray *ret_running, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) disks =
        volume_domains(claim->pool, claim->state, claim->name, claim->task, &why);
    g_autofree char *text = NULL;

    if (disks && ret_running)
        domains_split(disks, ret_running);
    if (disks && disks->len == 0)
        return TRUE;
    if (disks) {
        text = domains_text(disks);
        return cst_fail(error, CST_ERROR_BUSY, _("volume '%s' is in use: %s"), claim->name, text);
    }
    if (g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return cst_fail(error, cst_error_code(why),
                    _("cannot verify that no domain has volume '%s' in a managed save: %s; try "
                      "again when libvirt answers, or set hypervisor = none in cisternd.conf"),
                    claim->name, why->message);
}

gboolean volume_not_in_domain(const VolumeClaim *claim, GError **error)
{
    return domains_refuse(claim, NULL, error);
}

gboolean volume_not_saved(const VolumeClaim *claim, GPtrArray **ret_running, GError **error)
{
    *ret_running = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    return domains_refuse(claim, *ret_running, error);
}

void volume_explain_domains(const VolumeClaim *claim, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(GPtrArray) disks = NULL;
    g_autofree char *text = NULL;
    GError *longer;

    if (!error)
        return;
    disks = volume_domains(claim->pool, claim->state, claim->name, claim->task, &problem);
    if (!disks)
        cst_log(CST_LOG_WARNING, _("cannot find the domains that use volume '%s': %s"), claim->name,
                problem->message);
    if (!disks || disks->len == 0)
        return;
    text = domains_text(disks);
    longer = g_error_new((*error)->domain, (*error)->code, "%s; %s", (*error)->message, text);
    g_error_free(*error);
    *error = longer;
}

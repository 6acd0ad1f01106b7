/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The point in time of a copy of one volume. A process that writes to the volume during the copy
 * would mix content of different points in time. If the volume is a disk of a running domain, a
 * backup job of libvirt keeps its content meanwhile (cst_conn_live_create()).
 *
 *   read    libvirt is asked only if a process may write to the volume
 *   begin   the job begins; the file systems of the guest are frozen for that
 *   end     the job ends. It also ends with the connection, if this process is killed
 *
 * The job shows the guest's bytes. They are those of the volume only if the domain uses it in the
 * format that the volume has, and without encryption by QEMU.
 *
 * Without a live snapshot, the volume itself is read: the service refuses an image that a process
 * writes to. It reads raw content, which then gets a warning.
 */
#include "live_copy.h"

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <model/pool_type.h>

#include "commands/changed.h"
#include "commands/consistency.h"
#include "commands/xml.h"
#include "core/interrupt.h"
#include "domains.h"
#include "output/progress.h"
#include "output/text.h"

#define PLAIN_FORMAT "raw" /* of devices, and of disks and volumes without a format */

void cli_live_copy_clear(CliLiveCopy *copy)
{
    if (copy->vol)
        cli_live_copy_end(copy, FALSE, NULL);
    if (copy->keeps_signal)
        cli_interrupt_end();
    g_clear_pointer(&copy->writers, g_free);
    g_clear_pointer(&copy->disk, cst_domain_disk_free);
    g_clear_pointer(&copy->format, g_free);
    g_clear_error(&copy->why);
    cst_snapshot_set_clear(&copy->set);
}

/* --- the disk of a domain --------------------------------------------------------------------- */

/* Finds the format of the volume's content, which the caller frees. Returns NULL with an error. */
static char *live_copy_volume_format(const CliLiveCopy *copy, GError **error)
{
    CstConn *conn = copy->ctl->conn;
    g_autoptr(CstPoolRef) pool = cst_conn_pool_of_vol(conn, copy->vol, error);
    g_autofree char *pool_xml = pool ? cst_conn_pool_xml(conn, pool, 0, error) : NULL;
    g_autofree char *type_name = pool_xml ? cli_xml_text(pool_xml, "/pool/@type") : NULL;
    g_autofree char *xml = pool_xml ? cst_conn_vol_xml(conn, copy->vol, 0, error) : NULL;
    char *format = NULL;
    CstPoolType type;

    if (!xml)
        return NULL;
    /* The documents of devices may report the format of their content. */
    if (type_name && cst_pool_type_parse(type_name, &type) &&
        cst_pool_type_info(type)->volume_formats)
        format = cli_xml_text(xml, "/volume/target/format/@type");
    return format ? format : g_strdup(PLAIN_FORMAT);
}

static const CstDomainLayer *domain_find_layer(const CstDomainDef *def, const char *target)
{
    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = def->layers->pdata[i];

        if (layer->level == 0 && g_strcmp0(layer->target, target) == 0)
            return layer;
    }
    return NULL;
}

/* Checks that the guest sees the bytes of the volume in the format of the volume, which is set. */
static gboolean live_copy_check_format(CliLiveCopy *copy, const CstDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) domains = cst_conn_domains(copy->ctl->conn, disk->uuid, error);
    const CstDomain *domain = domains && domains->len == 1 ? domains->pdata[0] : NULL;
    g_autoptr(CstDomainDef) def = domain ? cst_domain_def_parse(domain->document, error) : NULL;
    g_autofree char *format = def ? live_copy_volume_format(copy, error) : NULL;
    const CstDomainLayer *layer = format ? domain_find_layer(def, disk->target) : NULL;
    const char *used = layer && layer->format ? layer->format : PLAIN_FORMAT;

    if (domains && !domain)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("no domain '%s'"), disk->domain);
    if (!format)
        return FALSE;
    if (!layer)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("domain '%s' has no disk '%s' any more"),
                        disk->domain, disk->target);
    if (layer->translated)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("the domain decrypts the disk, or uses a part of the volume"));
    if (strcmp(used, format) == 0) {
        copy->format = g_steal_pointer(&format);
        return TRUE;
    }
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("the domain uses the volume in format '%s', and the volume has format '%s'"),
                    used, format);
}

/* Finds the running domain with the volume as a writable disk. *ret_disk NULL: there is none. */
static gboolean live_copy_find_disk(const CliLiveCopy *copy, CstDomainDisk **ret_disk,
                                    GError **error)
{
    g_autoptr(GPtrArray) disks = cst_conn_vol_domains(copy->ctl->conn, copy->vol, error);

    *ret_disk = disks ? cli_disks_steal_running(disks) : NULL;
    return disks != NULL;
}

/* --- the options and the writers -------------------------------------------------------------- */

void cli_live_copy_give_up(CliLiveCopy *copy, GError *why)
{
    g_clear_error(&copy->why);
    g_clear_pointer(&copy->disk, cst_domain_disk_free);
    /* A server without these calls, and a connection for reading, know no domains. */
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_DENIED) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_READ_ONLY))
        g_error_free(why);
    else
        copy->why = why;
}

gboolean cli_live_copy_is_plain(const CliLiveCopy *copy)
{
    return copy->disk && strcmp(copy->format, PLAIN_FORMAT) == 0;
}

/* Sets the disk, or the reason why no live snapshot is possible. */
static gboolean live_copy_look_up(CliLiveCopy *copy, GError **error)
{
    g_autoptr(CstDomainDisk) disk = NULL;
    GError *why = NULL;

    if (!live_copy_find_disk(copy, &disk, &why) ||
        (disk && !live_copy_check_format(copy, disk, &why))) {
        if (g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED)) {
            g_propagate_error(error, why);
            return FALSE;
        }
        if (disk)
            g_prefix_error(&why, _("disk '%s' of domain '%s': "), disk->target, disk->domain);
        cli_live_copy_give_up(copy, why);
        return TRUE;
    }
    copy->disk = g_steal_pointer(&disk);
    return TRUE;
}

static void live_copy_find_writers(CliLiveCopy *copy)
{
    g_autoptr(GPtrArray) holders = cst_conn_vol_holders(copy->ctl->conn, copy->vol, NULL);

    g_free(copy->writers);
    copy->knows_writers = holders != NULL;
    copy->writers = cli_holders_writers(holders);
}

gboolean cli_live_copy_read(CliCtl *ctl, const CliArgs *args, const CstVolRef *vol,
                            const char *name, CliLiveCopy *copy, GError **error)
{
    *copy = (CliLiveCopy){.ctl = ctl, .vol = vol, .name = name};
    copy->is_forced = cli_args_has(args, "force-share");
    if (!cli_consistency_read(args, &copy->minimum, error) ||
        !cli_args_exclusive(args, "consistency", "force-share", error) ||
        (cli_args_has(args, "snapshot") &&
         !cli_args_exclusive(args, "consistency", "snapshot", error)))
        return FALSE;
    if (copy->is_forced || cli_args_has(args, "snapshot")) {
        copy->writers = cli_vol_writers(ctl, vol);
        return TRUE;
    }
    live_copy_find_writers(copy);
    return !*copy->writers || live_copy_look_up(copy, error);
}

/* --- the live snapshot ------------------------------------------------------------------------ */

static gboolean run_live_create(CstTask *task, gpointer data, GError **error)
{
    CliLiveCopy *copy = data;
    const CstLiveRequest request = {.snapshot = {.name = copy->snapshot, .minimum = copy->minimum}};
    g_autoptr(GPtrArray) vols = g_ptr_array_new();

    g_ptr_array_add(vols, (gpointer)copy->vol);
    return cst_conn_live_create(copy->ctl->conn, vols, &request, task, &copy->set, error);
}

/* With --detach, only the copy itself goes on without this process. */
static gboolean live_copy_create(CliLiveCopy *copy, GError **error)
{
    CliCtl *ctl = copy->ctl;

    copy->snapshot = g_strdup_printf("%scopy-%08x", CST_LIVE_PREFIX, g_random_int());
    if (ctl->current->command->flags & CLI_CMD_WORKS || !cli_args_has(ctl->current, "detach")
            ? cli_run_task(ctl, _("Taking snapshot"), run_live_create, copy, error)
            : run_live_create(NULL, copy, error))
        return TRUE;
    g_clear_pointer(&copy->snapshot, g_free);
    return FALSE;
}

/* Checks that the guest's disk has the size of the volume. */
static gboolean live_copy_check_size(const CliLiveCopy *copy, GError **error)
{
    CstConn *conn = copy->ctl->conn;
    g_autofree char *identity = NULL;
    uint64_t capacity;
    CstVolInfo info;

    if (!cli_snapshot_identify(conn, copy->vol, copy->snapshot, &identity, &capacity, error) ||
        !cst_conn_vol_info(conn, copy->vol, FALSE, &info, error))
        return FALSE;
    return capacity == info.capacity ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("the guest's disk has %" PRIu64 " bytes, and the volume %" PRIu64
                      "; refresh the pool (pool-refresh)"),
                    capacity, info.capacity);
}

static void live_copy_end_job(CliLiveCopy *copy)
{
    g_autofree char *snapshot = g_steal_pointer(&copy->snapshot);
    g_autoptr(GError) why = NULL;

    if (snapshot && !cst_conn_live_end(copy->ctl->conn, snapshot, &why))
        cli_warn(copy->ctl, _("warning: the backup job of a domain may still run: %s\n"),
                 why->message);
}

/* Makes the live snapshot, or sets the reason why it is not possible. */
static gboolean live_copy_try(CliLiveCopy *copy, GError **error)
{
    GError *why = NULL;

    if (live_copy_create(copy, &why)) {
        if (live_copy_check_size(copy, &why))
            return TRUE;
        live_copy_end_job(copy);
        cst_snapshot_set_clear(&copy->set);
        copy->set = (CstSnapshotSet){0};
    }
    copy->is_planned = g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED) ||
        (copy->minimum && g_error_matches(why, CST_ERROR, CST_ERROR_STATE))) {
        g_propagate_error(error, why);
        return FALSE;
    }
    if (copy->is_planned || g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
        g_error_free(why); /* the domain has ended since */
        return TRUE;
    }
    g_prefix_error(&why, _("disk '%s' of domain '%s': "), copy->disk->target, copy->disk->domain);
    cli_live_copy_give_up(copy, why);
    return TRUE;
}

/* --- the level -------------------------------------------------------------------------------- */

/* Finds out whether no process writes to the volume, and no saved memory belongs to its content. */
static CstConsistency live_copy_rest_level(CliLiveCopy *copy, char **ret_reason)
{
    g_autoptr(GPtrArray) disks = NULL;

    live_copy_find_writers(copy);
    if (!copy->knows_writers) {
        *ret_reason = g_strdup(_("this server does not report which programs write to the volume"));
        return CST_CONSISTENCY_UNKNOWN;
    }
    if (*copy->writers) {
        *ret_reason = g_strdup_printf(_("it is open for writing: %s"), copy->writers);
        return CST_CONSISTENCY_UNKNOWN;
    }
    disks = cst_conn_vol_domains(copy->ctl->conn, copy->vol, NULL);
    for (guint i = 0; disks && i < disks->len; i++) {
        const CstDomainDisk *disk = disks->pdata[i];

        if (!disk->reads_only) {
            *ret_reason =
                disk->state == CST_DOMAIN_SAVED
                    ? g_strdup_printf(_("domain '%s' has a managed save"), disk->domain)
                    : g_strdup_printf(_("domain '%s' runs with it as a disk"), disk->domain);
            return disk->state == CST_DOMAIN_SAVED ? CST_CONSISTENCY_CRASH
                                                   : CST_CONSISTENCY_UNKNOWN;
        }
    }
    if (disks)
        return CST_CONSISTENCY_OFFLINE;
    *ret_reason = g_strdup(_("libvirt does not answer"));
    return CST_CONSISTENCY_UNKNOWN;
}

/* Fails if the volume itself, as it is now, has not the requested consistency. */
static gboolean live_copy_check_rest(CliLiveCopy *copy, GError **error)
{
    g_autofree char *reason = NULL;
    CstConsistency level;

    if (copy->minimum == CST_CONSISTENCY_UNKNOWN || copy->is_planned || copy->set.consistency)
        return TRUE;
    level = live_copy_rest_level(copy, &reason);
    return level >= copy->minimum ||
           cst_fail(error, CST_ERROR_STATE,
                    _("a copy of vol '%s' would have consistency '%s', not '%s': %s"), copy->name,
                    cst_consistency_word(level), cst_consistency_word(copy->minimum),
                    copy->why ? copy->why->message : reason);
}

gboolean cli_live_copy_begin(CliLiveCopy *copy, GError **error)
{
    /* The copy has several tasks. A signal that comes while one ends cancels the next one. */
    cli_interrupt_begin();
    copy->keeps_signal = TRUE;
    return (!copy->disk || live_copy_try(copy, error)) && live_copy_check_rest(copy, error);
}

void cli_live_copy_put(const CliLiveCopy *copy, CstVolSend *what)
{
    if (copy->snapshot)
        what->snapshot = copy->snapshot;
    else if (copy->is_planned)
        what->flags |= CST_VOL_STREAM_FORCE_SHARE;
}

gboolean cli_live_copy_end(CliLiveCopy *copy, gboolean ok, GError **error)
{
    live_copy_end_job(copy);
    if (ok)
        return live_copy_check_rest(copy, error);
    if (error && *error && copy->why && g_error_matches(*error, CST_ERROR, CST_ERROR_BUSY)) {
        g_autoptr(GError) short_error = g_steal_pointer(error);

        cst_fail(error, CST_ERROR_BUSY, _("%s; libvirt cannot keep the content for the copy: %s"),
                 short_error->message, copy->why->message);
    }
    return FALSE;
}

/* --- the result ------------------------------------------------------------------------------- */

void cli_live_copy_drop(const CliLiveCopy *copy, CstVolRef *made)
{
    g_autoptr(GError) why = NULL;

    if (!cst_conn_vol_delete(copy->ctl->conn, made, CST_VOL_DELETE_AT_ONCE, NULL, &why))
        cli_warn(copy->ctl, _("warning: cannot delete vol '%s': %s\n"), made->name, why->message);
    cst_vol_ref_free(made);
}

void cli_live_copy_warn(const CliLiveCopy *copy)
{
    if (copy->set.consistency || copy->is_planned || copy->ctl->settings.quiet || !*copy->writers)
        return;
    if (copy->why)
        cli_warn(copy->ctl,
                 _("warning: vol '%s' is open for writing: %s; the copy may be inconsistent, "
                   "because libvirt cannot keep the content for it: %s\n"),
                 copy->name, copy->writers, copy->why->message);
    else
        cli_vol_warn_of(copy->ctl, copy->name, copy->writers);
}

void cli_live_copy_print(const CliLiveCopy *copy)
{
    cli_consistency_print(copy->ctl, copy->set.consistency, copy->set.reason);
}

guint cli_live_copy_facts(const CliLiveCopy *copy, CliFact ret_facts[CLI_LIVE_COPY_FACTS])
{
    const CstSnapshotSet *set = &copy->set;
    guint count = 0;

    if (set->consistency == CST_CONSISTENCY_UNKNOWN)
        return 0;
    ret_facts[count++] = cli_fact_text("consistency", NULL, cst_consistency_word(set->consistency));
    ret_facts[count++] = cli_fact_text("reason", NULL, set->reason);
    ret_facts[count++] = cli_fact_text("domain", NULL, set->domain);
    ret_facts[count++] = cli_fact_text("disk", NULL, copy->disk->target);
    ret_facts[count++] = cli_fact_number("frozen_ms", NULL, TRUE, set->frozen_us / 1000);
    return count;
}

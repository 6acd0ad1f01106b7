/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Live snapshots (service/live.h): a backup job of libvirt, and NBD connections to its QEMU.
 *
 * service->live_sets has all sets, guarded by service->tables, so that a reader finds a snapshot by
 * its volume and name. The table of a connection has the same sets. A reader holds a reference, so
 * the job of a set that was ended goes on until its last reader has closed.
 *
 * The end of a job waits for libvirt. A connection ends in the event loop of the daemon, which must
 * not wait, so a thread ends its sets.
 */
#include "live.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/text.h>
#include <blob/nbd.h>
#include <hypervisor/backup.h>

#include "domains.h"
#include "pool.h"
#include "service.h"

/* Seconds in which QEMU must send a byte. It may wait for the storage of the disk. */
#define LIVE_READ_S 30

/* The process that holds the job may report its end later than QEMU closes the connection. */
#define LIVE_REASON_US (2 * G_TIME_SPAN_SECOND)
#define LIVE_POLL_US   (50 * G_TIME_SPAN_MILLISECOND)

typedef struct {
    char *pool, *volume;
    char *base;          /* checkpoint, to query the changes since then; NULL: without one */
    char *base_identity; /* of the base, with the image as it is now */
    char *identity;      /* of the new checkpoint; NULL: it does not have the volume */
} LiveMember;

struct LiveSet {
    gint refs; /* atomic */
    char *name;
    GArray *members; /* of LiveMember, in the order of the exports */
    CstHypervisorBackup *backup;
};

struct CstLiveSnapshots {
    CstService *service;
    GMutex lock;     /* guards the members below */
    GPtrArray *sets; /* of LiveSet * */
    gboolean closed;
};

static void live_member_clear(gpointer data)
{
    LiveMember *member = data;

    g_free(member->pool);
    g_free(member->volume);
    g_free(member->base);
    g_free(member->base_identity);
    g_free(member->identity);
}

static LiveSet *live_set_new(const char *name, const CstSnapshotVolume *volumes, guint count)
{
    LiveSet *set = g_new0(LiveSet, 1);

    set->refs = 1;
    set->name = g_strdup(name);
    set->members = g_array_new(FALSE, FALSE, sizeof(LiveMember));
    g_array_set_clear_func(set->members, live_member_clear);
    for (guint i = 0; i < count; i++) {
        LiveMember member = {.pool = g_strdup(volumes[i].pool->name),
                             .volume = g_strdup(volumes[i].volume)};

        g_array_append_val(set->members, member);
    }
    return set;
}

LiveSet *live_set_ref(LiveSet *set)
{
    g_atomic_int_inc(&set->refs);
    return set;
}

void live_set_unref(LiveSet *set)
{
    if (!set || !g_atomic_int_dec_and_test(&set->refs))
        return;
    cst_hypervisor_backup_end(set->backup);
    g_array_unref(set->members);
    g_free(set->name);
    g_free(set);
}

/* Finds the volume in the set. */
static gboolean live_set_has(const LiveSet *set, const char *pool, const char *volume,
                             guint *ret_index)
{
    for (guint i = 0; i < set->members->len; i++) {
        const LiveMember *member = &g_array_index(set->members, LiveMember, i);

        if (strcmp(member->pool, pool) == 0 && strcmp(member->volume, volume) == 0) {
            *ret_index = i;
            return TRUE;
        }
    }
    return FALSE;
}

LiveSet *live_set_find(CstService *service, const char *pool, const char *volume, const char *name,
                       guint *ret_index)
{
    LiveSet *found = NULL;

    g_mutex_lock(&service->tables);
    for (guint i = 0; !found && i < service->live_sets->len; i++) {
        LiveSet *set = service->live_sets->pdata[i];

        if (strcmp(set->name, name) == 0 && live_set_has(set, pool, volume, ret_index))
            found = live_set_ref(set);
    }
    g_mutex_unlock(&service->tables);
    return found;
}

/* Finds QEMU's user, who owns the directory of the socket. Its parent belongs to this process. */
static gboolean live_set_owner(const LiveSet *set, uid_t *ret_owner, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(cst_hypervisor_backup_socket(set->backup));
    struct stat st;

    if (!cst_node_stat(directory, &st))
        return cst_fail_errno(error, errno, _("cannot find '%s'"), directory);
    *ret_owner = st.st_uid;
    return TRUE;
}

CstBlob *live_set_open(const LiveSet *set, guint index, GError **error)
{
    const LiveMember *member = &g_array_index(set->members, LiveMember, index);
    uid_t owner;

    if (!live_set_owner(set, &owner, error))
        return NULL;
    return cst_blob_nbd_open(cst_hypervisor_backup_socket(set->backup),
                             cst_hypervisor_backup_export(set->backup, index), owner,
                             member->volume, LIVE_READ_S, error);
}

/* Reports no changes, the size of the volume and the identity of the new checkpoint. */
static gboolean live_set_identify(const LiveSet *set, guint index, CstChanged *changed,
                                  GError **error)
{
    const LiveMember *member = &g_array_index(set->members, LiveMember, index);
    g_autoptr(CstBlob) blob = live_set_open(set, index, error);
    uint64_t size;

    if (!blob || !cst_blob_get_size(blob, &size, error))
        return FALSE;
    cst_changed_begin(changed, size, g_strdup(member->identity));
    cst_changed_end(changed, size);
    return TRUE;
}

gboolean live_set_changed(const LiveSet *set, guint index, const char *since, CstChanged *changed,
                          GError **error)
{
    const LiveMember *member = &g_array_index(set->members, LiveMember, index);
    g_autofree char *context = NULL;
    uid_t owner;

    if (strcmp(since, set->name) == 0)
        return live_set_identify(set, index, changed, error);
    if (!member->base || !g_str_has_prefix(since, CST_CHECKPOINT_PREFIX) ||
        strcmp(since + strlen(CST_CHECKPOINT_PREFIX), member->base) != 0)
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("the changes of volume '%s' since '%s' are not known"), member->volume,
                        since);
    context = cst_hypervisor_backup_changes(set->backup, index, error);
    return context && live_set_owner(set, &owner, error) &&
           cst_blob_nbd_changes(cst_hypervisor_backup_socket(set->backup),
                                cst_hypervisor_backup_export(set->backup, index), owner, context,
                                member->base_identity, LIVE_READ_S, changed, error);
}

gboolean live_set_check(const LiveSet *set, GError **error)
{
    return cst_hypervisor_backup_check(set->backup, error);
}

void live_set_explain(const LiveSet *set, GError **error)
{
    gint64 end = g_get_monotonic_time() + LIVE_REASON_US;
    g_autoptr(GError) why = NULL;

    if (!error || g_error_matches(*error, CST_ERROR, CST_ERROR_CANCELLED))
        return;
    while (live_set_check(set, &why) && g_get_monotonic_time() < end)
        g_usleep(LIVE_POLL_US);
    if (!why)
        return;
    g_clear_error(error);
    *error = g_steal_pointer(&why);
}

/* --- the table of a connection ---------------------------------------------------------------- */

CstLiveSnapshots *cst_live_snapshots_new(CstService *service)
{
    CstLiveSnapshots *live = g_new0(CstLiveSnapshots, 1);

    live->service = service;
    live->sets = g_ptr_array_new();
    g_mutex_init(&live->lock);
    return live;
}

/* Removes the set from the service. The caller keeps the reference of the connection. */
static void live_forget(CstService *service, LiveSet *set)
{
    g_mutex_lock(&service->tables);
    g_ptr_array_remove(service->live_sets, set);
    g_mutex_unlock(&service->tables);
}

LiveSet *live_snapshots_find(CstLiveSnapshots *live, const CstPool *pool, const char *volume,
                             guint *ret_index, GError **error)
{
    LiveSet *found = NULL;

    g_mutex_lock(&live->lock);
    for (guint i = 0; !found && i < live->sets->len; i++)
        if (live_set_has(live->sets->pdata[i], pool->name, volume, ret_index))
            found = live_set_ref(live->sets->pdata[i]);
    g_mutex_unlock(&live->lock);
    if (!found)
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("this connection has no live snapshot of volume '%s'"), volume);
    return found;
}

static gpointer live_end_thread(gpointer data)
{
    live_set_unref(data);
    return NULL;
}

void cst_live_snapshots_close(CstLiveSnapshots *live)
{
    g_mutex_lock(&live->lock);
    live->closed = TRUE;
    while (live->sets->len > 0) {
        LiveSet *set = g_ptr_array_steal_index(live->sets, 0);
        GThread *thread;

        live_forget(live->service, set);
        thread = g_thread_try_new("live-end", live_end_thread, set, NULL);
        if (thread)
            g_thread_unref(thread);
        else
            live_set_unref(set);
    }
    g_mutex_unlock(&live->lock);
}

void cst_live_snapshots_free(CstLiveSnapshots *live)
{
    if (!live)
        return;
    cst_live_snapshots_close(live);
    g_ptr_array_unref(live->sets);
    g_mutex_clear(&live->lock);
    g_free(live);
}

/* Consumes @set. Fails if the connection has ended. */
static gboolean live_add(CstLiveSnapshots *live, LiveSet *set, GError **error)
{
    gboolean closed;

    g_mutex_lock(&live->lock);
    closed = live->closed;
    if (!closed) {
        g_ptr_array_add(live->sets, set);
        g_mutex_lock(&live->service->tables);
        g_ptr_array_add(live->service->live_sets, set);
        g_mutex_unlock(&live->service->tables);
    }
    g_mutex_unlock(&live->lock);
    if (!closed)
        return TRUE;
    live_set_unref(set);
    return cst_fail(error, CST_ERROR_STATE, "%s", _("the connection has ended"));
}

/* --- begin and end ---------------------------------------------------------------------------- */

/* Finds the disk of the running domain that shows the volume. Returns NULL with an error. */
static CstDomainDisk *live_find_disk(const CstSnapshotVolume *of, CstTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(of->pool, error);
    g_autoptr(GPtrArray) disks =
        state ? volume_domains(of->pool, state, of->volume, task, error) : NULL;

    for (guint i = 0; disks && i < disks->len; i++) {
        const CstDomainDisk *disk = disks->pdata[i];

        if (disk->state < CST_DOMAIN_ENDING && disk->level == 0 && !disk->reads_only &&
            !disk->by_name)
            return g_ptr_array_steal_index(disks, i);
    }
    if (disks)
        cst_fail(
            error, CST_ERROR_NOT_FOUND,
            _("volume '%s' is no disk of a running domain, so libvirt cannot keep its content"),
            of->volume);
    return NULL;
}

/* Checks that the domain of @disk has the other volumes, too. */
static gboolean live_check_domain(const CstDomainDisk *disk, const CstSnapshotVolume *volumes,
                                  guint count, CstTask *task, GError **error)
{
    for (guint i = 1; i < count; i++) {
        g_autoptr(CstDomainDisk) other = live_find_disk(&volumes[i], task, error);

        if (!other)
            return FALSE;
        if (strcmp(other->uuid, disk->uuid) != 0)
            return cst_fail(error, CST_ERROR_INVALID,
                            _("volumes '%s' and '%s' are disks of two domains"), volumes[0].volume,
                            volumes[i].volume);
    }
    return TRUE;
}

static gboolean live_check_name(CstService *service, const CstSnapshotVolume *volumes, guint count,
                                const char *name, GError **error)
{
    for (guint i = 0; i < count; i++) {
        guint index;
        g_autoptr(LiveSet) set =
            live_set_find(service, volumes[i].pool->name, volumes[i].volume, name, &index);

        if (set)
            return cst_fail(error, CST_ERROR_EXISTS, _("volume '%s' has a snapshot '%s' already"),
                            volumes[i].volume, name);
    }
    return TRUE;
}

/* Takes the level of the freeze. Fails if it is worse than requested. */
static gboolean live_put_result(const CstSnapshotRequest *request, const CstDomainDisk *disk,
                                CstHypervisorPauseResult *result, CstSnapshotSet *ret_set,
                                GError **error)
{
    *ret_set = (CstSnapshotSet){.one_step = TRUE,
                                .consistency = result->consistency,
                                .reason = g_steal_pointer(&result->reason),
                                .domain = g_strdup(disk->domain),
                                .frozen_us = result->frozen_us};
    if (ret_set->consistency >= request->minimum)
        return TRUE;
    return cst_fail(error, CST_ERROR_STATE, _("the consistency was '%s', not '%s': %s"),
                    cst_consistency_word(ret_set->consistency),
                    cst_consistency_word(request->minimum),
                    ret_set->reason ? ret_set->reason : "?");
}

/*
 * Adds the image of the volume to the identity of a checkpoint, which is consumed. The bitmap is in
 * the image, so the changes since the checkpoint are not known if the volume has another file now.
 * The inode shows that. The file of a block device does not. NULL: the changes cannot be used.
 */
static char *identity_add_image(char *checkpoint, const CstHypervisorVolume *image)
{
    g_autofree char *text = checkpoint;

    if (!checkpoint || !image->has_file || image->is_device)
        return NULL;
    return g_strdup_printf("%s %" G_GUINT64_FORMAT, text, image->inode);
}

/* Begins the job, and sets the identities of the checkpoints. */
static gboolean live_set_begin(LiveSet *set, CstService *service, const CstDomainDisk *disk,
                               const CstSnapshotVolume *volumes, const CstLiveRequest *request,
                               CstTask *task, CstHypervisorPauseResult *ret_result, GError **error)
{
    guint count = set->members->len;
    g_autofree CstHypervisorVolume *images = volumes_identify(volumes, count, error);

    if (!images)
        return FALSE;
    set->backup =
        domain_backup_begin(service, disk, images, count, request, task, ret_result, error);
    for (guint i = 0; set->backup && i < count; i++) {
        LiveMember *member = &g_array_index(set->members, LiveMember, i);
        const char *base = request->bases ? request->bases[i] : NULL;

        member->base = g_strdup(base);
        member->base_identity =
            identity_add_image(cst_hypervisor_backup_base_identity(set->backup, i), &images[i]);
        member->identity =
            identity_add_image(cst_hypervisor_backup_identity(set->backup, i), &images[i]);
    }
    return set->backup != NULL;
}

gboolean cst_live_snapshots_create(CstLiveSnapshots *live, const CstSnapshotVolume *volumes,
                                   guint count, const CstLiveRequest *request, CstTask *task,
                                   CstSnapshotSet *ret_set, GError **error)
{
    const char *name = request->snapshot.name;
    CstHypervisorPauseResult result = {0};
    g_autoptr(CstDomainDisk) disk = NULL;
    g_autoptr(LiveSet) set = NULL;

    *ret_set = (CstSnapshotSet){0};
    if (count == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("no volume is named"));
    if (!g_str_has_prefix(name, CST_LIVE_PREFIX))
        return cst_fail(error, CST_ERROR_INVALID, _("the name of a live snapshot begins with '%s'"),
                        CST_LIVE_PREFIX);
    if (!cst_name_check(name + strlen(CST_LIVE_PREFIX), _("snapshot"), error) ||
        !live_check_name(live->service, volumes, count, name, error))
        return FALSE;
    disk = live_find_disk(&volumes[0], task, error);
    if (!disk || !live_check_domain(disk, volumes, count, task, error) || !cst_may_change(error))
        return FALSE;
    set = live_set_new(name, volumes, count);
    if (!live_set_begin(set, live->service, disk, volumes, request, task, &result, error) ||
        !live_put_result(&request->snapshot, disk, &result, ret_set, error)) {
        g_free(result.reason);
        return FALSE;
    }
    return live_add(live, g_steal_pointer(&set), error);
}

/* Removes a set of that name from the connection; NULL: it has none. */
static LiveSet *live_steal(CstLiveSnapshots *live, const char *name)
{
    LiveSet *set = NULL;

    g_mutex_lock(&live->lock);
    for (guint i = 0; !set && i < live->sets->len; i++)
        if (strcmp(((const LiveSet *)live->sets->pdata[i])->name, name) == 0)
            set = g_ptr_array_steal_index(live->sets, i);
    g_mutex_unlock(&live->lock);
    if (set)
        live_forget(live->service, set);
    return set;
}

gboolean cst_live_snapshots_end(CstLiveSnapshots *live, const char *name, GError **error)
{
    LiveSet *set = live_steal(live, name);

    if (!set)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("this connection has no live snapshot '%s'"),
                        name);
    for (; set; set = live_steal(live, name))
        live_set_unref(set);
    return TRUE;
}

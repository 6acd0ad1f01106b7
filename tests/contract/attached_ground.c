/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attached_ground.h"

#include <string.h>

/*
 * Whole devices that a machine has attached, or talks to: LUNs of iSCSI targets (tgt), of SCSI
 * hosts, multipath maps. CISTERN_CONTRACT_ATTACHED says where those of the pools "p" and "q" are:
 * two names of targets at 127.0.0.1, two numbers of hosts, or any two words for maps. tests/lab and
 * tests/network make them.
 */

/* Lines of shell, which find the place of the pool in $1 and the volume in $2. */
typedef struct {
    const char *node; /* sets $node */
    const char *list;
    const char *detach;
    const char *attach;
    const char *clean;
} Native;

#define TID                                                 \
    "--tid $(tgtadm --lld iscsi --op show --mode target | " \
    "awk -v target=\"$1\" '/^Target/ && $3 == target {print $2 + 0}')"

#define LIST                                                             \
    "tgtadm --lld iscsi --op show --mode target | awk -v target=\"$1\" " \
    "'/^Target/ {on = $3 == target} on && $1 == \"LUN:\" && $2 > 0 "     \
    "{print \"unit:0:0:\" $2}'"

static const Native iscsi = {
    .node = "node=$(readlink -f /dev/disk/by-path/ip-*-iscsi-\"$1\"-lun-\"${2##*:}\")",
    .list = LIST,
    .detach = "tgtadm --lld iscsi --op delete --mode logicalunit --lun \"${2##*:}\" " TID "; "
              "echo 1 >\"/sys/block/${node##*/}/device/delete\"",
    .attach = "tgtadm --lld iscsi --op new --mode logicalunit --lun \"${2##*:}\" -b \"$file\" " TID,
    .clean = "udevadm settle; iscsiadm -m node -T \"$1\" --logout; "
             "iscsiadm -m node -T \"$1\" -o delete; rm -f /etc/iscsi/ifaces/libvirt*",
};

/* No device of this host. */
static const Native iscsi_direct = {
    .node = ":",
    .list = LIST,
    .detach = "tgtadm --lld iscsi --op delete --mode logicalunit --lun \"${2##*:}\" " TID,
    .attach = "tgtadm --lld iscsi --op new --mode logicalunit --lun \"${2##*:}\" -b \"$file\" " TID,
    .clean = ":",
};

/* The next scan of the host finds a detached device again. */
static const Native scsi = {
    .node = "node=/dev/$(ls \"/sys/class/scsi_device/$1:${2#unit:}/device/block\")",
    .list = "ls /sys/class/scsi_device | "
            "awk -F : -v host=\"$1\" '$1 == host {print \"unit:\" $2 \":\" $3 \":\" $4}'",
    .detach = "echo 1 >\"/sys/block/${node##*/}/device/delete\"",
    .attach = ":",
    .clean = ":",
};

static const Native mpath = {
    .node = "node=/dev/$2",
    .list = "grep -l '^mpath-' /sys/block/dm-*/dm/uuid | cut -d / -f 4",
    .detach = "multipath -f \"$(cat \"/sys/block/$2/dm/name\")\"",
    .attach = "multipathd reconfigure; udevadm settle",
    .clean = ":",
};

static const Native *native;
static char **places;

static char *use(const Native *with)
{
    const char *named = g_getenv("CISTERN_CONTRACT_ATTACHED");

    native = with;
    places = g_strsplit(named ? named : "", " ", -1);
    if (g_strv_length(places) != 2)
        return g_strdup(
            "CISTERN_CONTRACT_ATTACHED does not say where the devices of two pools are");
    return NULL;
}

static char *use_iscsi(const char *dir)
{
    return use(&iscsi);
}

static char *use_iscsi_direct(const char *dir)
{
    return use(&iscsi_direct);
}

static char *use_scsi(const char *dir)
{
    return use(&scsi);
}

static char *use_mpath(const char *dir)
{
    return use(&mpath);
}

static void tear_down(void)
{
    g_clear_pointer(&places, g_strfreev);
}

static const char *place_of(const char *pool)
{
    return places[strcmp(pool, "p") == 0 ? 0 : 1];
}

/* --- definitions ------------------------------------------------------------------------------ */

static char *describe(const char *type, const char *pool, const char *source, const char *target)
{
    return g_strdup_printf("<pool type='%s'><name>%s</name><source>%s</source>"
                           "<target><path>%s</path></target></pool>",
                           type, pool, source, target);
}

static char *iscsi_xml(const char *pool)
{
    g_autofree char *source =
        g_strdup_printf("<host name='127.0.0.1'/><device path='%s'/>", place_of(pool));

    return describe("iscsi", pool, source, "/dev/disk/by-path");
}

static char *iscsi_direct_xml(const char *pool)
{
    return g_strdup_printf("<pool type='iscsi-direct'><name>%s</name><source>"
                           "<host name='127.0.0.1'/><device path='%s'/><initiator>"
                           "<iqn name='iqn.2026-01.test:contract'/></initiator></source></pool>",
                           pool, place_of(pool));
}

static char *scsi_xml(const char *pool)
{
    g_autofree char *source =
        g_strdup_printf("<adapter type='scsi_host' name='host%s'/>", place_of(pool));

    return describe("scsi", pool, source, "/dev/disk/by-id");
}

static char *mpath_xml(const char *pool)
{
    return describe("mpath", pool, "", "/dev/mapper");
}

/* --- what the technology's tools do ----------------------------------------------------------- */

static void run(const char *line, const char *pool, const char *volume)
{
    g_autofree char *quiet = g_strdup_printf("{ %s; } >/dev/null 2>&1", line);

    g_strfreev(site_shell(quiet, place_of(pool), volume));
}

static void run_with_node(const char *line, const char *pool, const char *volume)
{
    g_autofree char *whole = g_strdup_printf("%s && %s", native->node, line);

    run(whole, pool, volume);
}

/* A missing file is no failure. */
static void clean(const char *pool)
{
    g_autofree char *line = g_strdup_printf("%s; true", native->clean);

    run(line, pool, "");
}

static char **native_list(const char *pool)
{
    return site_shell(native->list, place_of(pool), "");
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    g_autofree char *line =
        g_strdup_printf("file=$(mktemp) && truncate -s %" G_GUINT64_FORMAT " \"$file\" && %s", size,
                        native->attach);

    run(line, pool, volume);
}

static void native_delete(const char *pool, const char *volume)
{
    run_with_node(native->detach, pool, volume);
}

#define HOLDER "/tmp/cistern-contract-holder"

static void hold(const char *pool, const char *volume)
{
    run_with_node("{ sh -c 'exec sleep infinity' <\"$node\" & echo $! >" HOLDER "; }", pool,
                  volume);
}

static void let_go(const char *pool, const char *volume)
{
    run("pid=$(cat " HOLDER "); rm " HOLDER "; kill \"$pid\"; "
        /* paced: a pause between two looks */
        "while kill -0 \"$pid\"; do sleep 0.1; done",
        pool, volume);
}

#define ATTACHED_CALLS                                                                       \
    .format = "raw", .tear_down = tear_down, .clean = clean, .native_create = native_create, \
    .native_delete = native_delete, .native_list = native_list, .hold = hold, .release = let_go

const Ground iscsi_ground = {.name = "iscsi",
                             .flags = GROUND_FIXED,
                             .set_up = use_iscsi,
                             .pool_xml = iscsi_xml,
                             ATTACHED_CALLS};

const Ground iscsi_direct_ground = {.name = "iscsi-direct",
                                    .format = "raw",
                                    .flags = GROUND_FIXED | GROUND_UNWATCHED,
                                    .set_up = use_iscsi_direct,
                                    .tear_down = tear_down,
                                    .pool_xml = iscsi_direct_xml,
                                    .clean = clean,
                                    .native_create = native_create,
                                    .native_delete = native_delete,
                                    .native_list = native_list};

const Ground scsi_ground = {.name = "scsi",
                            .flags = GROUND_FIXED,
                            .set_up = use_scsi,
                            .pool_xml = scsi_xml,
                            ATTACHED_CALLS};

const Ground mpath_ground = {.name = "mpath",
                             .flags = GROUND_FIXED | GROUND_SINGLE,
                             .set_up = use_mpath,
                             .pool_xml = mpath_xml,
                             ATTACHED_CALLS};

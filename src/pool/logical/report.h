/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/**
 * What LVM says of a volume group: one report (lvm fullreport, as JSON) that is consistent in
 * itself. It is believed only whole: every field asked for is there and of its kind, the numbers
 * of devices and volumes are those that the group itself reports, every volume's segments cover it.
 */

#define LVM_PERCENT_UNKNOWN (-1)

typedef struct {
    char *type; /**< "linear", "striped", "thin", … */
    uint64_t start;
    uint64_t size;
    char *devices; /**< "/dev/sda(0),/dev/sdb(12)": device or LV, and extent in it */
} LvmSegment;

typedef struct {
    char *uuid;
    char *name;      /**< without the brackets of hidden ones */
    gboolean hidden; /**< a part of another LV */
    char *attr;      /**< ten characters or more, see lvs(8) */
    uint64_t size;
    char *origin;      /**< NULL: none */
    char *origin_uuid; /**< NULL: none */
    char *pool;        /**< thin pool; NULL: none */
    int data;          /**< hundredths of a percent, LVM_PERCENT_UNKNOWN */
    int metadata;
    uint64_t metadata_size;
    int64_t created; /**< seconds since the epoch */
    char **tags;
    GPtrArray *segments; /**< of LvmSegment */
} LvmVolume;

typedef struct {
    gint refs;
    char *name;
    char *uuid;
    uint64_t size;
    uint64_t free;
    uint64_t extent_size;
    GPtrArray *devices;  /**< of char *: paths of the physical volumes */
    gboolean partial;    /**< a device is missing */
    GPtrArray *volumes;  /**< of LvmVolume, in the report's order */
    GHashTable *by_name; /**< char * to LvmVolume */
    GHashTable *by_uuid; /**< char * to LvmVolume */
} LvmGroup;

/** Asks LVM; NOT_FOUND when there is no such group. */
LvmGroup *lvm_group_read(const char *name, CstTask *task, GError **error);
/** Reads the JSON of a report on group @name. CORRUPT when it is not to be believed. */
LvmGroup *lvm_group_parse(const char *name, const char *json, GError **error);

LvmGroup *lvm_group_ref(LvmGroup *group);
void lvm_group_unref(LvmGroup *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_unref)

/** A physical volume and the group it is in. */
typedef struct {
    char *device;
    char *group; /**< "": in none */
} LvmDevice;

void lvm_device_free(LvmDevice *device);
/** All of this host (of LvmDevice, which the array frees). */
GPtrArray *lvm_devices_read(GError **error);

/** So many hundredths of a percent of @size; 0 when that is unknown. */
static inline uint64_t lvm_part(uint64_t size, int percent)
{
    uint64_t part = percent == LVM_PERCENT_UNKNOWN ? 0 : (uint64_t)percent;

    return size / 10000 * part + size % 10000 * part / 10000;
}

/** lvs' type letter. */
static inline char lvm_kind(const LvmVolume *lv)
{
    return lv->attr[0];
}

static inline gboolean lvm_is_thin(const LvmVolume *lv)
{
    return lvm_kind(lv) == 'V';
}

/** lvs' health letter: of a thin pool 'D' (no room for data), 'M' (none for metadata). */
static inline char lvm_health(const LvmVolume *lv)
{
    return lv->attr[8];
}

/** A classic snapshot, whether it still works or not. */
static inline gboolean lvm_is_cow(const LvmVolume *lv)
{
    return lvm_kind(lv) == 's' || lvm_kind(lv) == 'S';
}

/** A classic snapshot that ran out of room: it holds nothing any more. */
static inline gboolean lvm_is_lost(const LvmVolume *lv)
{
    return lvm_is_cow(lv) && (lv->attr[4] == 'I' || lv->attr[4] == 'S' || lv->data >= 10000);
}

static inline gboolean lvm_is_active(const LvmVolume *lv)
{
    return lv->attr[4] == 'a';
}

/** A thin pool that is active, but lets its metadata not be written before it is repaired. */
static inline gboolean lvm_needs_check(const LvmVolume *lv)
{
    return lv->attr[4] == 'c' || lv->attr[4] == 'C';
}

const LvmVolume *lvm_group_find(const LvmGroup *group, const char *name);
/** The LV that @lv is a snapshot of; NULL: none, or gone. */
const LvmVolume *lvm_group_origin(const LvmGroup *group, const LvmVolume *lv);

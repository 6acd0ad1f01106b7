/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/**
 * What LVM says of a volume group: one report (lvm fullreport, as JSON) that is consistent in
 * itself. It is believed only as a whole: every requested field is there and of its kind, the
 * numbers of devices and volumes are those that the group itself reports, every volume's segments
 * cover it. Volumes are borrowed from their group.
 */

#define LVM_PERCENT_UNKNOWN (-1)

typedef struct {
    char *type; /**< "linear", "striped", "thin", … */
    uint64_t start;
    uint64_t size;
    char *devices; /**< "/dev/sda(0),/dev/sdb(12)": device or LV, and extent in it */
    char *thin_id; /**< number of a thin volume in its thin pool; NULL: it is none */
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

/** A physical volume of a group. */
typedef struct {
    char *path;
    uint64_t start; /**< bytes in front of its first extent */
} LvmPhysical;

typedef struct {
    gint refs;
    char *name;
    char *uuid;
    uint64_t size;
    uint64_t free;
    uint64_t extent_size;
    GPtrArray *devices;  /**< of LvmPhysical */
    gboolean partial;    /**< a device is missing */
    GPtrArray *volumes;  /**< of LvmVolume, in the report's order */
    GHashTable *by_name; /**< char * to LvmVolume */
    GHashTable *by_uuid; /**< char * to LvmVolume */
} LvmGroup;

/**
 * Reads the group from LVM; a new reference. NOT_FOUND when there is no such group; CORRUPT when
 * the report is not believed. @task cancels; NULL: nobody.
 */
LvmGroup *lvm_group_read(const char *name, CstTask *task, GError **error);
/** Parses the JSON of a report on group @name; a new reference. CORRUPT when it is not believed. */
LvmGroup *lvm_group_parse(const char *name, const char *json, GError **error);

/** Returns @group with one reference more. Any thread. */
LvmGroup *lvm_group_ref(LvmGroup *group);
/** Frees the group with the last reference. NULL is accepted. */
void lvm_group_unref(LvmGroup *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_unref)

/** Makes an LV without segments, for what is known without a report; free it. */
LvmVolume *lvm_volume_new(const char *name);
/** Frees an LV with its segments. */
void lvm_volume_free(LvmVolume *lv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmVolume, lvm_volume_free)
/** Appends an empty segment, which the LV keeps. */
LvmSegment *lvm_volume_add_segment(LvmVolume *lv);

/** A physical volume and the group it is in. */
typedef struct {
    char *device;
    char *group; /**< "": in none */
} LvmDevice;

/** Frees a device. */
void lvm_device_free(LvmDevice *device);
/** Reads all physical volumes of this host, as LvmDevice freed with the array. */
GPtrArray *lvm_devices_read(GError **error);

/** Returns @percent hundredths of a percent of @size, without overflow; 0 when that is unknown. */
static inline uint64_t lvm_part(uint64_t size, int percent)
{
    uint64_t part = percent == LVM_PERCENT_UNKNOWN ? 0 : (uint64_t)percent;

    return size / 10000 * part + size % 10000 * part / 10000;
}

/** Returns the first letter of lvs' attributes: the type. */
static inline char lvm_kind(const LvmVolume *lv)
{
    return lv->attr[0];
}

static inline gboolean lvm_is_thin(const LvmVolume *lv)
{
    return lvm_kind(lv) == 'V';
}

/**
 * Returns the ninth letter of lvs' attributes, its health: of a thin pool 'D' (no room for data),
 * 'M' (none for metadata).
 */
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

/** Returns the LV @name; NULL: there is none. */
const LvmVolume *lvm_group_find(const LvmGroup *group, const char *name);
/** Returns the LV that @lv is a snapshot of; NULL: none, or gone. */
const LvmVolume *lvm_group_origin(const LvmGroup *group, const LvmVolume *lv);

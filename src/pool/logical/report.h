/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/**
 * LVM's report of a volume group (lvm fullreport, as JSON), which is consistent in itself. It is
 * accepted only as a whole: every requested field exists with the right type, the numbers of
 * devices and volumes match the group's own counts, and the segments of every volume cover it.
 * Volumes are borrowed from their group.
 */

#define LVM_PERCENT_UNKNOWN (-1)

typedef struct {
    char *type; /**< "linear", "striped", "thin", … */
    uint64_t start;
    uint64_t size;
    char *devices; /**< "/dev/sda(0),/dev/sdb(12)": device or LV, and extent in it */
    char *thin_id; /**< number of a thin volume in its thin pool; NULL: not thin */
} LvmSegment;

typedef struct {
    char *uuid;
    char *name;      /**< without the brackets of a hidden LV */
    gboolean hidden; /**< a part of another LV */
    char *attr;      /**< at least nine characters, see lvs(8) */
    uint64_t size;
    char *origin;      /**< NULL: no origin */
    char *origin_uuid; /**< NULL: no origin */
    char *pool;        /**< thin pool; NULL: not thin */
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
    uint64_t start; /**< bytes before its first extent */
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
 * Reads the group from LVM. Returns a new reference. NOT_FOUND if the group does not exist; CORRUPT
 * if the report is not valid. @task (may be NULL) can cancel it.
 */
LvmGroup *lvm_group_read(const char *name, CstTask *task, GError **error);
/**
 * Parses the JSON of a report on group @name. Returns a new reference. CORRUPT if it is not valid.
 */
LvmGroup *lvm_group_parse(const char *name, const char *json, GError **error);

/** Returns @group with a new reference. Any thread. */
LvmGroup *lvm_group_ref(LvmGroup *group);
/** Drops a reference; the last one frees the group. Accepts NULL. */
void lvm_group_unref(LvmGroup *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_unref)

/** Makes an LV without segments, for data from sources other than a report. The caller frees it. */
LvmVolume *lvm_volume_new(const char *name);
/** Frees an LV and its segments. Accepts NULL. */
void lvm_volume_free(LvmVolume *lv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmVolume, lvm_volume_free)
/** Appends an empty segment. Returns it, borrowed from the LV. */
LvmSegment *lvm_volume_add_segment(LvmVolume *lv);

/** A physical volume and its group. */
typedef struct {
    char *device;
    char *group; /**< "": no group */
} LvmDevice;

/** Frees a device. */
void lvm_device_free(LvmDevice *device);
/** Reads all physical volumes of this host, as LvmDevice, freed with the array. */
GPtrArray *lvm_devices_read(GError **error);

/**
 * Returns @percent hundredths of a percent of @size, without overflow; 0 if @percent is unknown.
 */
static inline uint64_t lvm_part(uint64_t size, int percent)
{
    uint64_t part = percent == LVM_PERCENT_UNKNOWN ? 0 : (uint64_t)percent;

    return size / 10000 * part + size % 10000 * part / 10000;
}

/** Returns the first letter of the attributes in lvs: the type. */
static inline char lvm_kind(const LvmVolume *lv)
{
    return lv->attr[0];
}

static inline gboolean lvm_is_thin(const LvmVolume *lv)
{
    return lvm_kind(lv) == 'V';
}

/**
 * Returns the ninth letter of the attributes in lvs, the health. For a thin pool: 'D' (out of data
 * space), 'M' (out of metadata space).
 */
static inline char lvm_health(const LvmVolume *lv)
{
    return lv->attr[8];
}

/** Whether the LV is a classic snapshot, working or lost. */
static inline gboolean lvm_is_cow(const LvmVolume *lv)
{
    return lvm_kind(lv) == 's' || lvm_kind(lv) == 'S';
}

/** Whether the LV is a classic snapshot that ran out of space and lost its content. */
static inline gboolean lvm_is_lost(const LvmVolume *lv)
{
    return lvm_is_cow(lv) && (lv->attr[4] == 'I' || lv->attr[4] == 'S' || lv->data >= 10000);
}

static inline gboolean lvm_is_active(const LvmVolume *lv)
{
    return lv->attr[4] == 'a';
}

/** Whether the LV is an active thin pool that needs a check before its metadata can be written. */
static inline gboolean lvm_needs_check(const LvmVolume *lv)
{
    return lv->attr[4] == 'c' || lv->attr[4] == 'C';
}

/** Returns the LV @name; NULL if it does not exist. */
const LvmVolume *lvm_group_find(const LvmGroup *group, const char *name);
/** Returns the origin of snapshot @lv; NULL if it has no origin, or the origin was removed. */
const LvmVolume *lvm_group_origin(const LvmGroup *group, const LvmVolume *lv);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads LVM's report. LVM's tools run as root on devices with untrusted content, so the report is
 * accepted only as a whole (report.h). Any field that is missing, of another type or out of bounds
 * makes it CORRUPT.
 *
 * A report is parsed into an LvmGroup, which is immutable after that and shared by references. The
 * tables by name and by UUID borrow from the list of volumes.
 */
#include "report.h"

#include <json_glib_library.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "lvm.h"

typedef JsonParser ReportParser;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReportParser, g_object_unref)

#define CONFIG                                                                                \
    ("report{time_format=\"%s\" mark_hidden_devices=1 list_item_separator=\",\" buffered=1} " \
     "log{report_command_log=0}")

#define VG_FIELDS  "vg_name,vg_uuid,vg_size,vg_free,vg_extent_size,pv_count,lv_count"
#define PV_FIELDS  "pv_name,pe_start,pv_missing"
#define SEG_FIELDS "lv_uuid,segtype,seg_start,seg_size,devices,thin_id"
#define LV_FIELDS                                                               \
    ("lv_uuid,lv_name,lv_attr,lv_size,origin,origin_uuid,pool_lv,data_percent," \
     "metadata_percent,lv_metadata_size,lv_time,lv_tags")

/* --- the parsed report ------------------------------------------------------------------------ */

static void segment_free(gpointer data)
{
    LvmSegment *segment = data;

    g_free(segment->type);
    g_free(segment->devices);
    g_free(segment->thin_id);
    g_free(segment);
}

LvmVolume *lvm_volume_new(const char *name)
{
    LvmVolume *lv = g_new0(LvmVolume, 1);

    lv->name = g_strdup(name);
    lv->data = lv->metadata = LVM_PERCENT_UNKNOWN;
    lv->segments = g_ptr_array_new_with_free_func(segment_free);
    return lv;
}

LvmSegment *lvm_volume_add_segment(LvmVolume *lv)
{
    LvmSegment *segment = g_new0(LvmSegment, 1);

    g_ptr_array_add(lv->segments, segment);
    return segment;
}

void lvm_volume_free(LvmVolume *lv)
{
    if (!lv)
        return;
    g_free(lv->uuid);
    g_free(lv->name);
    g_free(lv->attr);
    g_free(lv->origin);
    g_free(lv->origin_uuid);
    g_free(lv->pool);
    g_strfreev(lv->tags);
    g_ptr_array_unref(lv->segments);
    g_free(lv);
}

static void physical_free(gpointer data)
{
    LvmPhysical *physical = data;

    g_free(physical->path);
    g_free(physical);
}

static LvmGroup *lvm_group_new(void)
{
    LvmGroup *group = g_new0(LvmGroup, 1);

    group->refs = 1;
    group->devices = g_ptr_array_new_with_free_func(physical_free);
    group->volumes = g_ptr_array_new_with_free_func((GDestroyNotify)lvm_volume_free);
    group->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    group->by_uuid = g_hash_table_new(g_str_hash, g_str_equal);
    return group;
}

LvmGroup *lvm_group_ref(LvmGroup *group)
{
    g_atomic_int_inc(&group->refs);
    return group;
}

void lvm_group_unref(LvmGroup *group)
{
    if (!group || !g_atomic_int_dec_and_test(&group->refs))
        return;
    g_hash_table_unref(group->by_name);
    g_hash_table_unref(group->by_uuid);
    g_ptr_array_unref(group->volumes);
    g_ptr_array_unref(group->devices);
    g_free(group->name);
    g_free(group->uuid);
    g_free(group);
}

const LvmVolume *lvm_group_find(const LvmGroup *group, const char *name)
{
    return g_hash_table_lookup(group->by_name, name);
}

const LvmVolume *lvm_group_origin(const LvmGroup *group, const LvmVolume *lv)
{
    return lv->origin_uuid ? g_hash_table_lookup(group->by_uuid, lv->origin_uuid) : NULL;
}

/* --- strict reading --------------------------------------------------------------------------- */

/* Fails with CORRUPT. @what: LVM's name of the field. */
static gboolean report_fail_field(GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT,
                    _("LVM's report is not to be believed (%s); look at it with 'lvm fullreport'"),
                    what);
}

/*
 * Returns the field's text, borrowed from the parser. NULL with an error if it is missing or not a
 * string, because LVM's JSON has all values as strings.
 */
static const char *report_field_text(JsonObject *row, const char *field, GError **error)
{
    JsonNode *node = json_object_get_member(row, field);

    if (node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
        return json_node_get_string(node);
    report_fail_field(error, field);
    return NULL;
}

static gboolean report_read_text(JsonObject *row, const char *field, char **ret_text,
                                 GError **error)
{
    const char *text = report_field_text(row, field, error);

    if (text)
        *ret_text = g_strdup(text);
    return text != NULL;
}

/* Reads a field that may be empty, which means absent. */
static gboolean report_read_optional(JsonObject *row, const char *field, char **ret_text,
                                     GError **error)
{
    const char *text = report_field_text(row, field, error);

    if (text && *text)
        *ret_text = g_strdup(text);
    return text != NULL;
}

/* LVM's JSON has numbers as strings. */
static gboolean report_read_number(JsonObject *row, const char *field, uint64_t *ret_number,
                                   GError **error)
{
    const char *text = report_field_text(row, field, error);

    if (!text)
        return FALSE;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, ret_number, NULL))
        return report_fail_field(error, field);
    return TRUE;
}

/* Reads "12.34", or "" for unknown, as hundredths of a percent. */
static gboolean report_read_percent(JsonObject *row, const char *field, int *ret_percent,
                                    GError **error)
{
    const char *text = report_field_text(row, field, error);
    char *end = NULL;
    double percent;

    if (!text)
        return FALSE;
    *ret_percent = LVM_PERCENT_UNKNOWN;
    if (!*text)
        return TRUE;
    percent = g_ascii_strtod(text, &end);
    if (!g_ascii_isdigit(*text) || *end || percent > 100)
        return report_fail_field(error, field);
    *ret_percent = (int)(percent * 100 + 0.5);
    return TRUE;
}

/* LVM reports a hidden LV as "[name]". */
static char *strip_brackets(char *name, gboolean *ret_hidden)
{
    size_t len = name ? strlen(name) : 0;

    *ret_hidden = len > 2 && name[0] == '[' && name[len - 1] == ']';
    if (*ret_hidden) {
        name[len - 1] = '\0';
        memmove(name, name + 1, len - 1);
    }
    return name;
}

typedef gboolean (*RowReader)(LvmGroup *group, JsonObject *row, GError **error);

/*
 * Reads all rows of one part of the report ("vg", "lv", …) with @read. *ret_count: the number of
 * rows.
 */
static gboolean read_rows(LvmGroup *group, JsonObject *report, const char *part, RowReader read,
                          guint *ret_count, GError **error)
{
    JsonNode *node = json_object_get_member(report, part);
    JsonArray *rows;

    if (!node || !JSON_NODE_HOLDS_ARRAY(node))
        return report_fail_field(error, part);
    rows = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonNode *row = json_array_get_element(rows, i);

        if (!JSON_NODE_HOLDS_OBJECT(row))
            return report_fail_field(error, part);
        if (!read(group, json_node_get_object(row), error))
            return FALSE;
    }
    *ret_count = json_array_get_length(rows);
    return TRUE;
}

/* --- the parts -------------------------------------------------------------------------------- */

/* A report has exactly one group. */
static gboolean read_vg(LvmGroup *group, JsonObject *row, GError **error)
{
    if (group->name)
        return report_fail_field(error, "vg_name");
    if (!report_read_text(row, "vg_name", &group->name, error) ||
        !report_read_text(row, "vg_uuid", &group->uuid, error) ||
        !report_read_number(row, "vg_size", &group->size, error) ||
        !report_read_number(row, "vg_free", &group->free, error) ||
        !report_read_number(row, "vg_extent_size", &group->extent_size, error))
        return FALSE;
    if (group->extent_size == 0 || group->free > group->size)
        return report_fail_field(error, "vg_free");
    return TRUE;
}

/* pv_missing is "missing" for a missing device, else "". */
static gboolean read_pv(LvmGroup *group, JsonObject *row, GError **error)
{
    LvmPhysical *physical = g_new0(LvmPhysical, 1);
    const char *missing = report_field_text(row, "pv_missing", error);

    g_ptr_array_add(group->devices, physical);
    if (!missing || !report_read_text(row, "pv_name", &physical->path, error) ||
        !report_read_number(row, "pe_start", &physical->start, error))
        return FALSE;
    group->partial = group->partial || *missing;
    return TRUE;
}

/* Reads the names, attributes and relations of an LV. */
static gboolean lv_read_names(LvmVolume *lv, JsonObject *row, GError **error)
{
    gboolean origin_hidden;

    if (!report_read_text(row, "lv_uuid", &lv->uuid, error) ||
        !report_read_text(row, "lv_name", &lv->name, error) ||
        !report_read_text(row, "lv_attr", &lv->attr, error) ||
        !report_read_optional(row, "origin", &lv->origin, error) ||
        !report_read_optional(row, "origin_uuid", &lv->origin_uuid, error) ||
        !report_read_optional(row, "pool_lv", &lv->pool, error))
        return FALSE;
    /* The functions of report.h read that many letters. */
    if (strlen(lv->attr) < 9)
        return report_fail_field(error, "lv_attr");
    strip_brackets(lv->name, &lv->hidden);
    strip_brackets(lv->origin, &origin_hidden);
    /* A hidden origin is the inner part of a sparse volume, and not a backing store. */
    if (origin_hidden)
        g_clear_pointer(&lv->origin, g_free);
    return TRUE;
}

/* Reads the sizes, percentages, time and tags of an LV. Only thin pools have a metadata size. */
static gboolean fill_numbers(LvmVolume *lv, JsonObject *row, GError **error)
{
    g_autofree char *metadata_size = NULL;
    g_autofree char *tags = NULL;
    uint64_t created = 0;

    if (!report_read_number(row, "lv_size", &lv->size, error) ||
        !report_read_percent(row, "data_percent", &lv->data, error) ||
        !report_read_percent(row, "metadata_percent", &lv->metadata, error) ||
        !report_read_optional(row, "lv_metadata_size", &metadata_size, error) ||
        !report_read_number(row, "lv_time", &created, error) ||
        !report_read_text(row, "lv_tags", &tags, error))
        return FALSE;
    if (metadata_size && !report_read_number(row, "lv_metadata_size", &lv->metadata_size, error))
        return FALSE;
    lv->created = (int64_t)created;
    lv->tags = g_strsplit(tags, ",", -1);
    return TRUE;
}

/* The list owns the volume from the beginning, so an error frees it with the group. */
static gboolean read_lv(LvmGroup *group, JsonObject *row, GError **error)
{
    LvmVolume *lv = lvm_volume_new(NULL);

    g_ptr_array_add(group->volumes, lv);
    if (!lv_read_names(lv, row, error) || !fill_numbers(lv, row, error))
        return FALSE;
    if (!g_hash_table_insert(group->by_name, lv->name, lv) ||
        !g_hash_table_insert(group->by_uuid, lv->uuid, lv))
        return report_fail_field(error, "lv_name");
    return TRUE;
}

/* Refuses a segment of an LV that the report does not list. */
static gboolean read_seg(LvmGroup *group, JsonObject *row, GError **error)
{
    const char *uuid = report_field_text(row, "lv_uuid", error);
    LvmVolume *lv = uuid ? g_hash_table_lookup(group->by_uuid, uuid) : NULL;
    LvmSegment *segment;

    if (!lv)
        return uuid ? report_fail_field(error, "lv_uuid") : FALSE;
    segment = lvm_volume_add_segment(lv);
    return report_read_text(row, "segtype", &segment->type, error) &&
           report_read_number(row, "seg_start", &segment->start, error) &&
           report_read_number(row, "seg_size", &segment->size, error) &&
           report_read_text(row, "devices", &segment->devices, error) &&
           report_read_optional(row, "thin_id", &segment->thin_id, error);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* Whether the sizes of the segments add up to the LV's size. */
static gboolean lv_segments_cover(const LvmVolume *lv)
{
    uint64_t sum = 0;

    for (guint i = 0; i < lv->segments->len; i++)
        sum += ((const LvmSegment *)g_ptr_array_index(lv->segments, i))->size;
    return sum == lv->size;
}

/* Checks that the report is complete, because a missing volume would appear to be deleted. */
static gboolean report_check_complete(const LvmGroup *group, JsonObject *vg, guint pvs,
                                      GError **error)
{
    uint64_t pv_count = 0, lv_count = 0;
    guint visible = 0;

    if (!report_read_number(vg, "pv_count", &pv_count, error) ||
        !report_read_number(vg, "lv_count", &lv_count, error))
        return FALSE;
    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);

        visible += !lv->hidden;
        if (!lv_segments_cover(lv))
            return report_fail_field(error, "seg_size");
    }
    if (pvs != pv_count)
        return report_fail_field(error, "pv_count");
    return visible == lv_count || report_fail_field(error, "lv_count");
}

/* The order is significant, because segments refer to LVs. */
static gboolean report_read_group(LvmGroup *group, const char *name, JsonObject *report,
                                  GError **error)
{
    guint vgs = 0, pvs = 0, count = 0;
    JsonArray *rows;

    if (!read_rows(group, report, "vg", read_vg, &vgs, error))
        return FALSE;
    if (vgs != 1 || g_strcmp0(group->name, name) != 0)
        return report_fail_field(error, "vg_name");
    rows = json_object_get_array_member(report, "vg");
    return read_rows(group, report, "pv", read_pv, &pvs, error) &&
           read_rows(group, report, "lv", read_lv, &count, error) &&
           read_rows(group, report, "seg", read_seg, &count, error) &&
           report_check_complete(group, json_array_get_object_element(rows, 0), pvs, error);
}

/*
 * Returns the object in {"report": [ {…} ]}, borrowed from @parser. NULL with an error if the text
 * has another form.
 */
static JsonObject *only_report(JsonParser *parser, const char *json, GError **error)
{
    g_autoptr(GError) local = NULL;
    JsonNode *root, *list, *report = NULL;

    if (!json_parser_load_from_data(parser, json, -1, &local)) {
        cst_fail(error, CST_ERROR_CORRUPT, _("LVM's report is no JSON: %s"), local->message);
        return NULL;
    }
    root = json_parser_get_root(parser);
    list = root && JSON_NODE_HOLDS_OBJECT(root)
               ? json_object_get_member(json_node_get_object(root), "report")
               : NULL;
    if (list && JSON_NODE_HOLDS_ARRAY(list) &&
        json_array_get_length(json_node_get_array(list)) == 1)
        report = json_array_get_element(json_node_get_array(list), 0);
    if (report && JSON_NODE_HOLDS_OBJECT(report))
        return json_node_get_object(report);
    report_fail_field(error, "report");
    return NULL;
}

LvmGroup *lvm_group_parse(const char *name, const char *json, GError **error)
{
    g_autoptr(ReportParser) parser = NULL;
    g_autoptr(LvmGroup) group = NULL;
    JsonObject *report;

    if (!cst_library_load(&cst_json_glib_library, error))
        return NULL;
    parser = json_parser_new_immutable();
    group = lvm_group_new();
    report = only_report(parser, json, error);
    if (!report || !report_read_group(group, name, report, error))
        return NULL;
    return g_steal_pointer(&group);
}

/*
 * Sizes are in bytes without a unit, times in seconds since the epoch, and brackets mark hidden
 * LVs. "pvseg" is not needed, so it has only one field.
 */
LvmGroup *lvm_group_read(const char *name, CstTask *task, GError **error)
{
    const char *const argv[] = {"lvm",
                                "fullreport",
                                "--reportformat",
                                "json",
                                "--units",
                                "b",
                                "--nosuffix",
                                "--all",
                                "--config",
                                CONFIG,
                                "--configreport",
                                "vg",
                                "-o",
                                VG_FIELDS,
                                "--configreport",
                                "pv",
                                "-o",
                                PV_FIELDS,
                                "--configreport",
                                "lv",
                                "-o",
                                LV_FIELDS,
                                "--configreport",
                                "seg",
                                "-o",
                                SEG_FIELDS,
                                "--configreport",
                                "pvseg",
                                "-o",
                                "pv_name",
                                name,
                                NULL};
    g_autofree char *json = NULL;

    if (!lvm_output(argv, lvm_host.report_s, task, &json, error))
        return NULL;
    return lvm_group_parse(name, json, error);
}

/* --- physical volumes ------------------------------------------------------------------------- */

void lvm_device_free(LvmDevice *device)
{
    g_free(device->device);
    g_free(device->group);
    g_free(device);
}

static gboolean read_devices(JsonObject *report, GPtrArray *devices, GError **error)
{
    JsonNode *node = json_object_get_member(report, "pv");
    JsonArray *rows = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    if (!rows)
        return report_fail_field(error, "pv");
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonNode *row = json_array_get_element(rows, i);
        LvmDevice *device;

        if (!JSON_NODE_HOLDS_OBJECT(row))
            return report_fail_field(error, "pv");
        device = g_new0(LvmDevice, 1);
        g_ptr_array_add(devices, device);
        if (!report_read_text(json_node_get_object(row), "pv_name", &device->device, error) ||
            !report_read_text(json_node_get_object(row), "vg_name", &device->group, error))
            return FALSE;
    }
    return TRUE;
}

/* Reads the devices with and without a group, for build and discovery. */
GPtrArray *lvm_devices_read(GError **error)
{
    const char *const argv[] = {"pvs",      "--reportformat", "json", "-o", "pv_name,vg_name",
                                "--config", CONFIG,           NULL};
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func((GDestroyNotify)lvm_device_free);
    g_autoptr(ReportParser) parser = NULL;
    g_autofree char *json = NULL;
    JsonObject *report;

    if (!cst_library_load(&cst_json_glib_library, error))
        return NULL;
    parser = json_parser_new_immutable();
    if (!lvm_output(argv, lvm_host.report_s, NULL, &json, error))
        return NULL;
    report = only_report(parser, json, error);
    return report && read_devices(report, devices, error) ? g_steal_pointer(&devices) : NULL;
}

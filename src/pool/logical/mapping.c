/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the table of an LV from device-mapper: one ioctl on a node, where a tool of LVM would read
 * the whole group. The UUIDs of LVM's devices consist of "LVM-", the group's UUID and the LV's
 * UUID. The devices of parts of LVs, and of layers of complex LVs, also have a suffix.
 */
#include "lvm.h"

#include <linux/dm-ioctl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <pool/device.h>

#define UUID_PREFIX "LVM-"
#define UUID_LEN    32 /* without dashes */
#define ANSWER_SIZE 16384

/*
 * The buffer for the kernel's answer. The targets begin at data_start, each with its parameters as
 * text.
 */
typedef union {
    struct dm_ioctl head;
    char bytes[ANSWER_SIZE];
} Answer;

void lvm_mapping_clear(LvmMapping *mapping)
{
    g_clear_pointer(&mapping->group_uuid, g_free);
    g_clear_pointer(&mapping->uuid, g_free);
    g_clear_pointer(&mapping->table, g_free);
}

/* A table that is not live, is being replaced, or does not fit is rejected. */
static gboolean dm_read_table(const char *path, Answer *answer)
{
    struct stat node;

    answer->head.flags = DM_STATUS_TABLE_FLAG;
    return cst_node_stat(path, &node) && S_ISBLK(node.st_mode) &&
           cst_dm_ask(DM_TABLE_STATUS, node.st_rdev, &answer->head, sizeof(*answer), NULL) == 1 &&
           (answer->head.flags & DM_ACTIVE_PRESENT_FLAG) &&
           !(answer->head.flags &
             (DM_SUSPEND_FLAG | DM_INACTIVE_PRESENT_FLAG | DM_BUFFER_FULL_FLAG));
}

/* Converts 32 characters to LVM's form "abcdef-ghij-…". The caller frees it. */
static char *lvm_uuid_format(const char *raw)
{
    GString *text = g_string_new_len(raw, UUID_LEN);

    for (gssize at = UUID_LEN - 6; at >= 6; at -= 4)
        g_string_insert_c(text, at, '-');
    return g_string_free(text, FALSE);
}

static gboolean mapping_parse_uuids(const char *text, LvmMapping *mapping)
{
    const char *uuids = text + strlen(UUID_PREFIX);

    if (!g_str_has_prefix(text, UUID_PREFIX) || strlen(uuids) != (size_t)2 * UUID_LEN)
        return FALSE;
    mapping->group_uuid = lvm_uuid_format(uuids);
    mapping->uuid = lvm_uuid_format(uuids + UUID_LEN);
    return TRUE;
}

/* The kernel's offset "next" is relative to the first target. */
static void mapping_format_table(const Answer *answer, LvmMapping *mapping)
{
    GString *table = g_string_new(NULL);
    size_t at = answer->head.data_start;

    for (uint32_t i = 0; i < answer->head.target_count; i++) {
        const struct dm_target_spec *target = (const void *)(answer->bytes + at);

        if (at + sizeof(*target) >= sizeof(*answer))
            break;
        g_string_append_printf(table, "%llu %llu %s %s\n", target->sector_start, target->length,
                               target->target_type, (const char *)(target + 1));
        at = answer->head.data_start + target->next;
    }
    mapping->table = g_string_free(table, FALSE);
}

gboolean lvm_mapping_read(const char *path, LvmMapping *ret_mapping)
{
    g_autofree Answer *answer = g_new0(Answer, 1);

    if (!dm_read_table(path, answer) || !mapping_parse_uuids(answer->head.uuid, ret_mapping))
        return FALSE;
    mapping_format_table(answer, ret_mapping);
    return TRUE;
}

/* --- thin pools ------------------------------------------------------------------------------- */

/* Number of fields in the status of a thin pool before the field of the metadata snapshot. */
#define FIELDS_BEFORE_HELD 3
#define NOT_HELD           "-"

static gboolean thin_pool_find_device(const char *path, dev_t *ret_device, GError **error)
{
    struct stat node;

    if (!cst_node_stat(path, &node) || !S_ISBLK(node.st_mode))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("there is no device '%s' of a thin pool"),
                        path);
    *ret_device = node.st_rdev;
    return TRUE;
}

/* Sends @request for the thin pool at @path to the kernel. */
static gboolean thin_pool_ioctl(unsigned long request, const char *path, Answer *answer,
                                GError **error)
{
    dev_t device;
    int known;

    if (!thin_pool_find_device(path, &device, error))
        return FALSE;
    known = cst_dm_ask(request, device, &answer->head, sizeof(*answer), error);
    return known == 1 ||
           (known == 0 && cst_fail(error, CST_ERROR_UNSUPPORTED,
                                   _("there is no device '%s' of a thin pool"), path));
}

gboolean lvm_pool_held(const char *path, gboolean *ret_held, GError **error)
{
    g_autofree Answer *answer = g_new0(Answer, 1);
    const struct dm_target_spec *target;
    g_auto(GStrv) fields = NULL;

    if (!thin_pool_ioctl(DM_TABLE_STATUS, path, answer, error))
        return FALSE;
    target = (const void *)(answer->bytes + answer->head.data_start);
    if (answer->head.target_count != 1 || strcmp(target->target_type, "thin-pool") != 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("device '%s' is no thin pool"), path);
    fields = g_strsplit((const char *)(target + 1), " ", -1);
    if (g_strv_length(fields) <= FIELDS_BEFORE_HELD)
        return cst_fail(error, CST_ERROR_STATE, _("thin pool '%s' does not work: '%s'"), path,
                        (const char *)(target + 1));
    *ret_held = strcmp(fields[FIELDS_BEFORE_HELD], NOT_HELD) != 0;
    return TRUE;
}

gboolean lvm_pool_message(const char *path, const char *message, GError **error)
{
    g_autofree Answer *answer = g_new0(Answer, 1);
    struct dm_target_msg *to = (void *)(answer->bytes + sizeof(answer->head));

    /* The sector is 0, because a thin pool has only one target. */
    g_strlcpy(to->message, message, sizeof(*answer) - sizeof(answer->head) - sizeof(*to));
    return thin_pool_ioctl(DM_TARGET_MSG, path, answer, error);
}

/* --- use -------------------------------------------------------------------------------------- */

gboolean lvm_status_read(const char *path, char **ret_status, GError **error)
{
    g_autofree Answer *answer = g_new0(Answer, 1);
    const struct dm_target_spec *target;
    struct stat node;
    int known;

    if (!cst_node_stat(path, &node) || !S_ISBLK(node.st_mode))
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no device '%s'"), path);
    answer->head.flags = DM_NOFLUSH_FLAG;
    known = cst_dm_ask(DM_TABLE_STATUS, node.st_rdev, &answer->head, sizeof(*answer), error);
    if (known < 0)
        return FALSE;
    target = (const void *)(answer->bytes + answer->head.data_start);
    if (known == 0 || answer->head.target_count != 1)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no map of device '%s'"), path);
    *ret_status = g_strdup_printf("%s %s", target->target_type, (const char *)(target + 1));
    return TRUE;
}

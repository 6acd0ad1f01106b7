/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and tags of LVs: which people may give, and which are ours (logical.h). The maker in a
 * draft's name is a process: the start of its boot's id, its number, and when it was started. A
 * draft thus shows by itself whether its maker lives.
 */
#include "logical.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/uuid.h>

#define DRAFT_SUFFIX    ".part"
#define OLD_SUFFIX      ".old"
#define SNAPSHOT_SUFFIX ".snap"
#define HEX_LEN         32
#define TAG_PREFIX      "cistern:"
#define NAME_MAX_LEN    127

/* lvm(8): characters of a name, and what LVM keeps for its own parts. */
static const char name_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_.-";
static const char *const reserved_parts[] = {
    "_cdata", "_cmeta", "_corig", "_cpool", "_cvol",  "_mimage",  "_mlog",    "_rimage", "_rmeta",
    "_tdata", "_tmeta", "_vdata", "_iorig", "_imeta", "_vorigin", "_pmspare", "_wcorig"};

gboolean logical_name_check(const char *name, GError **error)
{
    if (!*name || strlen(name) > NAME_MAX_LEN || name[strspn(name, name_characters)] ||
        *name == '-' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("LVM takes no name '%s': up to %d letters, digits and + _ . -, not "
                          "beginning with '-'"),
                        name, NAME_MAX_LEN);
    if (g_str_has_prefix(name, "snapshot") || g_str_has_prefix(name, "pvmove") ||
        logical_is_hidden(name))
        return cst_fail(error, CST_ERROR_INVALID, _("the beginning of the name '%s' is reserved"),
                        name);
    for (size_t i = 0; i < G_N_ELEMENTS(reserved_parts); i++)
        if (strstr(name, reserved_parts[i]))
            return cst_fail(error, CST_ERROR_INVALID,
                            _("the name '%s' has '%s' in it, which LVM keeps for itself"), name,
                            reserved_parts[i]);
    return TRUE;
}

/* --- ours ------------------------------------------------------------------------------------- */

/* Returns when a process was started, in the kernel's ticks since boot; 0: there is none. */
static unsigned long long start_of(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
    g_autofree char *text = cst_kernel_read(path);
    unsigned long long start = 0;
    const char *rest;

    if (!text)
        return 0;
    /* The second field is a name that may hold anything, so the count begins behind its ")". */
    rest = strrchr(text, ')');
    if (!rest || sscanf(rest,
                        ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                        "%*d %*d %*d %llu",
                        &start) != 1)
        return 0;
    return start;
}

/* The first characters of this boot's id, which tell process numbers of different boots apart. */
static void boot_mark(char mark[5])
{
    g_autofree char *text = cst_kernel_read("/proc/sys/kernel/random/boot_id");

    g_strlcpy(mark, "0000", 5);
    if (text)
        g_strlcpy(mark, text, 5);
}

/* The token without its dashes. */
static char *hex_of(const char *token)
{
    g_autoptr(GString) hex = g_string_new(NULL);

    for (const char *p = token; *p; p++)
        if (g_ascii_isxdigit(*p))
            g_string_append_c(hex, *p);
    return g_string_free(g_steal_pointer(&hex), FALSE);
}

/*
 * From the token, the same process makes the same name again (commit); another one finds it by the
 * token alone.
 */
char *logical_draft_name(const char *token)
{
    g_autofree char *hex = hex_of(token);
    char boot[5];

    boot_mark(boot);
    return g_strdup_printf(LOGICAL_PREFIX "%s.%s_%d_%llu" DRAFT_SUFFIX, hex, boot, getpid(),
                           start_of(getpid()));
}

/* The maker in it is the draft's, so both are recovered together. */
char *logical_old_name(const char *draft)
{
    return g_strdup_printf("%.*s" OLD_SUFFIX, (int)(strlen(draft) - strlen(DRAFT_SUFFIX)), draft);
}

char *logical_snapshot_name(void)
{
    char text[CST_UUID_TEXT_LEN];
    g_autofree char *hex = NULL;
    CstUuid uuid;

    cst_uuid_generate(&uuid);
    hex = hex_of(cst_uuid_format(&uuid, text));
    return g_strconcat(LOGICAL_PREFIX, hex, SNAPSHOT_SUFFIX, NULL);
}

gboolean logical_is_hidden(const char *name)
{
    return g_str_has_prefix(name, LOGICAL_PREFIX);
}

gboolean logical_is_draft(const char *name)
{
    return logical_is_hidden(name) && g_str_has_suffix(name, DRAFT_SUFFIX);
}

gboolean logical_is_old(const char *name)
{
    return logical_is_hidden(name) && g_str_has_suffix(name, OLD_SUFFIX);
}

/* By the token only: the maker may be another process, or an earlier boot. */
gboolean logical_is_draft_of(const char *name, const char *token)
{
    g_autofree char *hex = hex_of(token);

    return strlen(hex) == HEX_LEN && logical_is_draft(name) &&
           strncmp(name + strlen(LOGICAL_PREFIX), hex, HEX_LEN) == 0 &&
           name[strlen(LOGICAL_PREFIX) + HEX_LEN] == '.';
}

/* The start time tells apart processes that have had the same number. */
gboolean logical_maker_lives(const char *name)
{
    char boot[5], now[5];
    unsigned long long start = 0;
    int pid = 0;

    if (!logical_is_hidden(name) ||
        sscanf(name + strlen(LOGICAL_PREFIX), "%*32[0-9a-f].%4[0-9a-f]_%d_%llu", boot, &pid,
               &start) != 3)
        return FALSE;
    boot_mark(now);
    return strcmp(boot, now) == 0 && start != 0 && start_of(pid) == start;
}

/* --- tags ------------------------------------------------------------------------------------- */

/* Snapshot names may hold bytes that tags may not: "#HH" stands for such a byte. */
char *logical_tag(const char *key, const char *value)
{
    g_autoptr(GString) tag = g_string_new(TAG_PREFIX);

    g_string_append_printf(tag, "%s=", key);
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if (g_ascii_isalnum(*p) || strchr("_+.-", *p))
            g_string_append_c(tag, (char)*p);
        else
            g_string_append_printf(tag, "#%02x", *p);
    }
    return g_string_free(g_steal_pointer(&tag), FALSE);
}

/* What is no escape stays as it is. */
static char *unescape(const char *text)
{
    g_autoptr(GString) value = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (*p == '#' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2])) {
            g_string_append_c(value,
                              (char)(g_ascii_xdigit_value(p[1]) * 16 + g_ascii_xdigit_value(p[2])));
            p += 2;
        } else {
            g_string_append_c(value, *p);
        }
    }
    return g_string_free(g_steal_pointer(&value), FALSE);
}

char *logical_tag_value(const LvmVolume *lv, const char *key)
{
    g_autofree char *wanted = g_strconcat(TAG_PREFIX, key, "=", NULL);

    for (char **tag = lv->tags; *tag; tag++)
        if (g_str_has_prefix(*tag, wanted))
            return unescape(*tag + strlen(wanted));
    return NULL;
}

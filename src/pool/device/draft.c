/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hidden names of the volumes of block pools. A draft's name identifies the process that creates
 * it: the start of the boot's id, the pid, and the start time. The name alone thus shows whether
 * the process is alive.
 */
#include <pool/device.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/file.h>
#include <base/process.h>
#include <base/uuid.h>

#define DRAFT_SUFFIX ".part"
#define OLD_SUFFIX   ".old"
#define HEX_LEN      32

/* Stores the first characters of this boot's id, which distinguish the pids of different boots. */
static void boot_mark(char mark[5])
{
    g_autofree char *text = cst_kernel_read("/proc/sys/kernel/random/boot_id");

    g_strlcpy(mark, "0000", 5);
    if (text)
        g_strlcpy(mark, text, 5);
}

/* Returns the token without its dashes. */
static char *hex_of(const char *token)
{
    g_autoptr(GString) hex = g_string_new(NULL);

    for (const char *p = token; *p; p++)
        if (g_ascii_isxdigit(*p))
            g_string_append_c(hex, *p);
    return g_string_free(g_steal_pointer(&hex), FALSE);
}

/*
 * For the same token, a process always gets the same name (commit). Another process finds the draft
 * by the token alone.
 */
char *cst_draft_name(const char *token)
{
    g_autofree char *hex = hex_of(token);
    char boot[5];

    boot_mark(boot);
    return g_strdup_printf(CST_HIDDEN_PREFIX "%s.%s_%d_%" PRIu64 DRAFT_SUFFIX, hex, boot, getpid(),
                           cst_process_start(getpid(), NULL));
}

/* The name contains the draft's process, so both volumes are recovered together. */
char *cst_draft_old_name(const char *draft)
{
    return g_strdup_printf("%.*s" OLD_SUFFIX, (int)(strlen(draft) - strlen(DRAFT_SUFFIX)), draft);
}

char *cst_hidden_name(const char *suffix)
{
    char text[CST_UUID_TEXT_LEN];
    g_autofree char *hex = NULL;
    CstUuid uuid;

    cst_uuid_generate(&uuid);
    hex = hex_of(cst_uuid_format(&uuid, text));
    return g_strconcat(CST_HIDDEN_PREFIX, hex, suffix, NULL);
}

gboolean cst_draft_is_hidden(const char *name)
{
    return g_str_has_prefix(name, CST_HIDDEN_PREFIX);
}

gboolean cst_device_name_is_volume(const char *name)
{
    return !cst_draft_is_hidden(name) || cst_name_is_trash(name);
}

gboolean cst_draft_is(const char *name)
{
    return cst_draft_is_hidden(name) && g_str_has_suffix(name, DRAFT_SUFFIX);
}

gboolean cst_draft_is_old(const char *name)
{
    return cst_draft_is_hidden(name) && g_str_has_suffix(name, OLD_SUFFIX);
}

/*
 * Compares only the token, because another process or an earlier boot may have created the draft.
 */
gboolean cst_draft_is_of(const char *name, const char *token)
{
    g_autofree char *hex = hex_of(token);

    return strlen(hex) == HEX_LEN && cst_draft_is(name) &&
           strncmp(name + strlen(CST_HIDDEN_PREFIX), hex, HEX_LEN) == 0 &&
           name[strlen(CST_HIDDEN_PREFIX) + HEX_LEN] == '.';
}

/* The start time distinguishes processes that have had the same pid. */
gboolean cst_draft_maker_lives(const char *name)
{
    char boot[5], now[5];
    unsigned long long start = 0;
    int pid = 0;

    if (!cst_draft_is_hidden(name) ||
        sscanf(name + strlen(CST_HIDDEN_PREFIX), "%*32[0-9a-f].%4[0-9a-f]_%d_%llu", boot, &pid,
               &start) != 3)
        return FALSE;
    boot_mark(now);
    return strcmp(boot, now) == 0 && start != 0 && cst_process_start(pid, NULL) == start;
}

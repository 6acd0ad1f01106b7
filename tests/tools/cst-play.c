/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plays a script of qemu-io's commands on images, from standard input, one command a line, so that
 * thousands of images cost one process. What fails is told in a line "error: …" and the script goes
 * on, as in qemu-io.
 *
 *   create FORMAT FILE SIZE [OPTION=VALUE…]
 *   open FORMAT FILE            prints "== FILE CAPACITY"
 *   write [-P BYTE|-z|-zu] [-c] OFFSET LENGTH
 *   discard OFFSET LENGTH, flush, truncate SIZE
 *   read -P BYTE OFFSET LENGTH  complains when something else is there
 *   runs OFFSET LENGTH          prints "run OFFSET LENGTH BYTE" for each run of one byte
 *   snapshot create|revert|delete NAME
 *   close
 *   check FORMAT FILE           prints the figures
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <image/snapshot.h>

#include "images.h"

typedef struct {
    CstImage *image; /* NULL: raw, whose guest's view is the file */
    CstBlob *guest;  /* NULL: nothing is open */
} Player;

typedef struct {
    int argc;
    char **argv;
} Command;

static uint64_t number(const Command *command, int index)
{
    return index < command->argc ? strtoull(command->argv[index], NULL, 0) : 0;
}

static gboolean play_create(Player *player, const Command *command, GError **error)
{
    g_autoptr(CstBlob) blob = tool_file(command->argv[2], TRUE, TRUE, error);

    return blob && tool_create(command->argv[1], blob, number(command, 3), command->argc - 4,
                               command->argv + 4, error);
}

static gboolean play_close(Player *player, const Command *command, GError **error)
{
    gboolean ok = !player->guest || cst_blob_flush(player->guest, error);

    g_clear_pointer(&player->guest, cst_blob_unref);
    player->image = NULL;
    return ok;
}

static gboolean play_open(Player *player, const Command *command, GError **error)
{
    const char *format = command->argv[1], *path = command->argv[2];
    CstImage *image;

    g_clear_pointer(&player->guest, cst_blob_unref);
    image = tool_image(path, format, CST_IMAGE_WRITE, error);
    printf("== %s %" G_GUINT64_FORMAT "\n", path, image ? cst_image_capacity(image) : 0);
    if (!image)
        return FALSE;
    player->image = strcmp(format, "raw") == 0 ? NULL : image;
    player->guest = cst_image_guest_blob(image);
    return TRUE;
}

static gboolean fill(Player *player, uint64_t offset, uint64_t length, int byte, gboolean packed,
                     GError **error)
{
    g_autofree uint8_t *buf = g_malloc(length);
    uint64_t unit;

    memset(buf, byte, length);
    if (!packed)
        return cst_blob_pwrite(player->guest, buf, length, offset, error);
    unit = player->image ? cst_image_compression_unit(player->image) : 0;
    for (uint64_t done = 0; done < length; done += unit)
        if (unit == 0 || !cst_image_write_compressed(player->image, buf, MIN(unit, length - done),
                                                     offset + done, error))
            return unit > 0 || cst_fail(error, CST_ERROR_UNSUPPORTED, "no compression");
    return TRUE;
}

static gboolean play_write(Player *player, const Command *command, GError **error)
{
    uint64_t offset = number(command, command->argc - 2);
    uint64_t length = number(command, command->argc - 1);
    gboolean packed = FALSE;
    int byte = 0;

    for (int i = 1; i < command->argc - 2; i++) {
        const char *arg = command->argv[i];

        if (g_str_has_prefix(arg, "-z"))
            return cst_blob_zero(player->guest, offset, length, arg[2] ? CST_ZERO_MAY_UNMAP : 0,
                                 error);
        if (strcmp(arg, "-c") == 0)
            packed = TRUE;
        else if (strcmp(arg, "-P") == 0)
            byte = (int)number(command, ++i);
    }
    return fill(player, offset, length, byte, packed, error);
}

static gboolean play_discard(Player *player, const Command *command, GError **error)
{
    return cst_blob_discard(player->guest, number(command, 1), number(command, 2), error);
}

static gboolean play_flush(Player *player, const Command *command, GError **error)
{
    return cst_blob_flush(player->guest, error);
}

static gboolean play_truncate(Player *player, const Command *command, GError **error)
{
    if (!player->image)
        return cst_blob_resize(player->guest, number(command, 1), error);
    return cst_image_resize(player->image, number(command, 1), CST_PREALLOC_OFF, NULL, error);
}

/** Reads the range that the last two arguments tell. */
static uint8_t *read_range(Player *player, const Command *command, GError **error)
{
    uint64_t offset = number(command, command->argc - 2);
    uint64_t length = number(command, command->argc - 1);
    g_autofree uint8_t *buf = g_malloc(length);

    return cst_blob_pread(player->guest, buf, length, offset, error) ? g_steal_pointer(&buf) : NULL;
}

static gboolean play_read(Player *player, const Command *command, GError **error)
{
    uint64_t offset = number(command, 3), length = number(command, 4);
    g_autofree uint8_t *buf = read_range(player, command, error);
    uint8_t byte = (uint8_t)number(command, 2);

    for (uint64_t i = 0; buf && i < length; i++)
        if (buf[i] != byte)
            return cst_fail(error, CST_ERROR_MISMATCH,
                            "%u instead of %u at %" G_GUINT64_FORMAT " (of %" G_GUINT64_FORMAT
                            "+%" G_GUINT64_FORMAT ")",
                            buf[i], byte, offset + i, offset, length);
    return buf != NULL;
}

static gboolean play_runs(Player *player, const Command *command, GError **error)
{
    uint64_t offset = number(command, 1), length = number(command, 2), start = 0;
    g_autofree uint8_t *buf = read_range(player, command, error);

    for (uint64_t i = 1; buf && i <= length; i++)
        if (i == length || buf[i] != buf[start]) {
            printf("run %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %u\n", offset + start,
                   i - start, buf[start]);
            start = i;
        }
    return buf != NULL;
}

static gboolean play_snapshot(Player *player, const Command *command, GError **error)
{
    const char *verb = command->argv[1], *name = command->argv[2];

    if (strcmp(verb, "create") == 0)
        return cst_image_snapshot_create(player->image, name, NULL, error);
    if (strcmp(verb, "revert") == 0)
        return cst_image_snapshot_revert(player->image, name, NULL, error);
    return cst_image_snapshot_delete(player->image, name, NULL, error);
}

static gboolean play_check(Player *player, const Command *command, GError **error)
{
    CstImageCheck check;

    return tool_check(command->argv[2], command->argv[1], 0, &check, error);
}

static const struct {
    const char *name;
    int least; /* arguments, with the name */
    gboolean needs_open;
    gboolean (*play)(Player *player, const Command *command, GError **error);
} verbs[] = {
    {"create", 4, FALSE, play_create}, {"open", 3, FALSE, play_open},
    {"close", 1, FALSE, play_close},   {"write", 3, TRUE, play_write},
    {"read", 5, TRUE, play_read},      {"discard", 3, TRUE, play_discard},
    {"flush", 1, TRUE, play_flush},    {"truncate", 2, TRUE, play_truncate},
    {"runs", 3, TRUE, play_runs},      {"snapshot", 3, TRUE, play_snapshot},
    {"check", 3, FALSE, play_check},
};

static gboolean play(Player *player, const Command *command, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(command->argv[0], verbs[i].name) != 0 || command->argc < verbs[i].least)
            continue;
        if (verbs[i].needs_open && !player->guest)
            return TRUE; /* it was told that it could not be opened */
        return verbs[i].play(player, command, error);
    }
    return cst_fail(error, CST_ERROR_INVALID, "no command: %s", command->argv[0]);
}

int main(void)
{
    Player player = {0};
    char line[4096];
    int status = 0;

    while (fgets(line, sizeof line, stdin)) {
        g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", -1);
        const Command command = {(int)g_strv_length(words), words};
        g_autoptr(GError) error = NULL;

        if (command.argc > 0 && !play(&player, &command, &error)) {
            printf("error: %s: %s\n", line, error->message);
            status = 1;
        }
    }
    play_close(&player, NULL, NULL);
    return status;
}

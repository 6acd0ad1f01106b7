/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "unit.h"

#include <backup/backup.h>

#include "core/ctl.h"

/*
 * The command line over real storage of the example backend (pool/memory.h), in this process: two
 * volumes, two repositories, and the expected content of each. Each change of a volume is also
 * applied to its expected content.
 */
#define BLOCK   (UINT64_C(64) << 10)
#define LARGEST (24 * BLOCK)
#define VOLUMES 2
#define REPOS   2
#define SEED    1

typedef struct {
    uint8_t bytes[LARGEST];
    uint64_t size;
} Content;

typedef struct {
    const char *name;
    CstVolRef *ref;
    Content now;
    GHashTable *snapshots; /* name to Content */
} Volume;

/* The expected content of a backup of a volume. */
typedef struct {
    unsigned repo, volume;
    char id[CST_BACKUP_ID_TEXT];
    Content content;
} Kept;

typedef struct {
    char *dir;
    CliCtl ctl;
    char *out, *err; /* of the last line */
    CstPoolRef *pool;
    Volume volumes[VOLUMES];
    GPtrArray *kept; /* of Kept *, oldest first */
    GRand *rand;
    unsigned step, increments, wholes;
} World;

/** A single interference at a point of a backup. */
typedef enum { AFTER_THE_SNAPSHOT, BEFORE_READING } MeddleWhen;
void meddle(World *world, MeddleWhen when, void (*with)(World *world));
/** Whether that was done. */
gboolean has_meddled(void);

int world_setup(void **state);
int world_teardown(void **state);

/** Runs a line. Its output is kept until the next line. */
CstExitStatus play(World *world, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define plays(world, ...)                                                         \
    do {                                                                          \
        if (play(world, __VA_ARGS__) != CST_EXIT_OK)                              \
            fail_msg("step %u: %s%s", (world)->step, (world)->out, (world)->err); \
    } while (0)
void must(const World *world, gboolean done, GError *error);
uint32_t draw(World *world, uint64_t below);
CstRepo *open_repo(const World *world, unsigned repo);

/** Creates the volume again with its expected content. */
void put(World *world, Volume *volume);
/** Writes bytes of @seed, or (0) a hole. */
void write_to(World *world, Volume *volume, uint64_t offset, uint64_t length, uint32_t seed);
void resize(World *world, Volume *volume, uint64_t size);
void snapshot(World *world, Volume *volume, const char *name);
void revert(World *world, Volume *volume, const char *name);
void remove_snapshot(World *world, Volume *volume, const char *name);
/** Returns the name of a random snapshot, or NULL if there is no snapshot. Free it. */
char *any_snapshot(World *world, const Volume *volume);
/**
 * Records the snapshots that backups have created and removed. A new one has the volume's content.
 * Returns the number of snapshots of backups.
 */
guint look_at_snapshots(World *world, Volume *volume);

void check_kept(World *world, const Kept *kept);
/** Backs up volume @number, checks it, and returns it as *ret_backup has it. */
const CstBackupVolume *back_up(World *world, unsigned repo_number, unsigned number,
                               const char *words, CstBackup **ret_backup);

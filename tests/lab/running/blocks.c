/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes numbered blocks to disks inside a guest, and checks copies of these disks outside of it.
 *
 *   blocks write DISK…   until the guest ends
 *   blocks files DIR     numbered files on a file system, until the guest ends
 *   blocks check COPY…   copies of the disks as raw files; status 0: they are of one point in time
 *
 * Block n is written to each disk in turn, at a place that depends on n. Then block n - KEPT is
 * discarded. So a copy of one point in time has exactly the newest KEPT blocks, and the newest
 * blocks of two disks differ by one at most. A copy that mixes two points in time has gaps.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define CLUSTER 65536u /* a place; it has one block */
#define BLOCK   4096u
#define SLOTS   (CLUSTER / BLOCK)
#define WORDS   (BLOCK / 8)
#define STEP    40503u /* between the places of two blocks; its factors are 3, 23 and 587 */
#define MAGIC   UINT64_C(0x6e756d6265726564)
#define SALT    UINT64_C(0x9e3779b97f4a7c15)

/* The number of places, which has no factor in common with STEP. */
static uint64_t places_of(uint64_t bytes)
{
    uint64_t count = bytes / CLUSTER;

    while (count % 3 == 0 || count % 23 == 0 || count % 587 == 0)
        count--;
    return count;
}

static uint64_t place_of(uint64_t n, uint64_t places)
{
    return n * STEP % places;
}

static void fill(uint64_t *block, uint64_t n, uint64_t places)
{
    for (unsigned i = 0; i < WORDS; i++)
        block[i] = n ^ (i * SALT);
    block[1] = MAGIC;
    block[2] = places;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int write_blocks(int count, char **paths)
{
    uint64_t places = 0, bytes, *block;
    double said = now(), slowest = 0;
    int disks[8];

    if (count > 8 || posix_memalign((void **)&block, BLOCK, BLOCK))
        return 1;
    for (int i = 0; i < count; i++) {
        disks[i] = open(paths[i], O_RDWR | O_DIRECT);
        if (disks[i] < 0 || ioctl(disks[i], BLKGETSIZE64, &bytes) < 0) {
            perror(paths[i]);
            return 1;
        }
        if (!places || places_of(bytes) < places)
            places = places_of(bytes);
    }
    for (uint64_t n = 1;; n++) {
        double began;

        fill(block, n, places);
        began = now();
        for (int i = 0; i < count; i++)
            while (pwrite(disks[i], block, BLOCK,
                          (off_t)(place_of(n, places) * CLUSTER + BLOCK * (n % SLOTS))) != BLOCK) {
                printf("WRITER ERROR block %" PRIu64 ": %s\n", n, strerror(errno));
                /* paced: a failed write is repeated once in a second */
                sleep(1);
            }
        if (now() - began > slowest)
            slowest = now() - began;
        for (int i = 0; i < count && n > places / 2; i++) {
            uint64_t range[2] = {place_of(n - places / 2, places) * CLUSTER, CLUSTER};

            if (ioctl(disks[i], BLKDISCARD, range) < 0)
                printf("WRITER ERROR discard %" PRIu64 ": %s\n", n, strerror(errno));
        }
        if (now() - said >= 0.5) {
            said = now();
            printf("WRITER block %" PRIu64 " of %" PRIu64 ", slowest %.0f us\n", n, places,
                   slowest * 1e6);
            slowest = 0;
        }
    }
}

static int write_files(const char *directory)
{
    static char content[3 * 8192];
    double said = now();

    for (uint64_t n = 1;; n++) {
        char path[256];
        int file;

        snprintf(path, sizeof(path), "%s/f%" PRIu64, directory, n);
        file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
        memset(content, 'a' + (int)(n % 26), sizeof(content));
        if (file < 0 || write(file, content, sizeof(content)) != sizeof(content) || fsync(file) < 0)
            printf("WRITER ERROR file %" PRIu64 ": %s\n", n, strerror(errno));
        close(file);
        snprintf(path, sizeof(path), "%s/f%" PRIu64, directory, n - 100);
        if (n > 100)
            unlink(path);
        if (now() - said >= 0.5) {
            said = now();
            printf("WRITER file %" PRIu64 "\n", n);
        }
    }
}

/*
 * The newest block of a copy; 0 with a message: it is of no single point in time. @keeps_old: older
 * blocks may be left, because QEMU drops discards while a job runs.
 */
static uint64_t check_copy(const char *path, int keeps_old)
{
    uint64_t block[WORDS], wanted[WORDS], newest = 0, places = 0, found = 0, bad = 0, missing = 0;
    int copy = open(path, O_RDONLY);
    off_t bytes = lseek(copy, 0, SEEK_END);
    uint64_t *at = calloc((size_t)(bytes / CLUSTER + 1), sizeof(*at));

    for (off_t offset = 0; offset < bytes; offset += BLOCK) {
        uint64_t place = (uint64_t)offset / CLUSTER, slot = (uint64_t)offset % CLUSTER / BLOCK;
        uint64_t n;

        if (pread(copy, block, BLOCK, offset) != BLOCK)
            break;
        memset(wanted, 0, sizeof(wanted));
        if (memcmp(block, wanted, BLOCK) == 0)
            continue;
        n = block[0];
        places = block[2];
        fill(wanted, n, places);
        if (memcmp(block, wanted, BLOCK) != 0 || places == 0 || place_of(n, places) != place ||
            n % SLOTS != slot || (at[place] && !keeps_old)) {
            bad++;
            continue;
        }
        at[place] = n > at[place] ? n : at[place];
        found++;
        newest = n > newest ? n : newest;
    }
    for (uint64_t n = newest > places / 2 ? newest - places / 2 + 1 : 1; places && n <= newest; n++)
        missing += at[place_of(n, places)] != n;
    /* The discard of the oldest block follows the newest block. */
    if (places && newest > places / 2 && found == places / 2 + 1)
        found--;
    if (bad || missing ||
        (!keeps_old && places && found > (newest < places / 2 ? newest : places / 2)))
        printf("%s: newest %" PRIu64 ", found %" PRIu64 ", bad %" PRIu64 ", missing %" PRIu64 "; ",
               path, newest, found, bad, missing),
            newest = 0;
    close(copy);
    free(at);
    return newest;
}

static int check(int count, char **paths, int keeps_old)
{
    uint64_t first = 0;
    int status = 0;

    for (int i = 0; i < count; i++) {
        uint64_t newest = check_copy(paths[i], keeps_old);

        if (i == 0)
            first = newest;
        if (newest == 0 || first < newest || first - newest > 1)
            status = 1;
        printf("%" PRIu64 "%s", newest, i + 1 < count ? " " : "\n");
    }
    return status;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && strcmp(argv[1], "write") == 0)
        return write_blocks(argc - 2, argv + 2);
    if (argc > 2 && strcmp(argv[1], "files") == 0)
        return write_files(argv[2]);
    if (argc > 2 && strcmp(argv[1], "check") == 0)
        return check(argc - 2, argv + 2, 0);
    if (argc > 2 && strcmp(argv[1], "check-kept") == 0)
        return check(argc - 2, argv + 2, 1);
    fprintf(stderr, "usage: blocks write DISK… | files DIR | check COPY… | check-kept COPY…\n");
    return 2;
}

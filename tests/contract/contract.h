/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/blob.h>
#include <pool/pool.h>
#include <service/snapshots.h>
#include <service/volumes.h>

/**
 * One contract over every backend there is: the same tests, through the service, on different
 * grounds. A ground is a technology with its storage prepared for tests.
 */

/** The abilities of a ground. For a missing ability the tests expect one clear error. */
typedef enum {
    GROUND_NEEDS_BUILD = 1 << 0,      /**< a pool that was never built does not start */
    GROUND_DELETES = 1 << 1,          /**< pool-delete removes the storage of an empty pool */
    GROUND_RESIZES = 1 << 2,          /**< volumes can be made larger and smaller */
    GROUND_GROWS_BY_WRITE = 1 << 3,   /**< writing behind the end of a volume makes it larger */
    GROUND_GROWS_ZERO = 1 << 4,       /**< what is added reads as zeroes */
    GROUND_SNAPSHOTS = 1 << 5,        /**< volumes of its format can have snapshots */
    GROUND_SNAPSHOTS_INSIDE = 1 << 6, /**< the image keeps them: they go where it goes */
    GROUND_CLONES_DEPEND = 1 << 7,    /**< clones hang on what they were made of until flattened */
    GROUND_DIRECTORIES = 1 << 8,      /**< a volume can be a directory */
    /** Other hosts use the storage too: what may be somebody's is left alone for a while. */
    GROUND_SHARED = 1 << 9,
    GROUND_DELETES_ALL = 1 << 10, /**< pool-delete takes the volumes along */
    /**
     * Starting mounts the storage: pool-delete removes the directory below and nothing of the
     * storage, and a pool does not stop while somebody has something open in it.
     */
    GROUND_MOUNTS = 1 << 11,
    GROUND_NO_DRAFTS = 1 << 12, /**< what is being made is nowhere in the native list */
    /**
     * Volumes are what is attached, of VOLUME_SIZE each: none is made or removed by a pool. Tests
     * that begin with making one are left out by name; those of fixed.c take their place.
     */
    GROUND_FIXED = 1 << 13,
    GROUND_SINGLE = 1 << 14,       /**< there is one pool of its kind at most */
    GROUND_REVERTS_ANY = 1 << 15,  /**< a revert keeps the snapshots that are newer */
    GROUND_FLATTENS_ANY = 1 << 16, /**< also volumes with snapshots, and clones, of their own */
    GROUND_MAKER_LIVES = 1 << 17,  /**< whose a draft is goes by the process, the test's own here */
    /** Volumes are on the network, and nobody is told when one of them comes or goes. */
    GROUND_UNWATCHED = 1 << 18,
    GROUND_URLS = 1 << 19,    /**< volumes have URLs, and are network and netdir to clients */
    GROUND_RENAMES = 1 << 20, /**< a volume can get another name */
    GROUND_TRASH = 1 << 21,   /**< deleted volumes can be kept */
    GROUND_TELLS = 1 << 22,   /**< what has changed since a snapshot is told */
    GROUND_INSIDE = 1 << 23,  /**< the storage is this process's own: no other program sees it */
    /** A volume that is moved to another pool is not copied; it has an identity(). */
    GROUND_MOVES = 1 << 24,
    GROUND_MOVES_DEPENDENTS = 1 << 25, /**< nor are its snapshots, and its clones stay */
    GROUND_ONE_STEP = 1 << 26,         /**< snapshots of several volumes are made in one step */
    GROUND_ALONE = 1 << 27,            /**< the program knows no other technology */
    GROUND_DRAFTS = 1 << 28,           /**< snapshots can be created in two steps */
    GROUND_PLANS = 1 << 29             /**< snapshots can be prepared for a pause */
} GroundFlags;

typedef struct Site Site;

typedef struct {
    const char *name;
    void (*run)(Site *site);
    unsigned needs;              /**< GroundFlags */
    void (*refused)(Site *site); /**< instead, on a ground that lacks them; NULL: nothing to see */
} ContractTest;

typedef struct Ground Ground;
struct Ground {
    const char *name;
    const char *format; /**< of the volumes */
    const char *mark;   /**< what documents say in its place; NULL: that */
    unsigned flags;     /**< GroundFlags; set_up may add what depends on the machine */
    unsigned room;      /**< so many volumes fit into a pool; 0: many */

    /**
     * Prepares storage for all tests below the directory @dir. Returns why it can't be used on this
     * machine, which the caller frees; NULL: it can.
     */
    char *(*set_up)(const char *dir);
    /** Takes it down again, also after a set_up that could not. */
    void (*tear_down)(void);
    /** Definition of a pool of that name, on storage of its own. */
    char *(*pool_xml)(const char *pool);
    /** Removes whatever the pool of that name has on the storage, built or not. After each test. */
    void (*clean)(const char *pool);

    /* what the technology's own tool does, behind the service's back */
    void (*native_create)(const char *pool, const char *volume, uint64_t size);
    void (*native_delete)(const char *pool, const char *volume);
    /** All that there is in the pool's storage in order, drafts and snapshots too. */
    char **(*native_list)(const char *pool);
    /** Opens the volume as a user of it does, until released. NULL: nobody can tell. */
    void (*hold)(const char *pool, const char *volume);
    void (*release)(const char *pool, const char *volume);

    /**
     * What the pool's volume of that number has to be called: a new pool's first one is 1. The
     * caller frees it. NULL: volumes are called what one likes.
     */
    char *(*only_name)(const char *pool, guint number);

    /** Opens a volume's file as another client does; NULL: by its path. */
    CstBlob *(*open)(const char *pool, const char *volume, gboolean writable, GError **error);

    /** Returns the identity of the volume, which no copy has. The caller frees it. */
    char *(*identity)(const char *pool, const char *volume);

    /** Tests that it alone has, ended as the tables below; NULL: none. */
    const ContractTest *own_tests;
};

/** The grounds of this program; ends with NULL. */
extern const Ground *const grounds[];

/* --- the site of one test --------------------------------------------------------------------- */

#define VOLUME_SIZE (8 * CST_MIB)

/** A service on a root of its own, and on the ground a pool "p" that is active and empty. */
struct Site {
    const Ground *ground;
    void (*run)(Site *site); /**< the test */
    char *root;
    CstPaths *paths;
    CstService *service;
    CstPool *pool;
};

int site_set_up(void **state);
int site_tear_down(void **state);
gboolean site_has(const Site *site, unsigned flag);
/** Flags that delete a volume with all that is its own, on this ground. */
unsigned site_delete_flags(const Site *site);
/** Ends the service and starts another one on the same root; site->pool is found again. */
void site_restart(Site *site);
/** Between the two the service does not run. */
void site_stop_service(Site *site);
void site_start_service(Site *site);
/** Defines and builds the pool @name, and starts it. */
CstPool *site_make_pool(Site *site, const char *name);
/** Does the same with a definition of any technology. */
CstPool *site_make_pool_of(Site *site, const char *xml);
/** Waits until the pool is active (autostart), at most some seconds. */
void site_wait_active(CstPool *pool);
/** Another state of the pool "p", as another program has; the caller drops it. */
CstPoolState *site_open_state(Site *site);
/** The definition of the pool "p" as it is, with a trash; free it. */
char *site_trash_xml(Site *site);
/** Gives the pool that trash, which counts at once. */
void site_keep_deleted(Site *site);
/** Whether linked clones hang on what they were made of: overlays do, and not thin LVM's. */
gboolean site_links_depend(Site *site);
/** The native list, joined by spaces. */
char *site_native(Site *site, const char *pool);

/** Has another process open the file or device @path, until released; one at a time. */
void site_hold(const char *path);
/** The same with what @fd, which is taken over, has open, its locks included. */
void site_hold_fd(int fd);
void site_release(void);
/** Runs a line of shell with $1 and $2; it must succeed. What it printed, by the word. */
char **site_shell(const char *line, const char *one, const char *two);

/** Fails the test with the error's text when @error is set. */
void assert_no_error(GError *error);
/** Clears @error, which must have @code. */
void assert_error(GError **error, int code);
/** The same, and its message contains @words. */
void assert_error_says(GError **error, int code, const char *words);

/* --- volumes (content.c) ---------------------------------------------------------------------- */

/** XML of a volume of the ground's format. */
char *volume_xml(const Site *site, const char *name, uint64_t size);
/** Returns the document that vol-clone sends: the source's XML with another name. */
char *volume_clone_xml(Site *site, const char *source, const char *name);
void volume_make(Site *site, const char *name, uint64_t size);
uint64_t volume_size(Site *site, const char *name);
/** It must be found by its path and by its key, in site->pool. */
void volume_assert_found(Site *site, const char *name);
/** Names of the pool's volumes, joined by spaces. */
char *volume_names(Site *site);
/** Names of a volume's snapshots, oldest first, joined by spaces. */
char *snapshot_names(Site *site, const char *volume);

/** Content is written and compared by the block; the same tag gives the same bytes, 0: zeroes. */
#define TAG_BLOCK (64 * CST_KIB)
void tag_fill(uint8_t *block, uint32_t tag);
/** Writes @tag to @count blocks of the guest's content, beginning at @first. */
void content_write(Site *site, const char *volume, guint first, guint count, uint32_t tag);
/** Each block must hold its tag, and there are no more. */
void content_assert(Site *site, const char *volume, const uint32_t *tags, guint count);
/** All that comes, with zeroes for holes; free it. */
GByteArray *content_taken(CstDownload *download);
/** All that is sent of @volume, or of a snapshot of it; free it. */
GByteArray *content_sent(Site *site, const char *volume, const char *snapshot);
/** All blocks hold the same. */
void content_assert_all(Site *site, const char *volume, uint32_t tag);

/* --- the tests -------------------------------------------------------------------------------- */

/** Each ends with a row without a name. */
extern const ContractTest lifecycle_tests[], volume_tests[], relation_tests[], snapshot_tests[],
    drafted_tests[], planned_tests[], moved_tests[], history_tests[], renamed_tests[],
    trashed_tests[], limit_tests[], served_tests[], fixed_tests[], verb_tests[], random_tests[];

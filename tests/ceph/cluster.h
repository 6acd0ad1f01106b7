/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>

#include "fake_ceph.h"

/**
 * The state of the fake cluster. One lock guards all of it: fake_begin() acquires it for a call,
 * and fake_end() releases it.
 */

#define FEATURE_LAYERING     (UINT64_C(1) << 0)
#define FEATURE_OBJECT_MAP   (UINT64_C(1) << 3)
#define FEATURE_DEEP_FLATTEN (UINT64_C(1) << 5) /* flattening reaches the snapshots too */
#define FEATURES_DEFAULT     UINT64_C(0x3d)
#define ORDER_DEFAULT        22

/** Content is kept in pieces of this many bytes, which are never changed but replaced. */
#define PIECE 65536

typedef struct Image Image;
typedef struct Snap Snap;

/** The content of an image, now or at a snapshot. */
typedef struct {
    uint64_t size;
    GHashTable *pieces; /**< number to GBytes */
    Image *parent;      /**< NULL: no clone */
    uint64_t parent_snap;
    uint64_t overlap; /**< so much of it is read from the parent where there is no piece */
} Layer;

struct Snap {
    uint64_t id;
    char *name;
    rbd_snap_namespace_type_t type;
    gboolean is_protected;
    time_t created;
    Layer layer;
};

typedef struct {
    char *name;
    int64_t id;
    GPtrArray *spaces; /**< of Space; the first has no name */
} Pool;

/** A namespace. */
typedef struct {
    Pool *pool;
    char *name;
    GPtrArray *images;
    GTree *notes; /**< key to value */
} Space;

struct Image {
    Space *space;
    char *id; /**< "": the old format */
    char *name;
    int order;
    uint64_t features, flags;
    time_t created;
    GPtrArray *snaps;
    Layer head;
    GTree *metadata;
};

typedef struct {
    uint64_t id;
    char *user;
    GHashTable *options;
} Client;

typedef struct {
    Client *client;
    Space *space;
} Io;

/** An image as somebody has it open. */
typedef struct {
    Image *image;
    uint64_t client;
    gboolean writable;
    uint64_t snap; /**< 0: the image itself */
    guint pending; /**< requests under way */
} Handle;

typedef struct {
    GMutex lock;
    GCond changed;
    GPtrArray *pools;
    GPtrArray *clients;
    GPtrArray *handles;
    gint completions;
    gint ios;         /* of pools that somebody has open */
    uint64_t last_id; /**< of whatever has a number */
    char *user;
    char *key;
    char *caps;         /**< lines of a keyring: what the user may do */
    char *admin_key;    /**< of the user "admin"; NULL: there is no such user */
    gboolean keeps_old; /**< the user's old keys stay good */
    GPtrArray *old_keys;
    int release;
    GHashTable *calls;   /**< function to how often */
    GHashTable *faults;  /**< function to Fault */
    GHashTable *hanging; /**< functions that hang, to how many calls of them do */
    GHashTable *options; /**< of the last connection */
} Cluster;

extern Cluster cluster;

/** Counts the call; 0 with the lock held, or the error that it is to fail with. */
int fake_begin(const char *function);
/** Gives the lock back where fake_begin() (@began) has taken it. */
int fake_end(int began, int result);

/** The user's section of the keyring; with the lock held. The caller frees it. */
char *fake_keyring(void);

/** Reports progress in twelve steps; a negative errno of @report ends it. */
int fake_report(librbd_progress_fn_t report, void *data);

Pool *fake_pool(const char *name);
Space *fake_space(Pool *pool, const char *name);
Image *fake_image(Space *space, const char *name);
Image *fake_image_by_id(Space *space, const char *id);
/** With the number 0: the image itself. */
Layer *fake_layer(Image *image, uint64_t snap);
Snap *fake_snap(Image *image, const char *name);
Snap *fake_snap_by_id(Image *image, uint64_t id);

Image *fake_image_new(Space *space, const char *name, uint64_t size, int order, uint64_t features);
/** With its place in the list. */
void fake_image_drop(Image *image);
void fake_layer_copy(const Layer *from, Layer *to);
void fake_layer_clear(Layer *layer);
void fake_layer_resize(Layer *layer, uint64_t size);
void fake_layer_read(const Layer *layer, uint64_t offset, size_t len, char *buf);
/** @buf NULL: zeroes. */
void fake_layer_write(Layer *layer, uint64_t offset, size_t len, const char *buf);
/** Gives whole pieces back, and writes zeroes over the rest. */
void fake_layer_discard(Layer *layer, uint64_t offset, uint64_t len);
void fake_layer_flatten(Layer *layer);
/** Whether the object @number is there; with what the parent has of it. */
gboolean fake_layer_has_object(const Layer *layer, int order, uint64_t number, gboolean of_parent);
/** Whether the object @number is another one in the two layers. */
gboolean fake_layer_differs(const Layer *one, const Layer *other, int order, uint64_t number);

/** The images that were cloned from @image at the snapshot @snap; 0: at any. */
GPtrArray *fake_children(Image *image, uint64_t snap);
/** Removes the snapshots from the trash that no clone needs any more. */
void fake_empty_trash(Image *image);

/** The answer to the method @method of an OSD on the object @object; 0 or a negative errno. */
int fake_osd_answer(Space *space, const char *object, const char *method, const char *question,
                    size_t len, GByteArray *answer);

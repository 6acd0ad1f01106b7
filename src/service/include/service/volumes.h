/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/listing.h>
#include <model/vol_def.h>
#include <service/pools.h>

/**
 * Volumes are addressed by their pool and name. One call that changes a volume runs at a time; the
 * next one waits its turn. All sizes in bytes.
 */

typedef enum { CST_VOL_ROWS_BRIEF = 0, CST_VOL_ROWS_DETAILS = 1 } CstVolRowsFlags;

/** Number of volumes; STATE when the pool is not active. */
gboolean cst_pool_count_volumes(CstPool *pool, guint *ret_count, GError **error);

/**
 * Rows of at most @limit (0: all) volumes whose names sort after @after (NULL: from the start), in
 * byte order of their names. Brief rows have name, key and path only.
 */
GPtrArray *cst_pool_list_volumes(CstPool *pool, const char *after, guint limit, unsigned flags,
                                 GError **error);

/**
 * Resolve a volume. A name that isn't known is looked for on the storage before the answer is
 * "not found". ret_name is the caller's.
 */
gboolean cst_pool_has_volume(CstPool *pool, const char *name, GError **error);
gboolean cst_service_volume_by_key(CstService *service, const char *key, CstPool **ret_pool,
                                   char **ret_name, GError **error);
gboolean cst_service_volume_by_path(CstService *service, const char *path, CstPool **ret_pool,
                                    char **ret_name, GError **error);

char *cst_vol_get_key(CstPool *pool, const char *name, GError **error);
char *cst_vol_get_path(CstPool *pool, const char *name, GError **error);

/**
 * The same from memory, for callers that must not wait: NULL when the pool's table has no such
 * volume, which doesn't mean that there is none.
 */
char *cst_vol_known_key(CstPool *pool, const char *name);
char *cst_vol_known_path(CstPool *pool, const char *name);
char *cst_vol_get_xml(CstPool *pool, const char *name, unsigned flags, GError **error);
gboolean cst_vol_get_info(CstPool *pool, const char *name, CstVolInfo *ret_info, GError **error);

/**
 * Elements char *, for people: what is wrong with the volume, or with what it names, and what only
 * its content claims. Empty: nothing.
 */
GPtrArray *cst_vol_problems(CstPool *pool, const char *name, GError **error);

/** @flags: CstVolCreateFlags. *ret_name: the name the volume got. */
gboolean cst_vol_create(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                        char **ret_name, GError **error);
gboolean cst_vol_create_from(CstPool *pool, const char *xml, CstPool *source_pool,
                             const char *source, unsigned flags, CstTask *task, char **ret_name,
                             GError **error);
gboolean cst_vol_delete(CstPool *pool, const char *name, unsigned flags, CstTask *task,
                        GError **error);
gboolean cst_vol_wipe(CstPool *pool, const char *name, unsigned algorithm, unsigned flags,
                      CstTask *task, GError **error);
gboolean cst_vol_resize(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                        CstTask *task, GError **error);

/* --- streams --------------------------------------------------------------------------------- */

/** Raw bytes of the volume (the file, not the guest's view), as libvirt streams them. */
typedef struct CstUpload CstUpload;

/**
 * @length 0: no limit. @flags: CstVolStreamFlags. The volume stays held until the end. @task: the
 * pieces advance it, end with CANCELLED once it is, and wait for its rate; NULL: one of its own.
 */
CstUpload *cst_vol_upload(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                          unsigned flags, CstTask *task, GError **error);
/** Beyond the length: NO_SPACE "cannot write to stream", after the bytes that fit were written. */
gboolean cst_upload_write(CstUpload *upload, const void *data, size_t len, GError **error);
gboolean cst_upload_hole(CstUpload *upload, uint64_t length, GError **error);
/** Syncs, refreshes the volume, sends REFRESH. Free it afterwards. */
gboolean cst_upload_finish(CstUpload *upload, GError **error);
/** Its job was asked to stop. For a stream whose client does not move; not beside another call. */
gboolean cst_upload_cancelled(const CstUpload *upload);
/**
 * Its client has nothing more to say: finish or free follows, and who needs the volume may wait for
 * that. Takes no time; beside another call, but not beside those two.
 */
void cst_upload_ends(CstUpload *upload);
/** Without a finish before it: abandons (bytes written stay, as with libvirt). */
void cst_upload_free(CstUpload *upload);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstUpload, cst_upload_free)

typedef struct CstDownload CstDownload;

/** The total of @task becomes what there is to come. */
CstDownload *cst_vol_download(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                              unsigned flags, CstTask *task, GError **error);
/**
 * Next piece: either *ret_len bytes in @buf, or (sparse streams) a hole of *ret_hole bytes. Both 0:
 * the end.
 */
gboolean cst_download_read(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                           uint64_t *ret_hole, GError **error);
/** As cst_upload_ends() and cst_upload_cancelled(). */
void cst_download_ends(CstDownload *download);
gboolean cst_download_cancelled(const CstDownload *download);
void cst_download_free(CstDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDownload, cst_download_free)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/image_report.h>
#include <model/listing.h>
#include <model/vol_def.h>
#include <service/pools.h>

/**
 * Volumes are addressed by their pool and name. Calls that change one volume are serialised; others
 * wait for their end as long as @task allows (NULL: without a limit). All sizes are in bytes.
 */

typedef enum { CST_VOL_ROWS_BRIEF = 0, CST_VOL_ROWS_DETAILS = 1 } CstVolRowsFlags;

/** Counts the volumes, those being created included; STATE when the pool is not active. */
gboolean cst_pool_count_volumes(CstPool *pool, guint *ret_count, GError **error);

/**
 * Returns the rows of at most @limit (0: all) volumes whose names sort after @after (NULL: from the
 * start), in byte order of their names, as CstVolRow * freed with the array. Brief rows have name,
 * key and path only; details may scan the storage first.
 */
GPtrArray *cst_pool_list_volumes(CstPool *pool, const char *after, guint limit, unsigned flags,
                                 GError **error);

/**
 * Resolve a volume. A name that is not known is scanned for before the answer is NO_VOL. *ret_pool
 * is a new reference, *ret_name is the caller's.
 */
gboolean cst_pool_has_volume(CstPool *pool, const char *name, GError **error);
gboolean cst_service_volume_by_key(CstService *service, const char *key, CstPool **ret_pool,
                                   char **ret_name, GError **error);
gboolean cst_service_volume_by_path(CstService *service, const char *path, CstPool **ret_pool,
                                    char **ret_name, GError **error);

/** The volume's key or path, which the caller frees; NO_VOL. */
char *cst_vol_get_key(CstPool *pool, const char *name, GError **error);
char *cst_vol_get_path(CstPool *pool, const char *name, GError **error);

/**
 * Return the same from memory, for callers that must not wait: NULL when the pool's table has no
 * such volume, which does not mean that there is none.
 */
char *cst_vol_known_key(CstPool *pool, const char *name);
char *cst_vol_known_path(CstPool *pool, const char *name);
/** Returns the volume's document, which the caller frees; it is scanned first. @flags: 0. */
char *cst_vol_get_xml(CstPool *pool, const char *name, unsigned flags, GError **error);
/** Reads type and sizes; the volume is scanned first. */
gboolean cst_vol_get_info(CstPool *pool, const char *name, CstVolInfo *ret_info, GError **error);

/**
 * Returns, as sentences, what is wrong with the volume, with its backing file, and what its content
 * says without being declared. Empty: nothing.
 */
GPtrArray *cst_vol_problems(CstPool *pool, const char *name, GError **error);

/**
 * Creates a volume from its document: whole, or not at all. @flags: CstVolCreateFlags. *ret_name is
 * the caller's. VOL_EXISTS; CONFIG for what the format or the pool can't do.
 */
gboolean cst_vol_create(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                        char **ret_name, GError **error);
/**
 * Creates a volume with the content of @source in @source_pool, which is claimed for reading
 * meanwhile. Errors as above; BUSY when the source is written to, unless CST_VOL_CREATE_FORCE_SHARE
 * is set.
 */
gboolean cst_vol_create_from(CstPool *pool, const char *xml, CstPool *source_pool,
                             const char *source, unsigned flags, CstTask *task, char **ret_name,
                             GError **error);
/**
 * Gives a volume another name, with its snapshots, what is declared of it and its protection.
 * Images that are based on it refer to the new name from then on, or it is BUSY with the list of
 * those that can't. VOL_EXISTS; BUSY also while anybody has the volume open; NO_SUPPORT where the
 * name is the volume's place.
 */
gboolean cst_vol_rename(CstPool *pool, const char *name, const char *new_name, CstTask *task,
                        GError **error);
/**
 * Protects a volume from being deleted, by anybody through us, or ceases to (@on FALSE). A volume
 * that is deleted by other means and made anew is not protected.
 */
gboolean cst_vol_protect(CstPool *pool, const char *name, gboolean on, CstTask *task,
                         GError **error);
/** Names (char *) of the pool's protected volumes, in order. */
GPtrArray *cst_pool_protected(CstPool *pool, GError **error);
/**
 * Deletes a volume that nobody has open and nothing depends on (else BUSY). Downloads of a file
 * continue. @flags: CstVolDeleteFlags.
 */
gboolean cst_vol_delete(CstPool *pool, const char *name, unsigned flags, CstTask *task,
                        GError **error);
/**
 * Moves a volume that nobody has open and nothing depends on to pool @to: it is deleted when its
 * copy there is complete and durable. BUSY names what can't be taken along.
 */
gboolean cst_vol_move(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                      CstTask *task, GError **error);
/**
 * Overwrites all bytes of the volume by @algorithm (CstWipeAlgorithm). BUSY when others have it
 * open or show its content. May be interrupted: what was wiped stays wiped.
 */
gboolean cst_vol_wipe(CstPool *pool, const char *name, unsigned algorithm, unsigned flags,
                      CstTask *task, GError **error);
/**
 * Changes the capacity to @capacity, or by it (CST_VOL_RESIZE_DELTA). Shrinking needs
 * CST_VOL_RESIZE_SHRINK, and cuts off what is behind the new end.
 */
gboolean cst_vol_resize(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                        CstTask *task, GError **error);

/* --- streams --------------------------------------------------------------------------------- */

/**
 * Content that comes in piece by piece: the raw bytes of a volume (the file, not the guest's view),
 * as libvirt streams them, or what the guest of a new volume is to see.
 */
typedef struct CstUpload CstUpload;

/**
 * Opens an upload to @offset. @length 0: no limit. @flags: CstVolStreamFlags. The volume stays
 * claimed until the end. @task: the pieces advance it, fail with CANCELLED once it is cancelled,
 * and wait for its rate; NULL: one of its own. Calls on one upload are serialised by the caller,
 * except where stated.
 */
CstUpload *cst_vol_upload(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                          unsigned flags, CstTask *task, GError **error);
/**
 * Opens a new volume, as its document says, for what its guest is to see: whole, or not at all. The
 * content is the document's capacity long; what is not sent of it is zeroes. @flags:
 * CstVolCreateFlags. *ret_name is the caller's. Errors as cst_vol_create(). @task and calls as for
 * an upload.
 */
CstUpload *cst_vol_receive(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                           char **ret_name, GError **error);
/**
 * Opens a part of a volume that is there, from @offset on, for what its guest is to see. @flags: 0.
 * What was written stays when the upload ends early. NO_SPACE past the capacity; BUSY when others
 * have the volume open or show its content.
 */
CstUpload *cst_vol_patch(CstPool *pool, const char *name, uint64_t offset, unsigned flags,
                         CstTask *task, GError **error);
/**
 * Writes the next piece. Beyond the length: NO_SPACE "cannot write to stream", after the bytes that
 * fit were written.
 */
gboolean cst_upload_write(CstUpload *upload, const void *data, size_t len, GError **error);
/**
 * Makes the next @length bytes zeroes, without space where the storage can; NO_SPACE beyond the
 * length.
 */
gboolean cst_upload_hole(CstUpload *upload, uint64_t length, GError **error);
/**
 * Syncs and rescans the volume and ends the job; a received volume is there from then on. Free the
 * upload afterwards.
 */
gboolean cst_upload_finish(CstUpload *upload, GError **error);
/**
 * Whether the job was cancelled, for a stream whose client does not move. Not during another call.
 */
gboolean cst_upload_cancelled(const CstUpload *upload);
/**
 * Announces the end: finish or free follows, and others may wait for that. Takes no time; allowed
 * during another call except those two.
 */
void cst_upload_ends(CstUpload *upload);
/**
 * Frees the upload, releases the volume and emits REFRESH. Without a finish before it the job has
 * failed; bytes written stay, as with libvirt; of a new volume nothing stays. NULL is accepted.
 */
void cst_upload_free(CstUpload *upload);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstUpload, cst_upload_free)

typedef struct CstDownload CstDownload;

/**
 * Opens a download from @offset; @length 0: to the end. @flags and @task: as for an upload; the
 * task's total becomes the length to be read. BUSY when the image is written to, unless
 * CST_VOL_STREAM_FORCE_SHARE is set.
 */
CstDownload *cst_vol_download(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                              unsigned flags, CstTask *task, GError **error);
/**
 * Opens what the volume's guest sees, or saw, for reading, sparse: holes and runs that are known to
 * be zeroes are holes. *ret_capacity: bytes of all of it. BUSY as for a download; UNSUPPORTED for a
 * snapshot outside of an image that is based on another one.
 */
CstDownload *cst_vol_send(CstPool *pool, const char *name, const CstVolSend *what, CstTask *task,
                          uint64_t *ret_capacity, GError **error);
/**
 * Opens the digests of the same content, one for each @chunk bytes (blob/digests.h), sparse, or of
 * those chunks that the range in @what begins with and touches. Errors as cst_vol_send(), and
 * INVALID for the size of a chunk and for an offset that is no multiple of it.
 */
CstDownload *cst_vol_digests(CstPool *pool, const char *name, const CstVolSend *what,
                             uint64_t chunk, CstTask *task, uint64_t *ret_capacity, GError **error);
/**
 * Reads the next piece: either *ret_len bytes in @buf or, for sparse streams, a hole of *ret_hole
 * bytes. Both 0: the end.
 */
gboolean cst_download_read(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                           uint64_t *ret_hole, GError **error);
/** As cst_upload_ends() and cst_upload_cancelled(). */
void cst_download_ends(CstDownload *download);
gboolean cst_download_cancelled(const CstDownload *download);
/** Closes the download and releases the volume. NULL is accepted. */
void cst_download_free(CstDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDownload, cst_download_free)

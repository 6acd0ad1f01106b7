/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/image_report.h>
#include <model/listing.h>
#include <model/vol_def.h>
#include <service/live.h>
#include <service/pools.h>

/**
 * Volumes are addressed by their pool and name. Calls that change the same volume are serialised; a
 * call waits as long as @task allows (NULL: without a limit). All sizes are in bytes.
 */

typedef enum { CST_VOL_ROWS_BRIEF = 0, CST_VOL_ROWS_DETAILS = 1 } CstVolRowsFlags;

/**
 * Counts the volumes, including volumes that are being created. STATE when the pool is not active.
 */
gboolean cst_pool_count_volumes(CstPool *pool, guint *ret_count, GError **error);

/**
 * Returns at most @limit (0: all) volumes with names after @after (NULL: from the start), in byte
 * order of their names, as CstVolRow *. The array owns them. Brief rows have only name, key and
 * path. Detailed rows may require a scan of the storage.
 */
GPtrArray *cst_pool_list_volumes(CstPool *pool, const char *after, guint limit, unsigned flags,
                                 GError **error);

/**
 * Resolve a volume. If the name is unknown, the storage is scanned before the answer is NO_VOL.
 * *ret_pool is a new reference. The caller frees *ret_name.
 */
gboolean cst_pool_has_volume(CstPool *pool, const char *name, GError **error);
gboolean cst_service_volume_by_key(CstService *service, const char *key, CstPool **ret_pool,
                                   char **ret_name, GError **error);
gboolean cst_service_volume_by_path(CstService *service, const char *path, CstPool **ret_pool,
                                    char **ret_name, GError **error);

/** Return the key or path of the volume, which the caller frees. NO_VOL if it does not exist. */
char *cst_vol_get_key(CstPool *pool, const char *name, GError **error);
char *cst_vol_get_path(CstPool *pool, const char *name, GError **error);

/**
 * Return the key or path from memory, for callers that must not block. NULL if the pool's table has
 * no such volume; the volume may still exist on the storage.
 */
char *cst_vol_known_key(CstPool *pool, const char *name);
char *cst_vol_known_path(CstPool *pool, const char *name);
/** Scans the volume and returns its XML document, which the caller frees. @flags: 0. */
char *cst_vol_get_xml(CstPool *pool, const char *name, unsigned flags, GError **error);
/** Scans the volume and reads its type and sizes. */
gboolean cst_vol_get_info(CstPool *pool, const char *name, CstVolInfo *ret_info, GError **error);

/**
 * Returns sentences about problems of the volume and of its backing file, and about undeclared
 * references in its content. Empty: no problems.
 */
GPtrArray *cst_vol_problems(CstPool *pool, const char *name, GError **error);

/**
 * Creates a volume from its document. On failure no volume is left. @flags: CstVolCreateFlags. The
 * caller frees *ret_name. Errors: VOL_EXISTS; CONFIG when the format or the pool does not support
 * the definition.
 */
gboolean cst_vol_create(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                        char **ret_name, GError **error);
/**
 * Creates a volume with the content of @source in @source_pool, which is claimed for reading during
 * the copy. Errors as for cst_vol_create(). Also BUSY when the source is being written, unless
 * CST_VOL_CREATE_FORCE_SHARE is set.
 */
gboolean cst_vol_create_from(CstPool *pool, const char *xml, CstPool *source_pool,
                             const char *source, unsigned flags, CstTask *task, char **ret_name,
                             GError **error);
/**
 * Like cst_vol_create_from(), with the content of a live snapshot of @source, which is one of
 * @live. The new volume has no backing file. Fails with NOT_FOUND if there is no such snapshot, and
 * with INVALID for a linked clone. The end of the snapshot does not end the copy.
 */
gboolean cst_vol_create_from_live(CstPool *pool, const char *xml, CstPool *source_pool,
                                  const char *source, CstLiveSnapshots *live, unsigned flags,
                                  CstTask *task, char **ret_name, GError **error);
/**
 * Renames a volume, with its snapshots, its declarations and its protection. The references of its
 * overlays are changed to the new name. Errors: BUSY with the list of overlays that cannot be
 * changed, or while a process has the volume open; VOL_EXISTS; NO_SUPPORT when the name is
 * determined by the volume's position on the storage.
 */
gboolean cst_vol_rename(CstPool *pool, const char *name, const char *new_name, CstTask *task,
                        GError **error);
/**
 * Protects a volume from deletion through this service, or removes the protection (@on FALSE). The
 * protection ends if other software deletes and recreates the volume.
 */
gboolean cst_vol_protect(CstPool *pool, const char *name, gboolean on, CstTask *task,
                         GError **error);
/** Returns the names (char *) of the pool's protected volumes, in order. */
GPtrArray *cst_pool_protected(CstPool *pool, GError **error);
/**
 * Deletes a volume. BUSY if a process has it open or another volume depends on it. Running
 * downloads of a file continue. @flags: CstVolDeleteFlags.
 */
gboolean cst_vol_delete(CstPool *pool, const char *name, unsigned flags, CstTask *task,
                        GError **error);
/**
 * Moves a volume to pool @to. The source is deleted when the copy is complete and durable. BUSY if
 * a process has the volume open, if another volume depends on it, or if its snapshots cannot be
 * moved.
 */
gboolean cst_vol_move(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                      CstTask *task, GError **error);
/**
 * Overwrites all bytes of the volume by @algorithm (CstWipeAlgorithm). BUSY if a process has it
 * open, or if another volume exposes its content. After an interruption the bytes wiped so far stay
 * wiped.
 */
gboolean cst_vol_wipe(CstPool *pool, const char *name, unsigned algorithm, unsigned flags,
                      CstTask *task, GError **error);
/**
 * Changes the capacity to @capacity, or by it (CST_VOL_RESIZE_DELTA). Shrinking needs
 * CST_VOL_RESIZE_SHRINK and discards the data after the new end.
 */
gboolean cst_vol_resize(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                        CstTask *task, GError **error);
/**
 * Grows the volume and the disk of the QEMU whose QMP monitor is at the absolute path @socket. Only
 * this QEMU may have the volume open. @flags: CST_VOL_RESIZE_DELTA. DENIED unless the caller is the
 * user of this process, because it opens the socket. Else the errors of cst_qmp_resize().
 */
gboolean cst_vol_resize_qmp(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                            const char *socket, CstTask *task, GError **error);

/* --- streams --------------------------------------------------------------------------------- */

/**
 * A write stream: the raw bytes of a volume (the file, not the guest-visible content), as in
 * libvirt, or the guest-visible content of a new volume.
 */
typedef struct CstUpload CstUpload;

/**
 * Opens an upload to @offset. @length 0: no limit. @flags: CstVolStreamFlags. The volume stays
 * claimed until the end. @task: the writes advance its progress, obey its rate limit and fail with
 * CANCELLED once it is cancelled; NULL: the upload creates its own task. The caller serialises
 * calls on one upload, except where stated.
 */
CstUpload *cst_vol_upload(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                          unsigned flags, CstTask *task, GError **error);
/**
 * Creates a volume from its document and opens a stream for its guest-visible content. On failure
 * no volume is left. The content has the capacity of the document; bytes that are not sent are
 * zeroes. @flags: CstVolCreateFlags. The caller frees *ret_name. Errors as for cst_vol_create().
 * @task and calls as for cst_vol_upload().
 */
CstUpload *cst_vol_receive(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                           char **ret_name, GError **error);
/**
 * Opens a stream to the guest-visible content of an existing volume, from @offset on. @flags: 0.
 * Written data stays when the upload ends early. NO_SPACE beyond the capacity; BUSY if a process
 * has the volume open, or if another volume exposes its content.
 */
CstUpload *cst_vol_patch(CstPool *pool, const char *name, uint64_t offset, unsigned flags,
                         CstTask *task, GError **error);
/**
 * Writes the next bytes. Beyond the length it writes the bytes that fit, and fails with NO_SPACE
 * "cannot write to stream".
 */
gboolean cst_upload_write(CstUpload *upload, const void *data, size_t len, GError **error);
/**
 * Makes the next @length bytes zeroes, without allocation if the storage supports it. NO_SPACE
 * beyond the length.
 */
gboolean cst_upload_hole(CstUpload *upload, uint64_t length, GError **error);
/**
 * Syncs and rescans the volume and ends the job. A received volume exists from then on. Free the
 * upload afterwards.
 */
gboolean cst_upload_finish(CstUpload *upload, GError **error);
/**
 * Returns whether the job was cancelled, for a stream whose client sends no data. Must not run
 * during another call.
 */
gboolean cst_upload_cancelled(const CstUpload *upload);
/**
 * Announces that cst_upload_finish() or cst_upload_free() follows, so that other operations may
 * wait for the claim. Does not block. Allowed during another call except these two.
 */
void cst_upload_ends(CstUpload *upload);
/** Receives the end of an upload. @error: NULL if it was finished. */
typedef void (*CstUploadEnd)(const GError *error, gpointer data);
/**
 * Calls @func once: at the first failed call, at the end of cst_upload_finish(), or in
 * cst_upload_free() with CANCELLED if the upload was not finished. In the thread of that call.
 */
void cst_upload_on_end(CstUpload *upload, CstUploadEnd func, gpointer data);
/**
 * Frees the upload, releases the volume and emits REFRESH. Without cst_upload_finish() before it
 * the job has failed: written bytes stay, as in libvirt; a new volume is removed. NULL is accepted.
 */
void cst_upload_free(CstUpload *upload);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstUpload, cst_upload_free)

typedef struct CstDownload CstDownload;

/**
 * Opens a download from @offset; @length 0: to the end. @flags and @task: as for cst_vol_upload().
 * The total of the task becomes the length of the data. BUSY when the image is being written,
 * unless CST_VOL_STREAM_FORCE_SHARE is set.
 */
CstDownload *cst_vol_download(CstPool *pool, const char *name, uint64_t offset, uint64_t length,
                              unsigned flags, CstTask *task, GError **error);
/**
 * Opens the guest-visible content of the volume, or of a snapshot of it, for sparse reading: holes
 * and known zeroes are reported as holes. *ret_capacity: size of the whole content in bytes. BUSY
 * as for cst_vol_download(); UNSUPPORTED for an external snapshot of an image with a backing file.
 */
CstDownload *cst_vol_send(CstPool *pool, const char *name, const CstVolSend *what, CstTask *task,
                          uint64_t *ret_capacity, GError **error);
/**
 * Opens the digests of the same content, one for each @chunk bytes (blob/digests.h), sparse. With a
 * range in @what, opens the digests of the chunks in the range, which must begin at a chunk. Errors
 * as for cst_vol_send(), and INVALID for a wrong chunk size or for an offset that is not a multiple
 * of it.
 */
CstDownload *cst_vol_digests(CstPool *pool, const char *name, const CstVolSend *what,
                             uint64_t chunk, CstTask *task, uint64_t *ret_capacity, GError **error);
/**
 * Reads the next part: *ret_len bytes in @buf or, for sparse streams, a hole of *ret_hole bytes.
 * Both are 0 at the end.
 */
gboolean cst_download_read(CstDownload *download, void *buf, size_t size, size_t *ret_len,
                           uint64_t *ret_hole, GError **error);
/** See cst_upload_ends() and cst_upload_cancelled(). */
void cst_download_ends(CstDownload *download);
gboolean cst_download_cancelled(const CstDownload *download);
/** Closes the download and releases the volume. NULL is accepted. */
void cst_download_free(CstDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDownload, cst_download_free)

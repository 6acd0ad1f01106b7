/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <base/secret_bytes.h>
#include <base/task.h>
#include <blob/blob.h>
#include <schedule/retention.h>

/**
 * Repositories of backups. A repository is a directory (docs/backup.md describes its files). It
 * contains the content of volumes in chunks, each stored once for all volumes. A manifest for each
 * backup lists its chunks. The manifest is written last, and with it the backup exists.
 *
 * Errors of all functions: CORRUPT for damage (the message names the file), BUSY for a lock of
 * another program, NO_SPACE, and errors of file accesses. A CstRepo belongs to one thread. The
 * blobs of backups may be read by many threads.
 */
typedef struct CstRepo CstRepo;

#define CST_BACKUP_ID_BYTES 16
/** Bytes of an id as text, with the terminating NUL. */
#define CST_BACKUP_ID_TEXT (2 * CST_BACKUP_ID_BYTES + 1)
/** Bytes of the SHA-256 of a manifest. */
#define CST_BACKUP_DIGEST 32

/* Limits of the size of a chunk, which is a power of two. */
#define CST_CHUNK_MIN     (64u << 10)
#define CST_CHUNK_MAX     (1u << 20)
#define CST_CHUNK_DEFAULT (64u << 10)

typedef struct {
    const CstSecretBytes *secret; /**< NULL: no encryption */
    uint32_t chunk;               /**< bytes; 0: CST_CHUNK_DEFAULT */
    uint32_t iterations;          /**< of the key derivation; 0: the default */
} CstRepoInit;

typedef struct {
    const CstSecretBytes *secret; /**< NULL: the repository must be unencrypted */
    gboolean shared_ok;           /**< accept directories that other users may write to */
    gboolean read_only;           /**< do without the lock on a read-only file system */
} CstRepoOpen;

/**
 * Makes a repository in the directory @path, which is made if it is missing. Fails with EXISTS if
 * @path is not empty.
 */
gboolean cst_repo_init(const char *path, const CstRepoInit *how, GError **error);

/**
 * Opens a repository. Fails with NOT_FOUND if @path is not a repository. Fails with DENIED if other
 * users may write to it, unless shared_ok. Fails with INVALID_SECRET for a wrong or missing secret,
 * and for a secret of an unencrypted repository.
 */
CstRepo *cst_repo_open(const char *path, const CstRepoOpen *how, GError **error);
/** Releases the locks and closes. NULL is accepted. */
void cst_repo_close(CstRepo *repo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstRepo, cst_repo_close)

/** Returns the repository's id as hexadecimal text, borrowed. */
const char *cst_repo_id(const CstRepo *repo);
/** Returns the size of its chunks in bytes. */
uint32_t cst_repo_chunk(const CstRepo *repo);
/** Returns whether its content can be read only with a secret. */
gboolean cst_repo_is_encrypted(const CstRepo *repo);

/* --- backups ---------------------------------------------------------------------------------- */

/** A volume in a backup. */
typedef struct {
    char *pool;
    char *name;
    char *format;      /**< of the volume; the stored content is always the guest's view */
    char *xml;         /**< the volume's XML document */
    char *snapshot;    /**< on the volume, base for changed ranges of the next backup; "": not
                            made */
    char *mark;        /**< identity of that snapshot as reported by the storage; "": unknown */
    char *identity;    /**< key of the volume, to which the snapshot belongs; "": unknown */
    char *base;        /**< id of the backup that unchanged content was adopted from; "": all was
                            read */
    char *consistency; /**< verified when it was read: "crash", "filesystem", "offline"; "": not
                            recorded */
    char *reason;      /**< why the consistency is not better; "": not recorded */
    uint32_t machine;  /**< place in CstBackup.machines plus one; 0: not the disk of a machine */
    char *target;      /**< of the disk of the machine: "vda"; "": not the disk of a machine */
    char *tags;        /**< of the volume, with blanks between them; "": no tag */
    char *note;        /**< of the volume; "": no note */
    uint64_t size;     /**< guest-visible size in bytes */
    uint64_t read;     /**< bytes that were read for this backup */
    uint64_t taken;    /**< bytes of data adopted from the previous backup */
    uint64_t data;     /**< bytes of data, without holes */
    uint64_t stored;   /**< bytes that this backup added to the repository */
    uint8_t *lists;    /**< names of the lists of chunks */
    uint32_t n_lists;  /**< how many */
} CstBackupVolume;

/** A virtual machine. Its disks are volumes of a backup. */
typedef struct {
    char *name;
    char *uuid;
    char *document;      /**< its definition: libvirt's XML */
    gboolean one_moment; /**< its volumes have the same point in time */
} CstBackupMachine;

/** The points in time of a backup's volumes. The values are stored in files. */
typedef enum {
    CST_BACKUP_APART = 0,    /**< each volume has its own point in time, or the duration of its
                                  reading */
    CST_BACKUP_TOGETHER = 1, /**< one after the other, in an unrecorded time: of the first
                                  versions */
    CST_BACKUP_ONE_STEP = 2, /**< one point in time: the snapshots were made in one step */
    CST_BACKUP_IN_TURN = 3 /**< the snapshots were made one after the other, before any was read */
} CstBackupMoment;

/** Identifies a backup by its number in the order and by a digest of its manifest. */
typedef struct {
    uint64_t number; /**< that of its predecessor plus one; 0: made by an older version */
    char id[CST_BACKUP_ID_TEXT]; /**< "": no backup */
    uint8_t digest[CST_BACKUP_DIGEST];
} CstBackupMark;

typedef struct {
    char id[CST_BACKUP_ID_TEXT];
    CstBackupMark predecessor; /**< the newest backup when this one was made; id "": unknown */
    uint64_t number;           /**< 0: its manifest is from an older version without numbers */
    uint8_t digest[CST_BACKUP_DIGEST]; /**< of its own manifest */
    int64_t time_us; /**< real time; for snapshots in one step: the time of that step */
    char *host;
    GStrv tags;
    CstBackupMoment moment;
    uint64_t span_us;    /**< IN_TURN: duration from before the first snapshot to after the last; 0:
                              unknown */
    GPtrArray *volumes;  /**< of CstBackupVolume * */
    GPtrArray *machines; /**< of CstBackupMachine * */
} CstBackup;

/** NULL is accepted. */
void cst_backup_free(CstBackup *backup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstBackup, cst_backup_free)

/**
 * Reads all manifests. Returns CstBackup *, oldest first. A damaged manifest is skipped and
 * reported in @damaged (of char *, texts). If @damaged is NULL, it is an error.
 */
GPtrArray *cst_repo_backups(CstRepo *repo, GPtrArray *damaged, GError **error);
/**
 * Finds the backup whose id begins with @prefix, or the newest one for "latest". Fails with
 * NOT_FOUND, or with INVALID if several ids match.
 */
CstBackup *cst_repo_backup(CstRepo *repo, const char *prefix, GError **error);
/**
 * Finds the newest backup that contains the volume @volume ("POOL/NAME" or NAME), or a volume of a
 * pool with that name. Fails with NO_VOL.
 */
CstBackup *cst_repo_latest(CstRepo *repo, const char *volume, GError **error);
/**
 * Returns the volume @name of a backup: "POOL/NAME", NAME, or NULL for the only one. Fails with
 * NO_VOL, or with INVALID if several volumes match.
 */
const CstBackupVolume *cst_backup_volume(const CstBackup *backup, const char *name, GError **error);

/* --- rollback of a repository ----------------------------------------------------------------- */

/**
 * Returns the mark of the newest of @backups (of CstBackup *); its id is "" if @backups is empty.
 */
CstBackupMark cst_backups_newest(const GPtrArray *backups);
/** Returns whether the repository has a manifest @id, even if it is damaged. */
gboolean cst_repo_has_manifest(CstRepo *repo, const char *id);
/** Syncs the list of backups, so that a power cut removes no manifest that was read before. */
gboolean cst_repo_sync_backups(CstRepo *repo, GError **error);
/**
 * Checks that the repository, which contains @backups, was not rolled back to a state before the
 * backup @seen was made. Fails with STATE if the manifest of @seen is missing and no later backup
 * names it as its predecessor. Fails with STATE if that manifest has another digest. A missing
 * backup without a number is no error. The check passes without proof if the successor of @seen is
 * missing too and a later backup exists.
 */
gboolean cst_repo_check_seen(CstRepo *repo, const GPtrArray *backups, const CstBackupMark *seen,
                             GError **error);

/* --- writing ---------------------------------------------------------------------------------- */

/**
 * Writes a backup: its volumes in turn, each from its beginning to its end. The backup is not
 * listed before cst_writer_commit(). The chunks of an abandoned backup are reused by the next
 * backup, or removed by cst_repo_prune().
 */
typedef struct CstBackupWriter CstBackupWriter;

typedef struct {
    const char *host;
    const char *const *tags; /**< NULL: no tags */
    int64_t time_us;         /**< 0: now */
    int level;               /**< of zstd; 0: the default */
    CstTask *task;           /**< for cancellation only, not advanced; NULL: not cancellable */
} CstBackupHow;

/** Acquires the shared lock and starts a backup. Fails with DRY_RUN in a dry run. */
CstBackupWriter *cst_writer_new(CstRepo *repo, const CstBackupHow *how, GError **error);
/** Abandons an uncommitted backup, and frees the writer. NULL is accepted. */
void cst_writer_free(CstBackupWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstBackupWriter, cst_writer_free)

/**
 * Sets the points in time of the volumes. @span_us: see CstBackup. The default is CST_BACKUP_APART.
 */
void cst_writer_moment(CstBackupWriter *writer, CstBackupMoment moment, uint64_t span_us);
/**
 * Adds a machine to the backup. Copies its texts. *ret_number is the value for
 * CstBackupVolume.machine. Fails with INVALID if a text is not UTF-8, and with LIMIT if one is too
 * long.
 */
gboolean cst_writer_machine(CstBackupWriter *writer, const CstBackupMachine *machine,
                            uint32_t *ret_number, GError **error);
/**
 * Sets whether all volumes of a machine have the same point in time. Removes the machine if it is
 * the last one and has no volume.
 */
void cst_writer_machine_end(CstBackupWriter *writer, uint32_t number, gboolean one_moment);
/**
 * Starts a volume. Copies its names, texts, size and machine. @previous: an earlier backup of the
 * volume for cst_writer_same(), borrowed until the end of the volume; may be NULL. Fails with
 * INVALID if a text is not UTF-8, and with LIMIT if the volume is too large.
 */
gboolean cst_writer_volume(CstBackupWriter *writer, const CstBackupVolume *volume,
                           const CstBackupVolume *previous, GError **error);
/** Appends @len bytes to the volume. */
gboolean cst_writer_data(CstBackupWriter *writer, const void *data, size_t len, GError **error);
/** Appends @len zeroes to the volume. */
gboolean cst_writer_hole(CstBackupWriter *writer, uint64_t len, GError **error);
/**
 * Appends @len bytes of the previous backup at the same offset. The range must consist of whole
 * chunks of both backups (cst_repo_chunk()); the last chunk ends with the volume. Fails with
 * INVALID otherwise.
 */
gboolean cst_writer_same(CstBackupWriter *writer, uint64_t len, GError **error);
/**
 * Drops the started volume, if any; the backup continues without it. Returns FALSE if no more can
 * be stored, because an earlier write to the repository has failed.
 */
gboolean cst_writer_volume_drop(CstBackupWriter *writer);
/** Ends the volume. Fails with INVALID if its content is incomplete. */
gboolean cst_writer_volume_end(CstBackupWriter *writer, GError **error);
/**
 * Completes the backup. When this function returns, the backup is durable. Afterwards only free the
 * writer. @ret_id has CST_BACKUP_ID_TEXT bytes.
 */
gboolean cst_writer_commit(CstBackupWriter *writer, char *ret_id, GError **error);

/**
 * Writes a whole blob: cst_writer_volume(), its data and holes, cst_writer_volume_end(). @changed:
 * CstExtent in order, the ranges that may differ from @previous; NULL: everything.
 */
gboolean cst_writer_blob(CstBackupWriter *writer, const CstBackupVolume *volume, CstBlob *blob,
                         const CstBackupVolume *previous, const GArray *changed, CstTask *task,
                         GError **error);

/* --- reading ---------------------------------------------------------------------------------- */

/**
 * Returns the guest-visible content of a volume as a blob with random access. Each chunk is
 * verified when it is read. Borrows @volume for the call. The repository must outlive the blob.
 */
CstBlob *cst_backup_open(CstRepo *repo, const CstBackupVolume *volume, GError **error);

/**
 * Compares content, which is added in order, with a backup. It compares the names of chunks and
 * does not read the chunks, so the key is sufficient.
 */
typedef struct CstBackupProof CstBackupProof;
/** Starts a comparison. Borrows @volume until cst_proof_free(). */
CstBackupProof *cst_proof_new(CstRepo *repo, const CstBackupVolume *volume, GError **error);
void cst_proof_free(CstBackupProof *proof);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstBackupProof, cst_proof_free)
/**
 * Adds @len bytes of the content; NULL: zeroes. Fails with MISMATCH if the content is longer than
 * the backup.
 */
gboolean cst_proof_add(CstBackupProof *proof, const void *data, uint64_t len, GError **error);
/**
 * Ends the comparison. *@ret_differ: bytes in chunks that differ; *@ret_first: offset of the first
 * one. Fails with MISMATCH if the content is shorter than the backup.
 */
gboolean cst_proof_end(CstBackupProof *proof, uint64_t *ret_differ, uint64_t *ret_first,
                       GError **error);

/* --- maintenance ------------------------------------------------------------------------------ */

typedef struct {
    gboolean read_data; /**< also read every chunk, which detects any changed bit */
} CstRepoCheck;

typedef struct {
    uint64_t backups, packs, chunks, bytes; /**< checked; bytes: of packs */
    GPtrArray *problems;                    /**< of char *, texts about damage */
    GPtrArray *notes;                       /**< of char *, texts about other findings */
    GHashTable *broken;                     /**< ids of backups that cannot be restored
                                                 completely */
} CstRepoReport;

/** Clears the report. NULL members are accepted. */
void cst_repo_report_clear(CstRepoReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstRepoReport, cst_repo_report_clear)

/**
 * Checks a repository. No writer may be open on @repo. Damage is reported and is no failure. Blobs
 * of backups must be opened again afterwards. Sets the total of @task.
 */
gboolean cst_repo_check(CstRepo *repo, const CstRepoCheck *how, CstTask *task,
                        CstRepoReport *ret_report, GError **error);

/** The backups to keep of each set of volumes. No rule and no tags: keep no backup. */
typedef struct {
    CstRetention retention;
    const char *const *tags; /**< keep backups with one of them; NULL: no tags */
} CstKeep;

/**
 * Decides which backups to keep. @backups: of CstBackup *. Returns an array in the same order with
 * the reasons to keep a backup ("last, daily, tag x"), or NULL to remove it. The caller frees the
 * array, which owns the texts. Periods are in the time zone @zone (NULL: local time).
 */
GPtrArray *cst_keep_decide(const GPtrArray *backups, const CstKeep *keep, GTimeZone *zone);
/**
 * Returns the key of a group: backups of the same volumes on the same host. The caller frees it.
 */
char *cst_backup_group(const CstBackup *backup);

/** Removes the manifests of backups by their ids. A prune frees the chunks that only they used. */
gboolean cst_repo_forget(CstRepo *repo, const char *const *ids, GError **error);

typedef struct {
    uint64_t packs, bytes;            /**< before */
    uint64_t removed_packs, repacked; /**< removed: no chunk is in use; repacked: used chunks
                                           were copied */
    uint64_t freed_bytes, written;    /**< net bytes freed, and bytes written for that */
    uint64_t chunks, used;            /**< stored, and used by backups */
} CstPruneReport;

/**
 * Frees the chunks that no backup uses. Acquires the exclusive lock. No writer and no blob of @repo
 * may be open. @only_plan: change nothing and only report the plan. Fails with CORRUPT, without
 * changes, if a manifest cannot be read.
 */
gboolean cst_repo_prune(CstRepo *repo, gboolean only_plan, CstTask *task,
                        CstPruneReport *ret_report, GError **error);

/** A lost range of a volume in a backup. */
typedef struct {
    char backup[CST_BACKUP_ID_TEXT];
    char *pool;
    char *volume;
    uint64_t offset, length; /**< bytes */
} CstRepairLoss;

typedef struct {
    uint64_t chunks, packs; /**< damaged chunks; packs to be replaced */
    GPtrArray *losses;      /**< of CstRepairLoss *, in the order of backups and volumes */
    GPtrArray *manifests;   /**< of char *: ids of backups whose manifest is damaged */
} CstRepairReport;

/** Clears the report. NULL members are accepted. */
void cst_repair_report_clear(CstRepairReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstRepairReport, cst_repair_report_clear)

/**
 * Removes damaged chunks and manifests, with the exclusive lock, and reports the losses of backups.
 * The next backup of a volume that still has a lost chunk stores it again. @only_plan: change
 * nothing. Sets the total of @task. The caller clears @ret_report, also after a failure.
 */
gboolean cst_repo_repair(CstRepo *repo, gboolean only_plan, CstTask *task,
                         CstRepairReport *ret_report, GError **error);

/** A lock of another process on a repository. */
typedef struct {
    char *id;
    char *host;
    int64_t pid;        /**< 0: the lock cannot be read, and its owner is unknown */
    int64_t since;      /**< seconds since 1970 */
    gboolean exclusive; /**< held to delete (prune or repair) */
    gboolean dead;      /**< its process ran on this host and has ended */
} CstRepoLock;

void cst_repo_lock_free(CstRepoLock *lock);
/** Returns the locks of a repository except our own, CstRepoLock *. */
GPtrArray *cst_repo_locks(CstRepo *repo, GError **error);
/**
 * Acquires the shared lock and returns its id. Use the id in names of objects that must be removed
 * after this process has ended: the lock is then missing or dead. Returns "" without a lock
 * (read-only repository, dry run). The caller frees it.
 */
char *cst_repo_lock_id(CstRepo *repo, GError **error);
/**
 * Removes locks of dead processes, and with @all also locks of other hosts, even if their owners
 * are alive.
 */
gboolean cst_repo_unlock(CstRepo *repo, gboolean all, guint *ret_count, GError **error);

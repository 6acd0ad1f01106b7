/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <base/secret_bytes.h>
#include <base/task.h>
#include <blob/blob.h>

/**
 * Repositories of backups. A repository is a directory (docs/backup.md has its files); it holds the
 * content of volumes in chunks that are stored once, whoever has them, and for each backup a
 * manifest that says which chunks it is made of. A backup exists from the moment its manifest does,
 * and that is written last.
 *
 * Errors of all functions: CORRUPT for damage (the message names the file), BUSY for a lock that
 * another program holds, NO_SPACE, and those of the calls on files. A CstRepo belongs to one
 * thread; the blobs of backups may be read by many.
 */
typedef struct CstRepo CstRepo;

#define CST_BACKUP_ID_BYTES 16
/** "0123…" and the zero behind it. */
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
    uint32_t iterations;          /**< of the derivation of the key; 0: what is usual */
} CstRepoInit;

typedef struct {
    const CstSecretBytes *secret; /**< NULL: the repository has to be one without encryption */
    gboolean shared_ok;           /**< others than us may write to its directories */
    gboolean read_only;           /**< take no lock where the file system is read-only */
} CstRepoOpen;

/**
 * Makes a repository in the directory @path, which is made if it is missing and has to be empty.
 * EXISTS when it holds anything.
 */
gboolean cst_repo_init(const char *path, const CstRepoInit *how, GError **error);

/**
 * Opens a repository. NOT_FOUND when @path is none; INVALID_SECRET when it is encrypted with
 * another secret than the one given, when none is given, and when one is given that nothing is
 * encrypted with; DENIED when others may write to it and nobody has said that this is meant.
 */
CstRepo *cst_repo_open(const char *path, const CstRepoOpen *how, GError **error);
/** Releases the locks and closes. NULL is accepted. */
void cst_repo_close(CstRepo *repo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstRepo, cst_repo_close)

/** The repository's identity as hexadecimal text, borrowed. */
const char *cst_repo_id(const CstRepo *repo);
/** The size of its chunks in bytes. */
uint32_t cst_repo_chunk(const CstRepo *repo);
/** Whether what it stores can be read only with a secret. */
gboolean cst_repo_is_encrypted(const CstRepo *repo);

/* --- backups ---------------------------------------------------------------------------------- */

/** One volume in a backup. */
typedef struct {
    char *pool;
    char *name;
    char *format;     /**< of the volume; the content is always what a guest sees */
    char *xml;        /**< the volume's document */
    char *snapshot;   /**< on the volume, that the next backup may ask changes since; "": none */
    char *mark;       /**< which snapshot of that name, as the storage tells; "": none */
    char *identity;   /**< of the volume's storage (its key): the snapshot is of that one; "" */
    char *base;       /**< id of the backup that the rest was taken from; "": all was read */
    uint64_t size;    /**< what a guest sees, bytes */
    uint64_t read;    /**< bytes that were read for this backup */
    uint64_t taken;   /**< bytes, no holes, that were taken from the backup before */
    uint64_t data;    /**< bytes that are no holes */
    uint64_t stored;  /**< bytes that this backup added to the repository */
    uint8_t *lists;   /**< names of the lists of chunks */
    uint32_t n_lists; /**< how many */
} CstBackupVolume;

/** Of which moments the volumes of a backup are. The values are those of the files. */
typedef enum {
    CST_BACKUP_APART = 0,    /**< each of one of its own, or of the time that reading it took */
    CST_BACKUP_TOGETHER = 1, /**< in turn, in a time that was not kept: of the first versions */
    CST_BACKUP_ONE_STEP = 2, /**< all of one: their snapshots were made in one step */
    CST_BACKUP_IN_TURN = 3 /**< their snapshots were made one after the other, then all were read */
} CstBackupMoment;

/** Names one backup: where it is in the order of backups, and a digest of its manifest. */
typedef struct {
    uint64_t number; /**< one more than that of its predecessor; 0: made by an older version */
    char id[CST_BACKUP_ID_TEXT]; /**< "": no backup */
    uint8_t digest[CST_BACKUP_DIGEST];
} CstBackupMark;

typedef struct {
    char id[CST_BACKUP_ID_TEXT];
    CstBackupMark predecessor; /**< the newest backup when this one was made; id "": not known */
    uint64_t number;           /**< 0: its manifest is from an older version and has no number */
    uint8_t digest[CST_BACKUP_DIGEST]; /**< of its own manifest */
    int64_t time_us; /**< real time; for several volumes at one moment: that moment */
    char *host;
    GStrv tags;
    CstBackupMoment moment;
    uint64_t span_us; /**< in turn: from before the first snapshot to after the last; 0: unknown */
    GPtrArray *volumes; /**< of CstBackupVolume * */
} CstBackup;

/** NULL is accepted. */
void cst_backup_free(CstBackup *backup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstBackup, cst_backup_free)

/**
 * Reads all manifests; CstBackup *, oldest first. One that is damaged is left out and named in
 * @damaged (of char *, sentences; NULL: it is an error).
 */
GPtrArray *cst_repo_backups(CstRepo *repo, GPtrArray *damaged, GError **error);
/**
 * Finds the backup whose id begins with @prefix, or the newest one with "latest". NOT_FOUND;
 * INVALID when several begin so.
 */
CstBackup *cst_repo_backup(CstRepo *repo, const char *prefix, GError **error);
/**
 * Finds the newest backup that holds the volume @volume ("POOL/NAME" or NAME), or volumes of a pool
 * of that name. NO_VOL.
 */
CstBackup *cst_repo_latest(CstRepo *repo, const char *volume, GError **error);
/** The volume @name ("POOL/NAME", NAME, or NULL when there is only one) of a backup; NO_VOL. */
const CstBackupVolume *cst_backup_volume(const CstBackup *backup, const char *name, GError **error);

/* --- a repository that was put back ----------------------------------------------------------- */

/** Returns the mark of the newest of @backups (of CstBackup *); id "" if there are none. */
CstBackupMark cst_backups_newest(const GPtrArray *backups);
/** Whether the repository has a manifest @id, also a damaged one. */
gboolean cst_repo_has_manifest(CstRepo *repo, const char *id);
/**
 * Checks that the repository, which holds @backups, has not been put back to a state before the
 * backup @seen was made. STATE if the manifest of @seen is missing and no later backup names it as
 * its predecessor, or if the manifest has another digest. A backup without a number that is missing
 * is no error, and a later backup whose predecessor is forgotten proves nothing.
 */
gboolean cst_repo_check_seen(CstRepo *repo, const GPtrArray *backups, const CstBackupMark *seen,
                             GError **error);

/* --- writing ---------------------------------------------------------------------------------- */

/**
 * A backup that is being written: its volumes one after the other, each from its beginning to its
 * end. Nothing is listed before cst_writer_commit(); what an abandoned one has stored is used by
 * the next, or dropped by cst_repo_prune().
 */
typedef struct CstBackupWriter CstBackupWriter;

typedef struct {
    const char *host;
    const char *const *tags; /**< NULL: none */
    int64_t time_us;         /**< 0: now */
    int level;               /**< of zstd; 0: what is usual */
    CstTask *task;           /**< told of nothing, asked for cancellation; NULL: nobody cancels */
} CstBackupHow;

/** Takes the lock of writers and begins. Fails with DRY_RUN in a dry run. */
CstBackupWriter *cst_writer_new(CstRepo *repo, const CstBackupHow *how, GError **error);
/** Abandons what is not committed, and frees. NULL is accepted. */
void cst_writer_free(CstBackupWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstBackupWriter, cst_writer_free)

/**
 * Says of which moments its volumes are, once that is known. @span_us: see CstBackup. Not said:
 * each of its own.
 */
void cst_writer_moment(CstBackupWriter *writer, CstBackupMoment moment, uint64_t span_us);
/**
 * Begins a volume, of which the names, the texts and the size are copied. @previous: an earlier
 * backup of it, borrowed until its end, for cst_writer_same(); NULL: none. INVALID when a text is
 * not UTF-8.
 */
gboolean cst_writer_volume(CstBackupWriter *writer, const CstBackupVolume *volume,
                           const CstBackupVolume *previous, GError **error);
/** The volume goes on with these bytes. */
gboolean cst_writer_data(CstBackupWriter *writer, const void *data, size_t len, GError **error);
/** The volume goes on with zeroes. */
gboolean cst_writer_hole(CstBackupWriter *writer, uint64_t len, GError **error);
/**
 * The volume goes on with what it held at this place in the previous backup. The range consists of
 * whole chunks of both (cst_repo_chunk(); the last one of a volume ends with it); INVALID else.
 */
gboolean cst_writer_same(CstBackupWriter *writer, uint64_t len, GError **error);
/**
 * Drops the volume that was begun, if one was: the backup goes on without it. FALSE when nothing
 * more can be stored, because an earlier write to the repository has failed.
 */
gboolean cst_writer_volume_drop(CstBackupWriter *writer);
/** Ends the volume; INVALID when it is not complete. */
gboolean cst_writer_volume_end(CstBackupWriter *writer, GError **error);
/**
 * Makes the backup one: when this returns, it survives everything. The writer is only to be freed
 * afterwards. @ret_id has CST_BACKUP_ID_TEXT bytes.
 */
gboolean cst_writer_commit(CstBackupWriter *writer, char *ret_id, GError **error);

/**
 * Writes a whole blob: cst_writer_volume(), its data and holes, cst_writer_volume_end(). @changed:
 * of CstExtent, what may differ from @previous, in order; NULL: everything.
 */
gboolean cst_writer_blob(CstBackupWriter *writer, const CstBackupVolume *volume, CstBlob *blob,
                         const CstBackupVolume *previous, const GArray *changed, CstTask *task,
                         GError **error);

/* --- reading ---------------------------------------------------------------------------------- */

/**
 * What a guest saw of a volume, as a blob that can be read anywhere at once. Each chunk is verified
 * when it is read. @volume is borrowed only for the call; the repository outlives the blob.
 */
CstBlob *cst_backup_open(CstRepo *repo, const CstBackupVolume *volume, GError **error);

/**
 * Compares content, which comes in order, with a backup's by the names of chunks, without reading
 * these: an owner of the key alone can do so.
 */
typedef struct CstBackupProof CstBackupProof;
/** @volume is borrowed until the end. */
CstBackupProof *cst_proof_new(CstRepo *repo, const CstBackupVolume *volume, GError **error);
void cst_proof_free(CstBackupProof *proof);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstBackupProof, cst_proof_free)
/** The content goes on with these bytes; NULL: with zeroes. */
gboolean cst_proof_add(CstBackupProof *proof, const void *data, uint64_t len, GError **error);
/** Ends: how many bytes differ in chunks that do, and the offset of the first. */
gboolean cst_proof_end(CstBackupProof *proof, uint64_t *ret_differ, uint64_t *ret_first,
                       GError **error);

/* --- keeping a repository --------------------------------------------------------------------- */

typedef struct {
    gboolean read_data; /**< read every chunk, too: finds any bit that has changed */
} CstRepoCheck;

typedef struct {
    uint64_t backups, packs, chunks, bytes; /**< looked at; bytes: of packs */
    GPtrArray *problems;                    /**< of char *, sentences */
    GPtrArray *notes;                       /**< of char *: no damage, worth knowing */
    GHashTable *broken;                     /**< ids of backups that can't be restored whole */
} CstRepoReport;

/** NULL members are accepted. */
void cst_repo_report_clear(CstRepoReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstRepoReport, cst_repo_report_clear)

/**
 * Checks a repository, with no writer on @repo. Damage is no failure; blobs of backups have to be
 * opened anew after it. The total of @task is set.
 */
gboolean cst_repo_check(CstRepo *repo, const CstRepoCheck *how, CstTask *task,
                        CstRepoReport *ret_report, GError **error);

/** How many backups to keep of each kind, for each set of volumes; all 0 and no tags: none. */
typedef struct {
    unsigned last, hourly, daily, weekly, monthly, yearly;
    const char *const *tags; /**< keep those with one of them; NULL: none */
} CstKeep;

/**
 * Decides which backups stay. @backups: of CstBackup *. Returns for each of them, in their order,
 * why it stays ("last, daily, tag x"), or NULL: it goes. Free the array; its texts are its own.
 * Calendars are those of @zone (NULL: local time).
 */
GPtrArray *cst_keep_decide(const GPtrArray *backups, const CstKeep *keep, GTimeZone *zone);
/** What backups of the same volumes have in common; free it. */
char *cst_backup_group(const CstBackup *backup);

/** Removes the manifests of backups, by their ids. What only they used is freed by a prune. */
gboolean cst_repo_forget(CstRepo *repo, const char *const *ids, GError **error);

typedef struct {
    uint64_t packs, bytes;            /**< before */
    uint64_t removed_packs, repacked; /**< packs that nothing is in use of; that were thinned */
    uint64_t freed_bytes, written;    /**< bytes less at the end, and written for that */
    uint64_t chunks, used;            /**< stored, and used by backups */
} CstPruneReport;

/**
 * Frees what no backup uses, while nobody else uses the repository, and no writer and no blob is
 * left of @repo. @only_plan: change nothing and tell what would be done. CORRUPT, and nothing is
 * changed, when a manifest can't be read.
 */
gboolean cst_repo_prune(CstRepo *repo, gboolean only_plan, CstTask *task,
                        CstPruneReport *ret_report, GError **error);

/** A range that a volume of a backup has lost. */
typedef struct {
    char backup[CST_BACKUP_ID_TEXT];
    char *pool;
    char *volume;
    uint64_t offset, length; /**< bytes */
} CstRepairLoss;

typedef struct {
    uint64_t chunks, packs; /**< damaged chunks; packs that are replaced */
    GPtrArray *losses;      /**< of CstRepairLoss *, in the order of backups and volumes */
    GPtrArray *manifests;   /**< of char *: ids of backups whose manifest is damaged */
} CstRepairReport;

/** NULL members are accepted. */
void cst_repair_report_clear(CstRepairReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstRepairReport, cst_repair_report_clear)

/**
 * Drops damaged chunks and manifests, with the exclusive lock, and reports what backups have lost.
 * A lost chunk is stored again by the next backup of a volume that holds it. @only_plan: change
 * nothing. The total of @task is set. The caller clears @ret_report, also after a failure.
 */
gboolean cst_repo_repair(CstRepo *repo, gboolean only_plan, CstTask *task,
                         CstRepairReport *ret_report, GError **error);

/** A lock that somebody has on a repository. */
typedef struct {
    char *id;
    char *host;
    int64_t pid;
    int64_t since;      /**< seconds since 1970 */
    gboolean exclusive; /**< a prune */
    gboolean dead;      /**< its process was one of this machine, and is gone */
} CstRepoLock;

void cst_repo_lock_free(CstRepoLock *lock);
/** The locks of a repository but our own, CstRepoLock *. */
GPtrArray *cst_repo_locks(CstRepo *repo, GError **error);
/**
 * Takes the lock of readers and returns its id, for names of what has to go when this process is
 * gone: then the lock is, or is one that is dead. "" where none can be had (a repository that can
 * only be read, a dry run). Free it.
 */
char *cst_repo_lock_id(CstRepo *repo, GError **error);
/** Removes locks of dead processes, and with @all those of other machines, whatever these do. */
gboolean cst_repo_unlock(CstRepo *repo, gboolean all, guint *ret_count, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "header.h"
#include "log.h"
#include "pages.h"

/**
 * An opened VHDX image. The head's lock (blocks.h) guards all of this.
 *
 * Order of writing: the first change of a session is preceded by a header with new GUIDs. Guest
 * data goes to its place, then a barrier, then the dirty pages of the tables go into one entry of
 * the log, then a barrier, and only then into their places (commit.c). So the tables on the disk
 * are always either complete or completed by the log, and never refer to what is not written; the
 * worst after a power cut is space that nothing refers to.
 *
 * A block that has a place keeps it: discarding and zeroing give the space back to the file system
 * through holes. So a write under way never lands in space that another block owns by then.
 */

/* Of entries of the block allocation table: payload blocks, and PRESENT for sector bitmaps too. */
typedef enum {
    VHDX_NOT_PRESENT = 0,
    VHDX_UNDEFINED = 1,
    VHDX_ZERO = 2,
    VHDX_UNMAPPED = 3,
    VHDX_PRESENT = 6,
    VHDX_PARTIAL = 7
} VhdxState;

#define VHDX_STATE(entry) ((VhdxState)((entry)&7))
#define VHDX_PLACE(entry) ((entry) >> 20) /**< in MiB */

static inline uint64_t vhdx_entry(VhdxState state, uint64_t place)
{
    return place << 20 | (uint64_t)state;
}

/** Which MiB of the file are in use. */
typedef struct {
    uint64_t *words; /* bits */
    uint64_t count;  /* of words */
    uint64_t hint;   /* none below is free */
} VhdxUnits;

typedef struct {
    CstBlocks blocks;
    CstBlob *file;               /* owned: the file, or a view of it with the log replayed */
    gboolean writing;            /* this session's header is on the disk */
    gboolean same_content;       /* what the guest sees stays, and so does data_write */
    uint8_t next_data_write[16]; /* of this session */
    VhdxHeader header;
    VhdxLayout layout;
    gboolean is_diff;
    uint64_t block_count;
    uint64_t chunk_ratio;
    VhdxPages *pages;
    VhdxUnits units;

    uint8_t log_guid[16]; /* of this session; the header gets it with the first entry */
    uint64_t log_sequence;
    uint32_t log_position; /* of the next entry */
} Vhdx;

static inline Vhdx *vhdx_of(CstImage *image)
{
    return (Vhdx *)image;
}

/* --- bat.c: the block allocation table; lock held --------------------------------------------- */

/** Fails with CORRUPT. @what: the translated damage. */
gboolean vhdx_corrupt(const Vhdx *vhdx, GError **error, const char *what);
#define vhdx_corrupt(...) CST_GIVES_FALSE(vhdx_corrupt(__VA_ARGS__))

/** Returns the index of a payload block's entry. */
uint64_t vhdx_bat_index(const Vhdx *vhdx, uint64_t block);
/** Returns the index of the entry of the block's sector bitmap, which its chunk shares. */
uint64_t vhdx_bat_bitmap_index(const Vhdx *vhdx, uint64_t block);
/** Reads entry @index. The caller keeps @index inside of the table. */
gboolean vhdx_bat_get(Vhdx *vhdx, uint64_t index, uint64_t *ret_entry, GError **error);
/** Changes entry @index; the change is committed with the next vhdx_commit(). */
gboolean vhdx_bat_set(Vhdx *vhdx, uint64_t index, uint64_t entry, GError **error);
/**
 * Returns TRUE when @length bytes at @place (in MiB) can belong to an entry: they begin inside of
 * the file and overlap no metadata.
 */
gboolean vhdx_place_is_sound(const Vhdx *vhdx, uint64_t place, uint64_t length, uint64_t file_size);

/* --- open.c ---------------------------------------------------------------------------------- */

/**
 * Opens an image as the format's open() does, but returns the whole state. Replays the log, into
 * the file when @how asks for writing. The caller frees it with vhdx_free().
 */
Vhdx *vhdx_open_for(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error);
/** Frees the image without committing anything. */
void vhdx_free(Vhdx *vhdx);
/** Sets the capacity, in bytes, and all fields that follow from it and from the layout. */
void vhdx_set_geometry(Vhdx *vhdx, uint64_t capacity);

/* --- commit.c: lock held ---------------------------------------------------------------------- */

/**
 * Prepares for the first change: surveys what is in use and writes a header with new GUIDs. Does
 * nothing when the session has begun. CORRUPT when the table has errors.
 */
gboolean vhdx_begin_writing(Vhdx *vhdx, GError **error);
/** Writes the session's header without a survey, for repair. */
gboolean vhdx_begin_session(Vhdx *vhdx, GError **error);
/**
 * Writes *header to the other slot, with the next sequence number, and updates it. With @barriers
 * the header is durable when this returns. Leaves *header as it was on failure.
 */
gboolean vhdx_header_store(CstBlob *blob, VhdxHeader *header, gboolean barriers, GError **error);
/**
 * Writes the dirty pages to the log and from there to their places. Everything written before is
 * durable when their log entry is. May be repeated when it fails.
 */
gboolean vhdx_commit(Vhdx *vhdx, GError **error);
/**
 * Commits when so many pages are dirty that those of the next step might not fit into one log
 * entry. Call it before each step.
 */
gboolean vhdx_relieve(Vhdx *vhdx, GError **error);
/** Commits, makes all of it durable in its place, and takes the log out of force. */
gboolean vhdx_empty_log(Vhdx *vhdx, GError **error);

/* --- map.c; lock held -------- ---------------------------------------------------------------- */

extern const CstBlocksOps vhdx_blocks_ops;

/**
 * Allocates a block that has no place; it reads as zeroes. The file is known to be zero from byte
 * @fresh_from on. Writing must have begun.
 */
gboolean vhdx_place_block(Vhdx *vhdx, uint64_t block, uint64_t fresh_from, GError **error);

/* --- units.c: space; lock held ---------------------------------------------------------------- */

/** Frees the bitmap; @units is then empty and may be used again. */
void vhdx_units_clear(VhdxUnits *units);
/** Returns TRUE when any of the @count units from @first on is in use. */
gboolean vhdx_units_test(const VhdxUnits *units, uint64_t first, uint64_t count);
/**
 * Marks units used. The caller has checked that they are inside of VHDX_MAX_FILE. @name: of the
 * file, for NO_MEMORY.
 */
gboolean vhdx_units_set(VhdxUnits *units, uint64_t first, uint64_t count, const char *name,
                        GError **error);
/** Marks units free. */
void vhdx_units_reset(VhdxUnits *units, uint64_t first, uint64_t count);
/** Returns one past the last unit that is in use. */
uint64_t vhdx_units_end(const VhdxUnits *units);
/**
 * Finds the first @count free units in a row and marks them used. LIMIT when the file can't grow
 * that far.
 */
gboolean vhdx_units_take(Vhdx *vhdx, uint64_t count, uint64_t *ret_first, GError **error);
/** Makes the units read as zeroes, and the file long enough for them. */
gboolean vhdx_units_zero(Vhdx *vhdx, uint64_t first, uint64_t count, GError **error);

/* --- survey.c: walking the table -------------------------------------------------------------- */

typedef enum { VHDX_BAD_STATE, VHDX_BAD_PLACE, VHDX_BAD_SHARED } VhdxDamageKind;

typedef struct {
    uint64_t index; /* in the block allocation table */
    uint64_t entry;
    VhdxDamageKind kind;
} VhdxDamage;

typedef struct {
    VhdxUnits units; /* in use, by tables and sound entries */
    GArray *damage;  /* VhdxDamage; the first of many */
    uint64_t errors;
    uint64_t allocated;
    uint64_t fragmented; /* blocks that do not follow the one before */
    uint64_t last_place;
} VhdxSurvey;

/**
 * Checks every entry. Reads past the cache, so nothing may be uncommitted. @task: may be NULL. The
 * caller clears @ret_survey with vhdx_survey_clear(); on failure it is untouched.
 */
gboolean vhdx_survey(Vhdx *vhdx, VhdxSurvey *ret_survey, CstTask *task, GError **error);
/** Frees what a survey holds. */
void vhdx_survey_clear(VhdxSurvey *survey);

/** Handles one entry of the table; FALSE with @error ends the walk. May change entries. */
typedef gboolean (*VhdxVisit)(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                              GError **error);
/**
 * Calls @visit for every entry of [@first, @end) that is not zero. Reads past the cache, so nothing
 * in the range may be uncommitted when it starts.
 */
gboolean vhdx_bat_walk(Vhdx *vhdx, uint64_t first, uint64_t end, VhdxVisit visit, gpointer data,
                       GError **error);

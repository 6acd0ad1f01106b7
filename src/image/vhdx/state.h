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
 * Write order: the first change of a session is preceded by a header with new GUIDs. Guest data is
 * written to its place; then a barrier; then the dirty pages of the tables are written into one log
 * entry; then a barrier; then the pages are written to their places (commit.c). So the tables on
 * the disk are always complete or completed by the log, and never refer to unwritten data. A power
 * cut can at worst leak space.
 *
 * A block keeps its place: discarding and zeroing free the space in the file system through holes.
 * So a concurrent write never writes to space that another block has received.
 */

/*
 * States of entries of the block allocation table: payload blocks, and PRESENT for sector bitmaps
 * too.
 */
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

/** The used MiB of the file. */
typedef struct {
    uint64_t *words; /* bits */
    uint64_t count;  /* of words */
    uint64_t hint;   /* all units below are used */
} VhdxUnits;

typedef struct {
    CstBlocks blocks;
    CstBlob *file;               /* owned: the file, or an overlay with the log replayed */
    gboolean writing;            /* this session's header is on the disk */
    gboolean same_content;       /* the guest's content does not change, so data_write stays */
    uint8_t next_data_write[16]; /* of this session */
    VhdxHeader header;
    VhdxLayout layout;
    gboolean is_diff;
    uint64_t block_count;
    uint64_t chunk_ratio;
    VhdxPages *pages;
    VhdxUnits units;

    uint8_t log_guid[16]; /* of this session; stored in the header with the first entry */
    uint64_t log_sequence;
    uint32_t log_position; /* of the next entry */
} Vhdx;

static inline Vhdx *vhdx_of(CstImage *image)
{
    return (Vhdx *)image;
}

/* --- bat.c: the block allocation table; lock held --------------------------------------------- */

/** Fail with CORRUPT. @what: the translated damage. */
gboolean vhdx_corrupt(const Vhdx *vhdx, GError **error, const char *what);
#define vhdx_corrupt(...) CST_GIVES_FALSE(vhdx_corrupt(__VA_ARGS__))

/** Return the index of a payload block's entry. */
uint64_t vhdx_bat_index(const Vhdx *vhdx, uint64_t block);
/** Return the index of the entry of the block's sector bitmap, which its chunk shares. */
uint64_t vhdx_bat_bitmap_index(const Vhdx *vhdx, uint64_t block);
/** Read entry @index. The caller ensures that @index is within the table. */
gboolean vhdx_bat_get(Vhdx *vhdx, uint64_t index, uint64_t *ret_entry, GError **error);
/** Change entry @index; the next vhdx_commit() commits the change. */
gboolean vhdx_bat_set(Vhdx *vhdx, uint64_t index, uint64_t entry, GError **error);
/**
 * Return TRUE if @length bytes at @place (in MiB) can belong to an entry: they begin within the
 * file and overlap no metadata.
 */
gboolean vhdx_place_is_sound(const Vhdx *vhdx, uint64_t place, uint64_t length, uint64_t file_size);

/* --- open.c ---------------------------------------------------------------------------------- */

/**
 * Open an image like the format's open(), but return the whole state. Replays the log, into the
 * file if @how requests writing. The caller frees it with vhdx_free().
 */
Vhdx *vhdx_open_for(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error);
/** Free the image without committing anything. */
void vhdx_free(Vhdx *vhdx);
/** Set the capacity, in bytes, and all fields derived from it and from the layout. */
void vhdx_set_geometry(Vhdx *vhdx, uint64_t capacity);

/* --- commit.c: lock held ---------------------------------------------------------------------- */

/**
 * Prepare for the first change: survey the used space and write a header with new GUIDs. Does
 * nothing if the session has begun. CORRUPT if the table has errors.
 */
gboolean vhdx_begin_writing(Vhdx *vhdx, GError **error);
/** Write the session's header without a survey, for repair. */
gboolean vhdx_begin_session(Vhdx *vhdx, GError **error);
/**
 * Write *header to the other slot with the next sequence number, and update *header. With @barriers
 * the header is durable on return. On failure *header is unchanged.
 */
gboolean vhdx_header_store(CstBlob *blob, VhdxHeader *header, gboolean barriers, GError **error);
/**
 * Write the dirty pages to the log and from there to their places. All earlier writes become
 * durable with the log entry. May be repeated after a failure.
 */
gboolean vhdx_commit(Vhdx *vhdx, GError **error);
/**
 * Commit if so many pages are dirty that the pages of the next step might not fit into one log
 * entry. Must be called before each step.
 */
gboolean vhdx_relieve(Vhdx *vhdx, GError **error);
/** Commit, make all changes durable in their places, and deactivate the log. */
gboolean vhdx_empty_log(Vhdx *vhdx, GError **error);

/* --- map.c; lock held -------- ---------------------------------------------------------------- */

extern const CstBlocksOps vhdx_blocks_ops;

/**
 * Allocate a block that has no place; it reads as zeroes. The file is known to be zero from byte
 * @fresh_from on. Writing must have begun.
 */
gboolean vhdx_place_block(Vhdx *vhdx, uint64_t block, uint64_t fresh_from, GError **error);

/* --- units.c: space; lock held ---------------------------------------------------------------- */

/** Free the bitmap; @units is then empty and may be used again. */
void vhdx_units_clear(VhdxUnits *units);
/** Return TRUE if any of the @count units from @first on is used. */
gboolean vhdx_units_test(const VhdxUnits *units, uint64_t first, uint64_t count);
/**
 * Mark units used. The caller has checked that they are below VHDX_MAX_FILE. @name: the file's
 * name, for the NO_MEMORY error.
 */
gboolean vhdx_units_set(VhdxUnits *units, uint64_t first, uint64_t count, const char *name,
                        GError **error);
/** Mark units free. */
void vhdx_units_reset(VhdxUnits *units, uint64_t first, uint64_t count);
/** Return the index after the last used unit. */
uint64_t vhdx_units_end(const VhdxUnits *units);
/**
 * Find the first @count consecutive free units and mark them used. LIMIT if the file can't grow far
 * enough.
 */
gboolean vhdx_units_take(Vhdx *vhdx, uint64_t count, uint64_t *ret_first, GError **error);
/** Make the units read as zeroes, and extend the file to their end. */
gboolean vhdx_units_zero(Vhdx *vhdx, uint64_t first, uint64_t count, GError **error);

/* --- survey.c: walking the table -------------------------------------------------------------- */

typedef enum { VHDX_BAD_STATE, VHDX_BAD_PLACE, VHDX_BAD_SHARED } VhdxDamageKind;

typedef struct {
    uint64_t index; /* in the block allocation table */
    uint64_t entry;
    VhdxDamageKind kind;
} VhdxDamage;

typedef struct {
    VhdxUnits units; /* used by tables and sound entries */
    GArray *damage;  /* VhdxDamage; limited to the first ones */
    uint64_t errors;
    uint64_t allocated;
    uint64_t fragmented; /* blocks that do not follow the preceding one */
    uint64_t last_place;
} VhdxSurvey;

/**
 * Check every entry. Reads past the cache, so no change may be uncommitted. @task: may be NULL. The
 * caller clears @ret_survey with vhdx_survey_clear(); on failure it is unchanged.
 */
gboolean vhdx_survey(Vhdx *vhdx, VhdxSurvey *ret_survey, CstTask *task, GError **error);
/** Free the fields of @survey. */
void vhdx_survey_clear(VhdxSurvey *survey);

/** Handle one entry of the table; FALSE with @error ends the walk. May change entries. */
typedef gboolean (*VhdxVisit)(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                              GError **error);
/**
 * Call @visit for every entry of [@first, @end) that is not zero. Reads past the cache, so no
 * change in the range may be uncommitted at the start.
 */
gboolean vhdx_bat_walk(Vhdx *vhdx, uint64_t first, uint64_t end, VhdxVisit visit, gpointer data,
                       GError **error);

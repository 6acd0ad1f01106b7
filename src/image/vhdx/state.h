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
 * through holes, and nobody has to fear for bytes under way to a place that has changed hands.
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

/* --- bat.c: the block allocation table; lock held ----------------------------------------------
 */

gboolean vhdx_corrupt(const Vhdx *vhdx, GError **error, const char *what);
#define vhdx_corrupt(...) CST_GIVES_FALSE(vhdx_corrupt(__VA_ARGS__))

/** Index of a payload block's entry, and of its chunk's sector bitmap. */
uint64_t vhdx_bat_index(const Vhdx *vhdx, uint64_t block);
uint64_t vhdx_bat_bitmap_index(const Vhdx *vhdx, uint64_t block);
gboolean vhdx_bat_get(Vhdx *vhdx, uint64_t index, uint64_t *ret_entry, GError **error);
gboolean vhdx_bat_set(Vhdx *vhdx, uint64_t index, uint64_t entry, GError **error);
/** TRUE: @length bytes at the entry's place can be somebody's. */
gboolean vhdx_place_is_sound(const Vhdx *vhdx, uint64_t place, uint64_t length, uint64_t file_size);

/* --- open.c ---------------------------------------------------------------------------------- */

/** As the format's open(); @repair: do not mind what check can repair. */
Vhdx *vhdx_open_for(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error);
void vhdx_free(Vhdx *vhdx);
/** After the capacity has changed. */
void vhdx_set_geometry(Vhdx *vhdx, uint64_t capacity);

/* --- commit.c: lock held ---------------------------------------------------------------------- */

/** Before the first change: new GUIDs, a survey of what is in use. */
gboolean vhdx_begin_writing(Vhdx *vhdx, GError **error);
/** The header without the survey, for who repairs. */
gboolean vhdx_begin_session(Vhdx *vhdx, GError **error);
/** Writes a header with the next sequence number; it is on the disk when this returns. */
gboolean vhdx_header_store(CstBlob *blob, VhdxHeader *header, gboolean barriers, GError **error);
/** Writes the dirty pages to the log, and from there to the file. Everything before is durable. */
gboolean vhdx_commit(Vhdx *vhdx, GError **error);
/** Commits when there are so many changes that the next step's might not fit into an entry. */
gboolean vhdx_relieve(Vhdx *vhdx, GError **error);
/** Commits, and empties the log. */
gboolean vhdx_empty_log(Vhdx *vhdx, GError **error);

/* --- map.c; lock held -------- -----------------------------------------------------------------
 */

extern const CstBlocksOps vhdx_blocks_ops;

/** A block without a place gets one and is full of zeroes, as the file is from @fresh_from on. */
gboolean vhdx_place_block(Vhdx *vhdx, uint64_t block, uint64_t fresh_from, GError **error);

/* --- units.c: space; lock held ---------------------------------------------------------------- */

void vhdx_units_clear(VhdxUnits *units);
gboolean vhdx_units_test(const VhdxUnits *units, uint64_t first, uint64_t count);
/** The caller has checked that the range is inside of VHDX_MAX_FILE. @name: of the file. */
gboolean vhdx_units_set(VhdxUnits *units, uint64_t first, uint64_t count, const char *name,
                        GError **error);
void vhdx_units_reset(VhdxUnits *units, uint64_t first, uint64_t count);
/** One past the last that is in use. */
uint64_t vhdx_units_end(const VhdxUnits *units);
/** The first @count in a row that are free; marks them. */
gboolean vhdx_units_take(Vhdx *vhdx, uint64_t count, uint64_t *ret_first, GError **error);
/** Makes the units of the file, which may not be long enough, read as zeroes. */
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

/** Looks at every entry there is, past the cache: nothing may be uncommitted. */
gboolean vhdx_survey(Vhdx *vhdx, VhdxSurvey *ret_survey, CstTask *task, GError **error);
void vhdx_survey_clear(VhdxSurvey *survey);

typedef gboolean (*VhdxVisit)(Vhdx *vhdx, uint64_t index, uint64_t entry, gpointer data,
                              GError **error);
/** Calls @visit for every entry of [@first, @end) that is not zero. As the survey. */
gboolean vhdx_bat_walk(Vhdx *vhdx, uint64_t first, uint64_t end, VhdxVisit visit, gpointer data,
                       GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Work on several files at once (an image's parts, its source, what it is based on) while one call
 * to one of them fails. A job says what there is before, what is done, and what must hold after
 * it; fault_job.c plays it with every fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <blob/fault.h>
#include <image/chain.h>

enum { SIZE = 448 * 1024 + 512 };

/** The format and options of the image on top, and of what it is based on. */
typedef struct {
    const char *format;
    CstImageCreate options;
    const char *below; /* format of "base" and "new"; NULL: it is based on nothing */
} Variant;

/** Which call to which file fails; part G_MAXUINT: none. */
typedef struct {
    guint part;
    CstFaultKind kind;
    guint nth;
} Aim;

typedef struct {
    char *name;
    CstBlob *inner; /* what the disk holds */
    CstBlob *shown; /* what is worked on: the same, or a layer over it that fails */
} Part;

/** All files; the first is the image. */
typedef struct {
    const Variant *variant;
    const CstImageFormat *format;
    GPtrArray *parts;
    Aim aim;
    uint8_t model[SIZE]; /* what the guest of the image must see */
    uint64_t errors;     /* that a check finds before the work */
    gboolean struck;     /* before the work was reported as done, or not */
} World;

typedef struct {
    const char *name;
    /** Makes the files, and sets model and errors. FALSE: the format can't have such. */
    gboolean (*stage)(World *world, guint seed);
    gboolean (*run)(World *world, GError **error);
    /** What must hold afterwards; ends the test with world_fail(). */
    void (*judge)(World *world, gboolean done);
    guint seeds; /* from 0, for as long as there are fewer than that many stages */
    guint stages;
    gboolean again; /* after a failure the same work can be done */
} Job;

/** Plays @job on @variant with each fault; returns how many there were. */
guint job_play(const Job *job, const Variant *variant);

/* --- for jobs --------------------------------------------------------------------------------- */

/** Called with the work's result, which it returns, before anything is closed: what fails while
 * closing has nobody to tell it to. */
gboolean world_report(World *world, gboolean done);
/** Ends the test with a message that names the case. */
void world_fail(const World *world, const char *what);

/** With files of its own. @from has no aim. */
World *world_copy(const World *from, const Aim *aim);
void world_free(World *world);

/** Takes @inner over. */
void world_add(World *world, const char *name, CstBlob *inner);
/** The file of that name, as it is to be worked on; borrowed. */
CstBlob *world_blob(const World *world, const char *name);
/** For images of several files. */
CstImageFiles world_files(World *world);
/** The chain under the image of that name. */
CstChain *world_chain(World *world, const char *name, const char *format, GError **error);
/** What the guest of that image sees, chain and all; NULL with @error set. */
CstBlob *world_guest(World *world, const char *name, const char *format, unsigned flags,
                     GError **error);
/** Makes an image in a file that is there. @backing: a file's name, or NULL. */
gboolean world_create(World *world, const char *name, const char *format,
                      const CstImageCreate *options, const char *backing, GError **error);
/** A file with an image of the variant's "below", with such content. */
void world_base(World *world, const char *name, guint seed);
/** Writes pieces of noise, the same for the same @seed. */
void world_scatter(World *world, const char *name, const char *format, guint seed);

/** The image "disk" shows the model. */
void assert_model(World *world);
/** No more than @errors are found in that image. */
void assert_no_errors(World *world, const char *name, const char *format, uint64_t errors);

extern const Job create_job, convert_job, compress_job;
extern const Job commit_job, rebase_job, flatten_job;
extern const Job repair_job;

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Work on several files at once (an image's parts, its source, its backing image) while one call
 * to one of them fails. A job defines the initial files, the work, and the conditions after it.
 * fault_job.c runs it with every fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <blob/fault.h>
#include <image/chain.h>

enum { SIZE = 448 * 1024 + 512 };

/** The format and options of the top image and of its backing image. */
typedef struct {
    const char *format;
    CstImageCreate options;
    const char *below; /* format of "base" and "new"; NULL: no backing image */
} Variant;

/** The call and the file of the fault. With part G_MAXUINT no call fails. */
typedef struct {
    guint part;
    CstFaultKind kind;
    guint nth;
} Aim;

typedef struct {
    char *name;
    CstBlob *inner; /* content of the disk */
    CstBlob *shown; /* blob for the work: @inner, or a layer over it that fails */
} Part;

/** All files; the first is the image. */
typedef struct {
    const Variant *variant;
    const CstImageFormat *format;
    GPtrArray *parts;
    Aim aim;
    uint8_t model[SIZE]; /* the expected content of the image's guest */
    uint64_t errors;     /* that a check finds before the work */
    gboolean struck;     /* before the work was reported as done, or not */
} World;

typedef struct {
    const char *name;
    /** Makes the files, and sets model and errors. FALSE: the format can't have such. */
    gboolean (*stage)(World *world, guint seed);
    gboolean (*run)(World *world, GError **error);
    /** Verifies the files after the work. A failure ends the test with world_fail(). */
    void (*judge)(World *world, gboolean done);
    guint seeds; /* from 0, for as long as there are fewer than that many stages */
    guint stages;
    gboolean again; /* after a failure the same work can be done */
} Job;

/** Runs @job on @variant with each fault; returns how many there were. */
guint job_play(const Job *job, const Variant *variant);

/* --- for jobs --------------------------------------------------------------------------------- */

/** Called with the work's result, which it returns, before the files are closed, because closing
 * cannot report a failure. */
gboolean world_report(World *world, gboolean done);
/** Ends the test with a message that names the case. */
void world_fail(const World *world, const char *what);

/** With files of its own. @from has no aim. */
World *world_copy(const World *from, const Aim *aim);
void world_free(World *world);

/** Adopts @inner. */
void world_add(World *world, const char *name, CstBlob *inner);
/** The file of that name, as it is to be worked on; borrowed. */
CstBlob *world_blob(const World *world, const char *name);
/** For images of several files. */
CstImageFiles world_files(World *world);
/** The chain under the image of that name. */
CstChain *world_chain(World *world, const char *name, const char *format, GError **error);
/** Returns the guest's view of that image with its chain; NULL with @error set. */
CstBlob *world_guest(World *world, const char *name, const char *format, unsigned flags,
                     GError **error);
/** Makes an image in an existing file. @backing: a file's name, or NULL. */
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

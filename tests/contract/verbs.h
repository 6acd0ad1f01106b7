/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

/**
 * The verbs of every day, typed at the program (CISTERN_PROGRAM) while no service of this one runs.
 * Each is played undisturbed, killed at its crash points (at random moments where the program was
 * built without any) and interrupted at random moments.
 *
 * CISTERN_CONTRACT_VERBS says how many kills of each verb there are at most, spread over its points
 * (1000: all), CISTERN_CONTRACT_SEED which they are.
 */

/** States that a kill may leave in addition to the states before and after. */
typedef enum {
    VERB_SOME = 1 << 0, /**< some of what it makes, each whole; an interrupt does so, too */
    VERB_BOTH = 1 << 1, /**< the source beside the target, where that is no local file */
} VerbLeaves;

/**
 * Commands stand on a line each. Those that begin with "-" may fail; "rm PATH" is the shell's. In
 * all texts these stand for what the stage has:
 *
 *     {v} {w} {x}     the first, second and third volume's name in the pool "p"
 *     {many} {first}  the pattern and the first number of the names {w} and {x}
 *     {p}             the pool, for a new volume of the ground's format
 *     {format}        that format
 *     {in} {out}      directories of images to be read, and for what is written
 *     {repo}          of a repository
 *     {near} {far}    URIs of the root of "p", and of another one with a pool "far"
 *
 * Besides there is a pool "d", a directory, and "far" has a volume "image". @makes and @takes are
 * lines of the picture.
 */
typedef struct {
    const char *words;  /**< what is typed */
    const char *before; /**< makes what it needs besides; NULL: nothing */
    const char *makes;  /**< what there is when it is done */
    const char *takes;  /**< what there was before and is not any more; NULL: nothing */
    const char *undo;   /**< brings back what was before; NULL: nothing has to be done */
    const char *mend;   /**< the same from partway; NULL: it is never partway */
    const char *slow;   /**< typed as well to have it take its time; NULL: it can't be slowed */
    unsigned leaves;    /**< VerbLeaves */
    gboolean trash;     /**< the pool "p" keeps what is deleted */
} Verb;

typedef struct Stage Stage;

/** Whether there is a program, and the ground's storage one that it sees as well. */
gboolean verbs_possible(const Ground *ground);

/** Prepares the site. */
Stage *stage_new(Site *site, gboolean trash);
void stage_free(Stage *stage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stage, stage_free)

/**
 * Exit status of a command line as above, or minus the signal that ended it; *ret_said is freed.
 */
int stage_type(Stage *stage, const char *line, char **ret_said);
/** Types lines that must succeed. NULL: none. */
void stage_type_all(Stage *stage, const char *lines);
/** The same command killed at @passage of a crash point ("POINT:N"), which it must get to. */
gboolean stage_type_until(Stage *stage, const char *line, const char *passage);
/** Sends @signal after so long, unless the command has ended. */
int stage_type_for(Stage *stage, const char *line, int signal, gint64 after_us, char **ret_said);
/** The crash points that the command, which must succeed, passes ("POINT:N"); NULL-terminated. */
GStrv stage_passages(Stage *stage, const char *line);

/** All names there are, drafts and all else that may be left; a line each, in order. */
char *stage_names(Stage *stage);
/** The names, and what everything holds. */
char *stage_picture(Stage *stage);
/** Removes what a killed command may leave outside of pools. */
void stage_sweep(Stage *stage);

/**
 * Returns the text with the stage's values in the place of the names in braces. The caller frees
 * it.
 */
char *stage_text(Stage *stage, const char *text);

/** Plays the verb, with all kills and interrupts. */
void verb_play(Site *site, const Verb *verb);
/** The verb says why it can't, and changes nothing. */
void verb_refused(Site *site, const Verb *verb);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/access.h>

#include "core/ctl.h"

/**
 * Finds the volume of <vol> as virsh does: by name in the pool of @pool_option, else by key, else
 * by path. @pool_option NULL: the command has no pool option. If virsh would find no volume, the
 * word may also be POOL/NAME. Without a pool option, it may also be a name that only one active
 * pool has. The caller frees the result. *ret_name (may be NULL) is the word in the command line.
 */
CstVolRef *cli_vol(CliCtl *ctl, const CliArgs *args, const char *pool_option, const char **ret_name,
                   GError **error);

/** Like cli_vol(), for the volume that the option @option names. */
CstVolRef *cli_vol_of(CliCtl *ctl, const CliArgs *args, const char *option, const char *pool_option,
                      const char **ret_name, GError **error);
/**
 * Like cli_vol(), for the volume @name, which is one of several words. The connection must be open.
 */
CstVolRef *cli_vol_named(CliCtl *ctl, const CliArgs *args, const char *name,
                         const char *pool_option, GError **error);
/**
 * Finds a second volume of the command, which option @option names. A plain name is searched in the
 * pool of option @other_pool. By default it is searched in the pool of @vol if --pool was given.
 * POOL/VOL, a key or a path may name a volume of any pool. The caller frees the result.
 */
CstVolRef *cli_vol_other(CliCtl *ctl, const CliArgs *args, const char *option,
                         const char *other_pool, const CstVolRef *vol, GError **error);

/** A volume and the word that names it, both owned. */
typedef struct {
    CstVolRef *vol;
    char *typed;
} CliVolArg;

/** The lookup of a single volume for cli_vols(), as cli_vol_named() does with --pool. */
typedef CstVolRef *(*CliVolFinder)(CliCtl *ctl, const CliArgs *args, const char *word,
                                   GError **error);
/**
 * Finds all volumes of <vol> and CLI_FURTHER without duplicates (CliVolArg *). @find NULL: like
 * cli_vol() with --pool. The caller frees the array.
 */
GPtrArray *cli_vols(CliCtl *ctl, const CliArgs *args, CliVolFinder find, GError **error);
/** CliEach.name of a CliVolArg. */
void cli_vol_arg_name(gconstpointer thing, const char **ret_pool, const char **ret_name);

/** Completes the snapshots of <vol>. */
void cli_complete_vol_snapshots(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
/**
 * Fails with NOT_FOUND if @vol has no snapshot @name, so that the command fails before it asks a
 * question. Succeeds if the server cannot list snapshots.
 */
gboolean cli_vol_check_snapshot(CliCtl *ctl, const CstVolRef *vol, const char *name,
                                GError **error);
/**
 * Finds a volume related to one of @pool: by name in this pool, by key or by path. The caller frees
 * it.
 */
CstVolRef *cli_vol_beside(CliCtl *ctl, const CstPoolRef *pool, const char *text, GError **error);
/**
 * Sets *ret_path to the path of the layer @base of a volume if it is POOL/VOL, because servers
 * accept only the name or the path of a layer. Else sets it to NULL. @base may be NULL.
 */
gboolean cli_vol_layer_path(CliCtl *ctl, const CstVolRef *vol, const char *base, char **ret_path,
                            GError **error);

/** Default size of a volume's logical sector, in bytes. */
#define CLI_SECTOR_SIZE 512u
/**
 * Returns the size of the volume's logical sector in bytes. The image may define it, else it is
 * CLI_SECTOR_SIZE.
 */
unsigned cli_vol_sector_size(CliCtl *ctl, const CstVolRef *vol);
/**
 * Returns the programs of @holders (of CstVolHolder *; NULL: not known) that may write to the
 * volume, for a message; "": none. The caller frees it.
 */
char *cli_holders_writers(const GPtrArray *holders);
/**
 * Returns the programs that may be writing to @vol, for a warning after the copy. Returns "" if no
 * program writes, if the server cannot report it, or if --force-share disables the warning. The
 * caller frees it.
 */
char *cli_vol_writers(CliCtl *ctl, const CstVolRef *vol);
/** Warns that the copy of the volume @name may be inconsistent. Has no effect if @writers is "". */
void cli_vol_warn_of(CliCtl *ctl, const char *name, const char *writers);

/**
 * Restricts @access, for a file that @vol is copied into, to the users with read access to the
 * volume. @chain: and to its backing volumes, because the copy has their content. If the
 * permissions of one of them are unknown, only the owner of the file may read it.
 */
void cli_vol_restrict_access(CliCtl *ctl, const CstVolRef *vol, gboolean chain, CstAccess *access);

/** Returns "file", …, "unknown"; static, untranslated. */
const char *cli_vol_type_word(int type);

/** The pool and name of a new volume. */
typedef struct {
    CstPoolRef *pool; /**< owned; NULL: not given by the name or by an option */
    const char *name; /**< borrowed from the arguments; NULL: the option was not given */
} CliNewVol;

void cli_new_vol_clear(CliNewVol *place);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliNewVol, cli_new_vol_clear)

/**
 * Parses NAME or POOL/NAME of a new volume from option @option, and the pool from option
 * @pool_option (NULL: the command has no such option). Opens the connection. The caller clears
 * *ret_place in any case.
 *
 * Fails with USAGE if both give different pools. An invalid name is passed to the server, because
 * virsh prints the server's message. The failure is then a mistake in the command line, and the
 * hint names the pool that was searched.
 */
gboolean cli_vol_new(CliCtl *ctl, const CliArgs *args, const char *option, const char *pool_option,
                     CliNewVol *ret_place, GError **error);
/**
 * Like cli_vol_new(), for a new volume that must be in @pool. Fails with USAGE for POOL/NAME of
 * another pool. @elsewhere (may be NULL) is the hint then, which names a command for other pools.
 */
gboolean cli_vol_new_name(CliCtl *ctl, const CliArgs *args, const char *option,
                          const CstPoolRef *pool, const char *elsewhere, const char **ret_name,
                          GError **error);

/** Parses "10G" in bytes. Error messages are virsh's ("Malformed size 1X"). */
gboolean cli_vol_size(CliCtl *ctl, const char *text, uint64_t *ret_bytes, GError **error);

/**
 * Returns the configured format of new volumes if @pool supports it, borrowed. Returns NULL if no
 * format is configured or the pool does not support it. The pool's own default applies then.
 */
const char *cli_vol_default_format(CliCtl *ctl, const CstPoolRef *pool);

/**
 * Returns the format for the suffix of @name (".vhd" is vpc, ".img" raw) if @pool supports it, else
 * cli_vol_default_format(). The result is static or borrowed.
 */
const char *cli_vol_format_of(CliCtl *ctl, const CstPoolRef *pool, const char *name);

/**
 * Prints a note on stderr that the size @text is in bytes, if it has no unit and is below 10,000.
 * Prints no note with --json or --quiet.
 */
void cli_vol_note_bytes(CliCtl *ctl, const char *text);
/**
 * Returns the capacity of @vol for cli_done_sized(). Queries the server only if the size is
 * printed.
 */
uint64_t cli_vol_made_size(CliCtl *ctl, const CstVolRef *vol);

/** The values for the document of vol-create-as. NULL or FALSE: not given. */
typedef struct {
    const char *name;
    uint64_t capacity;
    gboolean has_allocation;
    uint64_t allocation;
    const char *format;
    const char *backing_path;
    const char *backing_format; /**< omitted without a path, as in virsh */
    const char *thin;           /**< "yes" or "no" for logical pools; an extension of ours */
} CliVolSpec;

/**
 * Returns the <volume> of @spec in virsh's layout, with escaped values. The caller frees it.
 * Returns NULL with INVALID if XML cannot represent a value.
 */
char *cli_vol_spec_xml(const CliVolSpec *spec, GError **error);
/**
 * Returns the document of a volume with its name replaced, as virsh's vol-clone does. The caller
 * frees it.
 */
char *cli_vol_clone_xml(const char *xml, const char *name, GError **error);

/*
 * CliCompleters for <vol> with and without a pool option, for the name of a new volume (POOL/), and
 * for --algorithm.
 */
void cli_complete_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_input_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_new_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_vol_keys(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_wipe_algorithms(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
/** Returns the number of the algorithm (CstWipeAlgorithm), or -1 if @name is unknown. */
int cli_wipe_algorithm(const char *name);

/* Functions for commands in other files than the option table. */

/**
 * Returns the problems of the volume (char *). The array is empty if the server does not report
 * them. The caller frees it.
 */
GPtrArray *cli_vol_problems(CliCtl *ctl, const CstVolRef *vol);
/** Prints a line on stderr for each problem. */
void cli_vol_warn(CliCtl *ctl, const char *name, const GPtrArray *problems);
/** Declares the content of the volume, as vol-trust does. */
gboolean cli_vol_declare(CliCtl *ctl, const CstVolRef *vol, const CstVolDeclare *how,
                         GError **error);

/**
 * Creates a volume in @pool from @xml, with the content of @source (NULL: empty) and the options of
 * the command. @label is for the progress. The caller frees the result.
 */
CstVolRef *cli_vol_make(CliCtl *ctl, const CliArgs *args, const CstPoolRef *pool,
                        const CstVolRef *source, const char *xml, const char *label,
                        GError **error);

/**
 * Moves @vol to @pool according to @how, and prints the result. @typed is the word in the command
 * line. Implements vol-move and `mv`.
 */
gboolean cli_vol_move(CliCtl *ctl, const CstVolRef *vol, const char *typed, const CstPoolRef *pool,
                      const CstVolMove *how, GError **error);

/**
 * Parses the options for a new volume as CstVolCreateFlags. The command may lack some of these
 * options.
 */
gboolean cli_vol_create_flags(const CliArgs *args, unsigned *ret_flags, GError **error);

/* The rows of commands. Each is defined in the file of its handler. */
extern const CliCommand cli_vol_bitmap_command;
extern const CliCommand cli_vol_chain_command;
extern const CliCommand cli_vol_check_command;
extern const CliCommand cli_vol_commit_command;
extern const CliCommand cli_vol_consolidate_command;
extern const CliCommand cli_vol_flatten_command;
extern const CliCommand cli_vol_sparsify_command;
extern const CliCommand cli_vol_compare_command;
extern const CliCommand cli_vol_convert_command;
extern const CliCommand cli_vol_map_command;
extern const CliCommand cli_vol_measure_command;
extern const CliCommand cli_vol_rebase_command;
extern const CliCommand cli_vol_trust_command;
extern const CliCommand cli_vol_clone_command;
extern const CliCommand cli_vol_create_as_command;
extern const CliCommand cli_vol_create_command;
extern const CliCommand cli_vol_create_from_command;
extern const CliCommand cli_vol_delete_command;
extern const CliCommand cli_vol_download_command;
extern const CliCommand cli_vol_holders_command;
extern const CliCommand cli_vol_list_command;
extern const CliCommand cli_vol_move_command;
extern const CliCommand cli_vol_note_command;
extern const CliCommand cli_vol_protect_command;
extern const CliCommand cli_vol_rename_command;
extern const CliCommand cli_trash_empty_command;
extern const CliCommand cli_trash_list_command;
extern const CliCommand cli_trash_restore_command;
extern const CliCommand cli_vol_unprotect_command;
extern const CliCommand cli_vol_serve_command;
extern const CliCommand cli_vol_tag_command;
extern const CliCommand cli_vol_upload_command;

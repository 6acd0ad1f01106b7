/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "core/ctl.h"

/**
 * Finds the volume that <vol> names as virsh does: by name in the pool that @pool_option names
 * (NULL: the command takes no pool), else by key, else by path. What virsh does not find may also
 * be POOL/NAME or, without a pool, a name that only one active pool has. The caller frees it.
 * *ret_name (may be NULL) is what the user wrote.
 */
CstVolRef *cli_vol(CliCtl *ctl, const CliArgs *args, const char *pool_option, const char **ret_name,
                   GError **error);

/** Finds the volume that the option @option names likewise. */
CstVolRef *cli_vol_of(CliCtl *ctl, const CliArgs *args, const char *option, const char *pool_option,
                      const char **ret_name, GError **error);
/** Finds the volume @name likewise, which one of several words was. The connection is open. */
CstVolRef *cli_vol_named(CliCtl *ctl, const CliArgs *args, const char *name,
                         const char *pool_option, GError **error);
/**
 * Finds the volume that option @option names besides @vol: in the pool of option @other_pool, by
 * default in that of @vol where --pool says which that is; POOL/VOL, a key or a path of any. The
 * caller frees it.
 */
CstVolRef *cli_vol_other(CliCtl *ctl, const CliArgs *args, const char *option,
                         const char *other_pool, const CstVolRef *vol, GError **error);

/** A volume and the word that named it, both owned. */
typedef struct {
    CstVolRef *vol;
    char *typed;
} CliVolArg;

/** How cli_vols() finds one: as cli_vol_named() does with --pool. */
typedef CstVolRef *(*CliVolFinder)(CliCtl *ctl, const CliArgs *args, const char *word,
                                   GError **error);
/**
 * Finds all volumes that <vol> and the words behind it name (CLI_FURTHER), CliVolArg *, each once.
 * @find NULL: as cli_vol() with --pool. Free the array.
 */
GPtrArray *cli_vols(CliCtl *ctl, const CliArgs *args, CliVolFinder find, GError **error);
/** CliEach.name of a CliVolArg. */
void cli_vol_arg_name(gconstpointer thing, const char **ret_pool, const char **ret_name);

/**
 * FALSE with NOT_FOUND when @vol has no snapshot @name, for a command that asks a question later.
 * TRUE when the server can't list snapshots.
 */
gboolean cli_vol_check_snapshot(CliCtl *ctl, const CstVolRef *vol, const char *name,
                                GError **error);
/**
 * Finds a volume that goes with one of @pool: by name in that pool, by key or by path. The caller
 * frees it.
 */
CstVolRef *cli_vol_beside(CliCtl *ctl, const CstPoolRef *pool, const char *text, GError **error);

/** Bytes of a volume's logical sector, unless its image says otherwise. */
#define CLI_SECTOR_SIZE 512u
/** Returns the bytes of a volume's logical sector: CLI_SECTOR_SIZE, unless its image says
 * otherwise. */
unsigned cli_vol_sector_size(CliCtl *ctl, const CstVolRef *vol);
/**
 * Returns who may be writing to @vol now, for a warning once it has been copied: "" when nobody is,
 * the server can't say, or the command has --force-share, which asks not to be warned. Free it.
 */
char *cli_vol_writers(CliCtl *ctl, const CstVolRef *vol);
/**
 * Warns that the copy of the volume that the user calls @name may be inconsistent; does nothing for
 * "".
 */
void cli_vol_warn_of(CliCtl *ctl, const char *name, const char *writers);

/**
 * The mode of a file that @vol is copied into: for those who may read the volume; where that isn't
 * told, for the file's owner.
 */
mode_t cli_vol_copy_mode(CliCtl *ctl, const CstVolRef *vol);

/** Returns "file", …, "unknown"; static, untranslated. */
const char *cli_vol_type_word(int type);

/** Where a new volume is to be. */
typedef struct {
    CstPoolRef *pool; /**< owned; NULL: neither the name nor an option says which */
    const char *name; /**< borrowed from the arguments; NULL: the option was not given */
} CliNewVol;

void cli_new_vol_clear(CliNewVol *place);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliNewVol, cli_new_vol_clear)

/**
 * Reads NAME or POOL/NAME of a new volume from option @option, and the pool from option
 * @pool_option (NULL: the command has none) where it was given. USAGE when both name a pool and
 * these differ. A name that no volume can have goes on to the server, whose words virsh prints, but
 * fails as a mistake in the command line; the hint says which pool was looked for. Opens the
 * connection. *ret_place is the caller's to clear in any case.
 */
gboolean cli_vol_new(CliCtl *ctl, const CliArgs *args, const char *option, const char *pool_option,
                     CliNewVol *ret_place, GError **error);
/**
 * Reads the name of a new volume that can only be in @pool, likewise. USAGE for POOL/NAME of
 * another pool; @elsewhere (may be NULL) is the hint then: the command that reaches other pools.
 */
gboolean cli_vol_new_name(CliCtl *ctl, const CliArgs *args, const char *option,
                          const CstPoolRef *pool, const char *elsewhere, const char **ret_name,
                          GError **error);

/** Parses "10G" as bytes; the error is worded as virsh's ("Malformed size 1X"). */
gboolean cli_vol_size(CliCtl *ctl, const char *text, uint64_t *ret_bytes, GError **error);

/**
 * Returns the configured format of new volumes, where volumes of @pool can have it; borrowed. NULL:
 * none is, or they can't: the pool's own default holds.
 */
const char *cli_vol_default_format(CliCtl *ctl, const CstPoolRef *pool);

/**
 * Returns the format that the ending of @name says (".vhd" is vpc, ".img" raw), where volumes of
 * @pool can have it; else cli_vol_default_format(). Static or borrowed.
 */
const char *cli_vol_format_of(CliCtl *ctl, const CstPoolRef *pool, const char *name);

/**
 * Notes on stderr that the size @text is in bytes, if it has no unit and is below 1 MiB. Prints
 * nothing with --json or --quiet.
 */
void cli_vol_note_bytes(CliCtl *ctl, const char *text);
/** Returns the capacity of @vol for cli_done_sized(); asks the server only if it is shown. */
uint64_t cli_vol_made_size(CliCtl *ctl, const CstVolRef *vol);

/** What vol-create-as makes its document of; NULL or FALSE where not given. */
typedef struct {
    const char *name;
    uint64_t capacity;
    gboolean has_allocation;
    uint64_t allocation;
    const char *format;
    const char *backing_path;
    const char *backing_format; /**< left out without a path, as in virsh */
    const char *thin;           /**< "yes", "no": in our own namespace, for logical pools */
} CliVolSpec;

/**
 * Returns the <volume> of @spec in virsh's layout, with each value escaped. Free it. NULL with
 * INVALID if XML cannot represent a value.
 */
char *cli_vol_spec_xml(const CliVolSpec *spec, GError **error);
/**
 * Returns the document of a volume with another name in it, as virsh's vol-clone edits it. Free it.
 */
char *cli_vol_clone_xml(const char *xml, const char *name, GError **error);

/*
 * Candidates for <vol>, with and without a pool to take names from, for the name of a new volume
 * (POOL/), and for --algorithm; as CliCompleter.
 */
void cli_complete_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_input_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_new_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_vol_keys(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_wipe_algorithms(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
/** Returns the number of the algorithm (CstWipeAlgorithm); -1: there is none of that name. */
int cli_wipe_algorithm(const char *name);

/* Options of commands whose handlers are not where the table is. */

/**
 * Returns what is wrong with the volume, elements char *; empty where the server does not say. Free
 * the array.
 */
GPtrArray *cli_vol_problems(CliCtl *ctl, const CstVolRef *vol);
/** Prints a line on stderr for each problem. */
void cli_vol_warn(CliCtl *ctl, const char *name, const GPtrArray *problems);
/** Declares what the volume's content is, as vol-trust does. */
gboolean cli_vol_declare(CliCtl *ctl, const CstVolRef *vol, const CstVolDeclare *how,
                         GError **error);

/**
 * Makes a volume in @pool of its document, with the content of @source (NULL: none), as the options
 * of the command say; @label is for the progress. The caller frees it.
 */
CstVolRef *cli_vol_make(CliCtl *ctl, const CliArgs *args, const CstPoolRef *pool,
                        const CstVolRef *source, const char *xml, const char *label,
                        GError **error);

/**
 * Moves @vol, which the user called @typed, to @pool as @how says, and prints the result. Both
 * vol-move and `mv` are that.
 */
gboolean cli_vol_move(CliCtl *ctl, const CstVolRef *vol, const char *typed, const CstPoolRef *pool,
                      const CstVolMove *how, GError **error);

/** Reads the options of a new volume, as far as the command has them, as CstVolCreateFlags. */
gboolean cli_vol_create_flags(const CliArgs *args, unsigned *ret_flags, GError **error);

/* The rows of commands, each beside its handler. */
extern const CliCommand cli_vol_bitmap_command;
extern const CliCommand cli_vol_chain_command;
extern const CliCommand cli_vol_check_command;
extern const CliCommand cli_vol_commit_command;
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
extern const CliCommand cli_vol_protect_command;
extern const CliCommand cli_vol_rename_command;
extern const CliCommand cli_trash_empty_command;
extern const CliCommand cli_trash_list_command;
extern const CliCommand cli_trash_restore_command;
extern const CliCommand cli_vol_unprotect_command;
extern const CliCommand cli_vol_serve_command;
extern const CliCommand cli_vol_upload_command;

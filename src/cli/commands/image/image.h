/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/place.h>
#include <image/chain.h>
#include <image/hold.h>
#include <image/luks.h>
#include <image/options.h>
#include <image/path.h>

#include "output/sheet.h"
#include "twin.h"

/**
 * What the commands over image files share. These files alone of the command line use the image
 * engine; they work on paths and need no connection.
 */

/**
 * Opens a file or block device named on the command line; its path is the blob's name. For writing
 * it is claimed (BUSY when QEMU has it); for reading a writer is only warned of.
 */
CstBlob *cli_image_blob(CliCtl *ctl, const char *path, gboolean writable, GError **error);

/**
 * Opens the image at @path in the same way. Its format is the one that option @option names; else
 * guessed from the content, with a warning on stderr where the guess is raw, because the guest of a
 * raw image can make it look like anything.
 */
CstBlob *cli_image_open(CliCtl *ctl, const CliArgs *args, const char *path, const char *option,
                        gboolean writable, const CstImageFormat **ret_format, GError **error);

/** Reads the format that option @option names; *ret_format is NULL when it was not given. */
gboolean cli_image_format_arg(const CliArgs *args, const char *option,
                              const CstImageFormat **ret_format, GError **error);

/**
 * Reads --cache, with qemu-img's words: *ret_unsafe when what is written need not reach the disk.
 */
gboolean cli_image_cache(const CliArgs *args, gboolean *ret_unsafe, GError **error);
/** Reads --target-format; raw when it was not given, as with qemu-img. */
gboolean cli_image_target_format(const CliArgs *args, const CstImageFormat **ret_format,
                                 GError **error);

/** Warns that a copy of @name does not record its sector size, which is @size bytes. */
void cli_warn_of_sector_size(CliCtl *ctl, const char *name, unsigned size);
/** Returns "1.5 GiB" as qemu-img has it, with --bytes digits. Free it. */
char *cli_image_size_text(const CliCtl *ctl, uint64_t bytes);

/** What only some formats have to say of an image; any list may be NULL. */
typedef struct {
    const CstImageInfo *info;
    const GPtrArray *bitmaps; /**< of CstImageBitmap */
    const GPtrArray *parts;   /**< of CstImagePart */
    const CstImageLuks *luks; /**< its version may be 0: none; NULL likewise */
} CliImageSpecific;

/** Adds the format-specific facts to @sheet; adds nothing when the format has none. */
void cli_image_add_specific(CliSheet *sheet, const CliImageSpecific *specific);
/** Adds what a LUKS header says. */
void cli_image_add_luks(CliSheet *sheet, const CstImageLuks *luks);

/**
 * Returns a table of the snapshots inside an image (CstImageSnapshot); in JSON qemu-img's
 * "snapshots".
 */
CliTable *cli_image_snapshot_table(const GPtrArray *snapshots);

/**
 * An image being made. It and its parts grow in a directory of their own next to the final name,
 * and move there when they are complete; a block device is written in place.
 */
typedef struct {
    char *path;         /**< as it was named */
    CstPlace place;     /**< where the files go */
    const char *name;   /**< in that directory; borrowed from place */
    char *dir;          /**< name of the draft's directory; NULL: in place */
    CstFd draft;        /**< that directory; -1: in place */
    GPtrArray *parts;   /**< names of the draft's files, char *, the image itself first */
    gboolean replace;   /**< there is a file, and it was agreed to replace it */
    CstBlob *old;       /**< that file, claimed so that nobody else opens it; NULL: none */
    struct stat old_st; /**< of that file */
    CstBlob *blob;
    CstBlob *data;       /**< a data file of it that lies elsewhere; NULL: none */
    CstPlace data_place; /**< of that data file */
    mode_t most;         /**< mode bits that a new file may have, beside what the umask takes */
    gboolean unsafe;     /**< neither files nor directories are synced */
    gboolean guarded;    /**< an interrupt waits until the draft is cleared away */
} CliImageTarget;

/**
 * Fails with NO_SPACE if an image at @path, a copy of @from with the options @create, is certain
 * not to fit into its file system. May read @from. Call it before cli_image_target_open(), so that
 * nothing was made. Copies that are compressed, or based on another image, are not checked.
 */
gboolean cli_image_check_room(const char *path, CstBlob *from, const CstImageCreate *create,
                              gboolean whole, GError **error);
/**
 * Opens the draft of an image at @path, or the block device; in a dry run a draft in memory. Asks
 * before something is overwritten (cli_confirm()). Clear *ret_target in any case.
 */
gboolean cli_image_target_open(CliCtl *ctl, const char *path, CliImageTarget *ret_target,
                               GError **error);
/** Has the target and its parts skip all syncs (--cache unsafe). Call it before parts are made. */
void cli_image_target_skip_sync(CliImageTarget *target);
/**
 * Returns callbacks for the parts that the image is made with: they grow with it, except a data
 * file in another directory, which -o data_file names. That one must not exist yet, and is made
 * where it stays.
 */
CstImageFiles cli_image_target_files(CliImageTarget *target);
/**
 * Puts the image in its place. Call it when the image is written and flushed, and nobody else uses
 * the blob. EXISTS when somebody has taken the name meanwhile.
 */
gboolean cli_image_target_commit(CliImageTarget *target, GError **error);
/** Removes what was not committed. */
void cli_image_target_clear(CliImageTarget *target);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliImageTarget, cli_image_target_clear)

/** Whether one of the words of -o (NULL: none) asks which options there are. */
gboolean cli_image_asks_for_help(const char *text);
/** Prints the options of @format; @options: of CstImageOption. */
void cli_image_print_options(CliCtl *ctl, const CstImageFormat *format, const GPtrArray *options);
/**
 * Parses -o for @format. TRUE with *ret_help when it asked for help, which is then printed. The
 * caller clears @options.
 */
gboolean cli_image_options(CliCtl *ctl, const CliArgs *args, const CstImageFormat *format,
                           CstImageOptions *options, gboolean *ret_help, GError **error);

/**
 * Opens the image that option @option names, its format named by @format, for reading. Its backing
 * files are opened with --backing-chain; without it, an image that has one is refused.
 */
CstChain *cli_image_source(CliCtl *ctl, const CliArgs *args, const char *option, const char *format,
                           GError **error);

/** Opens the same as its snapshot @snapshot has it; NULL: as it is now. */
CstChain *cli_image_source_at(CliCtl *ctl, const CliArgs *args, const char *option,
                              const char *format, const char *snapshot, GError **error);

/** Opens the image at @path likewise. */
CstChain *cli_image_source_path(CliCtl *ctl, const CliArgs *args, const char *path,
                                const char *format, const char *snapshot, GError **error);

/**
 * Fails with BUSY when another program writes to one of the images of @source, unless --force-share
 * is given.
 */
gboolean cli_image_check_at_rest(const CliArgs *args, const CstChain *source, GError **error);

/**
 * Returns the stamps of the files of @source before they are copied (CstFileStamp); none are
 * counted with --force-share. Free it with g_array_unref().
 */
GArray *cli_image_stamps(const CliArgs *args, const CstChain *source);
/** Fails with BUSY when one of these files was written to since. */
gboolean cli_image_is_as_before(const CstChain *source, const GArray *stamps, GError **error);

/** Returns the mode of a copy that no more users may read than all the files of @source. */
mode_t cli_image_copy_mode(const CstChain *source);

/**
 * Returns the callbacks by which an image opens what the command line lets it: its backing files
 * with --backing-chain, its data file with --data-file (or, when it lies next to the image, with
 * --backing-chain). Borrows @args.
 */
CstChainFiles cli_image_files(const CliArgs *args);
/** The callback of cli_image_files() for data files; @args is a CliArgs. */
CstBlob *cli_image_open_data(CstBlob *owner, const char *name, gboolean writable, gpointer args,
                             GError **error);
/** An image that is opened alone, for writing. */
typedef struct {
    const CliArgs *args;
    CstBlob *blob;
} CliImageParts;

/**
 * Returns the callbacks for its parts: those next to it, or with --data-file its data file and
 * nothing else. DENIED when it has a data file and --data-file is not given. *ret_files borrows
 * @parts.
 */
gboolean cli_image_parts(CliImageParts *parts, const CstImageFormat *format,
                         CstImageFiles *ret_files, GError **error);

/** Fails with DENIED when the image refers to another file and --backing-chain is not given. */
gboolean cli_image_may_follow(const CliArgs *args, CstBlob *blob, const CstImageFormat *format,
                              GError **error);

/**
 * Opens the file of option "file" for writing, claimed; its format is that of option "format", or
 * guessed.
 */
CstBlob *cli_image_changing(CliCtl *ctl, const CliArgs *args, const CstImageFormat **ret_format,
                            GError **error);
/** Opens the image in that file, with what @files let it open. */
CstChain *cli_image_open_changing(CliCtl *ctl, const CliArgs *args, const CstChainFiles *files,
                                  GError **error);

/* The rows of commands, each beside its handler. */
extern const CliCommand cli_image_info_command;
extern const CliCommand cli_image_create_command;
extern const CliCommand cli_image_convert_command;
extern const CliCommand cli_image_check_command;
extern const CliCommand cli_image_compare_command;
extern const CliCommand cli_image_map_command;
extern const CliCommand cli_image_measure_command;
extern const CliCommand cli_image_resize_command;
extern const CliCommand cli_image_amend_command;
extern const CliCommand cli_image_snapshot_command;
extern const CliCommand cli_image_commit_command;
extern const CliCommand cli_image_rebase_command;
extern const CliCommand cli_image_flatten_command;
extern const CliCommand cli_image_sparsify_command;
extern const CliCommand cli_image_bitmap_command;
extern const CliCommand cli_image_dd_command;
extern const CliCommand cli_image_bench_command;

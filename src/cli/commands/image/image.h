/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/access.h>
#include <base/place.h>
#include <image/chain.h>
#include <image/compare.h>
#include <image/hold.h>
#include <image/luks.h>
#include <image/map.h>
#include <image/measure.h>
#include <image/options.h>
#include <image/path.h>

#include "output/sheet.h"
#include "twin.h"

/**
 * Shared code of image commands. In the command line, only these files use the image engine. They
 * work on paths and need no connection.
 */

/**
 * Opens a file or block device named in the command line. The name of the blob is its path. For
 * writing, the file is claimed; fails with BUSY if QEMU has it open. For reading, a writing program
 * only causes a warning.
 */
CstBlob *cli_image_blob(CliCtl *ctl, const char *path, gboolean writable, GError **error);

/**
 * Like cli_image_blob(), for the image at @path. *ret_format is the format of option @option.
 * Without the option, the format is detected from the content. A detected raw format causes a
 * warning, because the guest of a raw image can imitate any format.
 */
CstBlob *cli_image_open(CliCtl *ctl, const CliArgs *args, const char *path, const char *option,
                        gboolean writable, const CstImageFormat **ret_format, GError **error);

/** Parses the format in option @option. *ret_format is NULL if it was not given. */
gboolean cli_image_format_arg(const CliArgs *args, const char *option,
                              const CstImageFormat **ret_format, GError **error);

/** Parses --cache with qemu-img's words. *ret_unsafe is TRUE if writes need not be synced. */
gboolean cli_image_cache(const CliArgs *args, gboolean *ret_unsafe, GError **error);
/** Parses --target-format. The default is raw, as in qemu-img. */
gboolean cli_image_target_format(const CliArgs *args, const CstImageFormat **ret_format,
                                 GError **error);

/**
 * Applies cst_image_keep_sector_size() to a copy of @source, or of a part of it. --drop-sector-size
 * allows a copy that does not record the sector size.
 */
gboolean cli_image_keep_sector_size(const CliArgs *args, CstChain *source,
                                    const CstImageFormat *format, CstImageCreate *create,
                                    GError **error);
/** Calls cli_warn_of_sector_size() if @format does not record the sector size of @source. */
void cli_image_warn_of_sector_size(CliCtl *ctl, CstChain *source, const CstImageFormat *format);
/** Returns "1.5 GiB" in the style of qemu-img, or digits with --bytes. The caller frees it. */
char *cli_image_size_text(const CliCtl *ctl, uint64_t bytes);

/** Returns the size of @guest for cli_done_sized(), or CLI_BYTES_UNKNOWN. */
uint64_t cli_image_made_size(CstBlob *guest);

/** Format-specific information about an image. Each list may be NULL. */
typedef struct {
    const CstImageInfo *info;
    const GPtrArray *bitmaps; /**< of CstImageBitmap */
    const GPtrArray *parts;   /**< of CstImagePart */
    const CstImageLuks *luks; /**< NULL, or a version of 0: no LUKS header */
} CliImageSpecific;

/** Adds the format-specific facts to @sheet. Adds no object if the format has no such facts. */
void cli_image_add_specific(CliSheet *sheet, const CliImageSpecific *specific);
/** Adds the facts of a LUKS header. */
void cli_image_add_luks(CliSheet *sheet, const CstImageLuks *luks);

/**
 * Returns a table of the internal snapshots of an image (CstImageSnapshot), qemu-img's "snapshots"
 * in JSON.
 */
CliTable *cli_image_snapshot_table(const GPtrArray *snapshots);

/**
 * An image that is being created. The image and its parts are written in a draft directory next to
 * the final name. They are moved to their final names when they are complete. A block device is
 * written in place.
 */
typedef struct {
    CliCtl *ctl;        /**< for warnings */
    char *path;         /**< path in the command line */
    CstPlace place;     /**< parent directory of the final files */
    const char *name;   /**< name of the image in that directory; borrowed from place */
    char *dir;          /**< name of the draft directory; NULL: in place */
    CstFd draft;        /**< descriptor of the draft directory; -1: in place */
    GPtrArray *parts;   /**< names of the draft's files, char *; the image is the first */
    gboolean replace;   /**< the file exists, and the user has agreed to replace it */
    CstBlob *old;       /**< existing file, claimed for this process; NULL: no such file */
    struct stat old_st; /**< stat of the existing file */
    CstBlob *blob;
    CstBlob *data;       /**< data file in another directory; NULL: not used */
    CstPlace data_place; /**< directory and name of that data file */
    CstAccess access;    /**< users that may access a new file, in addition to the umask */
    gboolean unsafe;     /**< do not sync files and directories */
    gboolean guarded;    /**< interrupts are deferred until the draft is removed */
} CliImageTarget;

/**
 * Fails with NO_SPACE if an image at @path certainly does not fit into its file system. The image
 * is a copy of @from with the options @create. May read @from. Call it before
 * cli_image_target_open(), so that no file was created. @packed: the copy is compressed, so only a
 * lower bound of its size is checked. A copy with a backing image is not checked.
 */
gboolean cli_image_check_room(const char *path, CstBlob *from, const CstImageCreate *create,
                              gboolean whole, gboolean packed, GError **error);
/**
 * Opens the draft of an image at @path, or the block device. In a dry run the draft is in memory.
 * Asks before existing data is overwritten (cli_confirm()). The caller clears *ret_target in any
 * case.
 */
gboolean cli_image_target_open(CliCtl *ctl, const char *path, CliImageTarget *ret_target,
                               GError **error);
/**
 * Disables all syncs for the target and its parts (--cache unsafe). Call it before parts are
 * created.
 */
void cli_image_target_skip_sync(CliImageTarget *target);
/**
 * Returns the callbacks that create the parts of the image in the draft directory. Exception: a
 * data file in another directory (-o data_file) must not exist, and is created in its final place.
 */
CstImageFiles cli_image_target_files(CliImageTarget *target);
/**
 * Moves the image to its final name. Call it when the image is written and flushed, and no other
 * code uses the blob. Fails with EXISTS if another program has created a file with the name.
 */
gboolean cli_image_target_commit(CliImageTarget *target, GError **error);
/** Removes an uncommitted draft, and frees the members. */
void cli_image_target_clear(CliImageTarget *target);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliImageTarget, cli_image_target_clear)

/** Return: TRUE if a word of -o (may be NULL) requests the list of options. */
gboolean cli_image_asks_for_help(const char *text);
/** Prints the options of @format. @options is an array of CstImageOption. */
void cli_image_print_options(CliCtl *ctl, const CstImageFormat *format, const GPtrArray *options);
/**
 * Parses -o for @format. If -o requests help, prints it and sets *ret_help. The caller clears
 * @options.
 */
gboolean cli_image_options(CliCtl *ctl, const CliArgs *args, const CstImageFormat *format,
                           CstImageOptions *options, gboolean *ret_help, GError **error);

/**
 * Opens the image in option @option for reading; option @format names its format. Backing files are
 * opened with --backing-chain. Without it, an image that has a backing file is refused.
 */
CstChain *cli_image_source(CliCtl *ctl, const CliArgs *args, const char *option, const char *format,
                           GError **error);

/**
 * Like cli_image_source(), with the content of the internal snapshot @snapshot (NULL: the current
 * content).
 */
CstChain *cli_image_source_at(CliCtl *ctl, const CliArgs *args, const char *option,
                              const char *format, const char *snapshot, GError **error);

/** Like cli_image_source_at(), for the image at @path. */
CstChain *cli_image_source_path(CliCtl *ctl, const CliArgs *args, const char *path,
                                const char *format, const char *snapshot, GError **error);

/**
 * Return: the first of cst_chain_files() from @first on that another program writes to; the caller
 * unrefs it. NULL if there is none. *ret_who describes the program, and the caller frees it.
 */
CstBlob *cli_image_written_file(CstChain *chain, guint first, char **ret_who);
/**
 * Fails with BUSY if another program writes to a file of @source, unless --force-share was given.
 */
gboolean cli_image_check_at_rest(const CliArgs *args, CstChain *source, GError **error);

/**
 * Fails with BUSY if another program writes to one of cst_chain_files() from @first on, whose
 * content is copied into another image.
 */
gboolean cli_image_check_layers(CstChain *chain, guint first, GError **error);

/**
 * Returns the stamps of the files of @source before a copy (CstFileStamp). With --force-share, and
 * for a file that this command writes to, the stamp equals each other stamp. Free the array with
 * g_array_unref().
 */
GArray *cli_image_stamps(const CliArgs *args, CstChain *source);
/** Fails with BUSY if one of the files was modified since the stamps were read. */
gboolean cli_image_is_as_before(CstChain *source, const GArray *stamps, GError **error);

/**
 * Limits the mode of the target, so that only users with access to all files of @source may read
 * the copy. Fails with INVALID if the target would replace a part or a backing file of @source.
 */
gboolean cli_image_target_restrict(CliImageTarget *target, CstChain *source, GError **error);

/**
 * Returns the callbacks with which an image opens other files. --backing-chain permits backing
 * files, and a data file next to the image. --data-file permits a data file in any place. A file
 * that is opened for reading and that another program writes to causes a warning. Borrows @ctl.
 */
CstChainFiles cli_image_files(CliCtl *ctl);
/** The data file callback of cli_image_files(). @ctl is a CliCtl. */
CstBlob *cli_image_open_data(CstBlob *owner, const char *name, gboolean writable, gpointer ctl,
                             GError **error);
/** An image that is opened for writing, without backing files. */
typedef struct {
    CliCtl *ctl;
    CstBlob *blob;
} CliImageParts;

/**
 * Returns the callbacks for the image's parts. Parts must be next to it. With --data-file, only the
 * data file is opened. Fails with DENIED if the image has a data file and --data-file was not
 * given. *ret_files borrows @parts.
 */
gboolean cli_image_parts(CliImageParts *parts, const CstImageFormat *format,
                         CstImageFiles *ret_files, GError **error);

/**
 * Returns the callbacks for the parts next to the image. A part that another program writes to
 * causes a warning if it is read, and BUSY if it is opened for writing. Borrows @parts.
 */
CstImageFiles cli_image_own_parts(CliImageParts *parts);

/** Fails with DENIED if the image refers to another file and --backing-chain was not given. */
gboolean cli_image_may_follow(const CliArgs *args, CstBlob *blob, const CstImageFormat *format,
                              GError **error);

/**
 * Opens the file of option "file" for writing, and claims it. Its format is that of option
 * "format", or is detected.
 */
CstBlob *cli_image_changing(CliCtl *ctl, const CliArgs *args, const CstImageFormat **ret_format,
                            GError **error);
/** Opens the image in that file. @files has the callbacks for other files. */
CstChain *cli_image_open_changing(CliCtl *ctl, const CliArgs *args, const CstChainFiles *files,
                                  GError **error);

/* --- commands without their output; cistern-qemu-img prints it in its own form ---------------- */

/**
 * Checks the image in option "file" with @flags (CstCheckFlags), as cst_image_check_list().
 */
gboolean cli_image_check_file(CliCtl *ctl, const CliArgs *args, unsigned flags,
                              CstFindings *findings, const CstImageFormat **ret_format,
                              CstImageCheck *ret_result, GError **error);
/** Receives a run of the map. @file is the image that has it. Called in another thread. */
typedef void (*CliImageRunFunc)(const CstMapRun *run, CstBlob *file, gpointer data);
/** Calls @func for the runs of the image in option "file". */
gboolean cli_image_map_file(CliCtl *ctl, const CliArgs *args, CliImageRunFunc func, gpointer data,
                            GError **error);
/**
 * Measures a copy of the image in option @subject, or an empty image. If -o requests help, prints
 * it and sets *ret_help.
 */
gboolean cli_image_measure_file(CliCtl *ctl, const CliArgs *args, const char *subject,
                                CstImageMeasure *ret_measure, gboolean *ret_help, GError **error);
/** Compares the images in the options "a" and "b". */
gboolean cli_image_compare_files(CliCtl *ctl, const CliArgs *args, CstDifference *ret_difference,
                                 GError **error);

/** The parameters and the result of image-bench. */
typedef struct {
    gboolean write;
    unsigned depth;                    /**< requests at a time */
    uint64_t count;                    /**< requests */
    uint64_t buffer_size, start, step; /**< bytes */
    double seconds;                    /**< duration; 0 before the run */
} CliImageBench;
/** Called directly before the first request. */
typedef void (*CliImageBenchFunc)(CliCtl *ctl, const CliImageBench *bench);
/** Measures the image in option "file". */
gboolean cli_image_bench_file(CliCtl *ctl, const CliArgs *args, CliImageBenchFunc begins,
                              CliImageBench *ret_report, GError **error);

/* The rows of commands. Each is defined in the file of its handler. */
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

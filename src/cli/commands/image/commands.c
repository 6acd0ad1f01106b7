/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image.h"

#include <base/i18n.h>

/* Names and letters of options are those of qemu-img. */

#define FORMAT(option, short_name, text)                                              \
    {                                                                                 \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .help = text, \
        .complete = cli_complete_image_formats, .letter = short_name                  \
    }
#define SOURCE_FORMAT FORMAT("format", 'f', N_("format of the image; else it is looked for"))
#define FOLLOW        CLI_SWITCH("backing-chain", N_("open the backing files that the images name, too"))

/* Not --backing-chain, for this one is written to. */
#define DATA_FILE                                                                                 \
    {                                                                                             \
        .name = "data-file", .kind = CLI_OPT_STRING,                                              \
        .flags = CLI_OPT_NAMED | CLI_OPT_FILE | CLI_OPT_LIST,                                     \
        .help = N_("file that a qcow2 image may keep its data in, wherever it lies; must be the " \
                   "one that the image names")                                                    \
    }

#define FORCE_SHARE                                                             \
    {                                                                           \
        .name = "force-share", .kind = CLI_OPT_BOOL, .letter = 'U',             \
        .help = N_("read without a warning what another program is writing to") \
    }

static const CliOption info_options[] = {
    {.name = "file",
     .kind = CLI_OPT_ARGV,
     .flags = CLI_OPT_REQUIRED,
     .help = N_("image files or block devices")},
    SOURCE_FORMAT,
    FOLLOW,
    FORCE_SHARE,
    {0},
};

/* Plain words come first, in qemu-img's order. */
#define TARGET_FORMAT(option, short_name)                                                  \
    {                                                                                      \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED, \
        .help = N_("format of the new image"), .complete = cli_complete_image_formats,     \
        .letter = short_name                                                               \
    }

static const CliOption create_options[] = {
    CLI_STRING("file", N_("image file or block device to write")),
    CLI_STRING("size", N_("capacity, as 10G; default: that of the backing file")),
    TARGET_FORMAT("format", 'f'),
    CLI_IMAGE_OPTIONS,
    {.name = "backing",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'b',
     .help = N_("image that the new one is based on, as seen from its directory")},
    FORMAT("backing-format", 'F', N_("format of that image")),
    {.name = "unsafe",
     .kind = CLI_OPT_BOOL,
     .letter = 'u',
     .help = N_("don't look at the backing file")},
    {0},
};

#define RATE_LIMIT                                                                           \
    {                                                                                        \
        .name = "rate-limit", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = 'r', \
        .help = N_("bytes per second that are moved at most, as 50M")                        \
    }

#define FROM_SNAPSHOT                                                                      \
    {                                                                                      \
        .name = "snapshot", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = 'l', \
        .help = N_("name or id of the snapshot inside it to read")                         \
    }

#define CACHE                                                                                \
    {                                                                                        \
        .name = "cache", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = 't',      \
        .help = N_("writeback: on the disk at the end, the default; unsafe: it may be lost") \
    }

static const CliOption convert_options[] = {
    CLI_REQUIRED("source", N_("image to read")),
    CLI_REQUIRED("target", N_("image file or block device to write")),
    {.name = "more",
     .kind = CLI_OPT_ARGV,
     .help = N_("further images, copied one behind the other; the last plain word is the target")},
    FORMAT("source-format", 'f', N_("format of the source; else it is looked for")),
    FORMAT("target-format", 'O', N_("format of the new image; default: raw")),
    CLI_IMAGE_OPTIONS,
    {.name = "backing",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'B',
     .help = N_("image that the new one is based on, as seen from its directory; only what differs "
                "is copied")},
    FORMAT("backing-format", 'F', N_("format of that image")),
    CLI_COMPRESS,
    {.name = "no-create",
     .kind = CLI_OPT_BOOL,
     .letter = 'n',
     .help = N_("copy into the image that is there, which is large enough")},
    CLI_SWITCH("target-is-zero", N_("the block device or image reads as zeroes already")),
    {.name = "sparse-size",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'S',
     .help = N_("shortest run of zeroes that is left out, as 4k; 0: all of them take space")},
    {.name = "offload",
     .kind = CLI_OPT_BOOL,
     .letter = 'C',
     .help = N_("let the kernel copy, or share extents, where it can; done without saying")},
    FROM_SNAPSHOT,
    CACHE,
    RATE_LIMIT,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

static const CliOption check_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    SOURCE_FORMAT,
    {.name = "repair",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'r',
     .help = N_("leaks: give lost space back; all: repair errors, too")},
    FORCE_SHARE,
    {0},
};

static const CliOption compare_options[] = {
    CLI_REQUIRED("a", N_("first image")),
    CLI_REQUIRED("b", N_("second image")),
    FORMAT("a-format", 'f', N_("format of the first image; else it is looked for")),
    FORMAT("b-format", 'F', N_("format of the second image; else it is looked for")),
    CLI_STRICT,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

static const CliOption map_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    SOURCE_FORMAT,
    {.name = "start-offset",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 's',
     .help = N_("where to begin, as 1G; default: at the start")},
    {.name = "max-length",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'l',
     .help = N_("bytes to look at; default: up to the end")},
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

static const CliOption measure_options[] = {
    CLI_STRING("file", N_("image whose copy is measured")),
    TARGET_FORMAT("target-format", 'O'),
    CLI_IMAGE_OPTIONS,
    FORMAT("source-format", 'f', N_("format of the source; else it is looked for")),
    CLI_NAMED("size", N_("capacity of an empty image, instead of a file")),
    FROM_SNAPSHOT,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

static const CliOption resize_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    CLI_REQUIRED("size", N_("new capacity, as 10G; +1G and -1G are relative")),
    SOURCE_FORMAT,
    CLI_NAMED("preallocation", N_("off, metadata, falloc or full: space taken for what is added")),
    CLI_SWITCH("shrink", N_("cut off what is at the end")),
    FOLLOW,
    DATA_FILE,
    {0},
};

static const CliOption amend_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    SOURCE_FORMAT,
    {.name = "options",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST | CLI_OPT_REQUIRED,
     .letter = 'o',
     .help = N_("name=value,... that the image shall have; -o help lists them")},
    CLI_SWITCH("shrink", N_("cut off what is at the end")),
    FOLLOW,
    DATA_FILE,
    {0},
};

#define SNAPSHOT_NAME(option, short_name, text)                                               \
    {                                                                                         \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = short_name, \
        .help = text                                                                          \
    }

static const CliOption snapshot_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    SOURCE_FORMAT,
    {.name = "list", .kind = CLI_OPT_BOOL, .letter = 'l', .help = N_("list them; the default")},
    SNAPSHOT_NAME("create", 'c', N_("take one of this name")),
    SNAPSHOT_NAME("apply", 'a', N_("make the image what it was then")),
    SNAPSHOT_NAME("delete", 'd', N_("remove the one of this name")),
    DATA_FILE,
    {0},
};

static const CliOption commit_options[] = {
    CLI_REQUIRED("file", N_("image whose content goes down into its backing file")),
    SOURCE_FORMAT,
    {.name = "base",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'b',
     .help = N_("backing file further down to commit to; implies --keep")},
    {.name = "keep",
     .kind = CLI_OPT_BOOL,
     .letter = 'd',
     .help = N_("don't empty the image afterwards")},
    RATE_LIMIT,
    FOLLOW,
    DATA_FILE,
    {0},
};

static const CliOption rebase_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    SOURCE_FORMAT,
    {.name = "backing",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED | CLI_OPT_EMPTY_OK,
     .letter = 'b',
     .help = N_("new backing file, as seen from the image's directory; \"\": none")},
    FORMAT("backing-format", 'F', N_("format of that image")),
    CLI_UNSAFE,
    FOLLOW,
    DATA_FILE,
    {0},
};

static const CliOption flatten_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")), SOURCE_FORMAT, FOLLOW, DATA_FILE, {0},
};

static const CliOption sparsify_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    SOURCE_FORMAT,
    DATA_FILE,
    {0},
};

static const CliOption bitmap_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    CLI_REQUIRED("bitmap", N_("name of the bitmap")),
    SOURCE_FORMAT,
    CLI_BITMAP_DEEDS,
    {.name = "source-file",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'b',
     .help = N_("with --merge: image that has that bitmap")},
    FORMAT("source-format", 'F', N_("format of that image")),
    DATA_FILE,
    {0},
};

static const CliOption dd_options[] = {
    {.name = "operand",
     .kind = CLI_OPT_ARGV,
     .flags = CLI_OPT_REQUIRED,
     .help = N_("if=FILE, of=FILE, bs=SIZE, count=BLOCKS and skip=BLOCKS, as of dd(1)")},
    FORMAT("source-format", 'f', N_("format of the source; else it is looked for")),
    FORMAT("target-format", 'O', N_("format of the new image; default: raw")),
    RATE_LIMIT,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

#define LETTERED(option, short_name, text)                                                    \
    {                                                                                         \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = short_name, \
        .help = text                                                                          \
    }

static const CliOption bench_options[] = {
    CLI_REQUIRED("file", N_("image file or block device")),
    SOURCE_FORMAT,
    LETTERED("count", 'c', N_("requests; default: 75000")),
    LETTERED("depth", 'd', N_("requests at a time, up to 64, the default")),
    LETTERED("offset", 'o', N_("where the first request begins")),
    LETTERED("buffer-size", 's', N_("bytes of a request; default: 4k")),
    LETTERED("step-size", 'S', N_("bytes from one request to the next; default: one request")),
    {.name = "write",
     .kind = CLI_OPT_BOOL,
     .letter = 'w',
     .help = N_("write, which overwrites the content; else read")},
    CLI_NAMED("pattern", N_("with --write: the byte that is written; default: 0")),
    CLI_NAMED("flush-interval", N_("with --write: requests between flushes; default: none")),
    CLI_SWITCH("no-drain", N_("with --flush-interval: let other requests go on meanwhile")),
    CACHE,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

#define OURS (CLI_CMD_OFFLINE | CLI_CMD_OURS)

const CliCommand cli_image_commands[] = {
    {"image-info", N_("describe image files"),
     N_("Shows what images say of themselves. Nothing that an image points to is opened, unless "
        "--backing-chain asks for it. A damaged image is described as far as it can be read, and "
        "the exit status is then 1."),
     info_options, cli_cmd_image_info, OURS},
    {"image-create", N_("make an empty image"),
     N_("The image grows in a directory beside its name and moves there when it is whole. A file "
        "that is there already is replaced after asking, or with --yes; whatever a block device "
        "holds is overwritten in place. The backing file must exist, and what it points to itself "
        "is not opened."),
     create_options, cli_cmd_image_create, OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"image-convert", N_("copy an image into another format"),
     N_("The copy has all that the guest sees of the source. A source with backing files needs "
        "--backing-chain. The target is made as by image-create; what is zero takes no space in "
        "it, and data is shared with the source where both are raw files and the file system can. "
        "With --backing it gets only what its backing file does not show. With --no-create the "
        "content of an image that is there is overwritten in place. What another program is "
        "writing to is not copied, unless "
        "--force-share asks for it: the copy would mix what was there at different times."),
     convert_options, cli_cmd_image_convert, OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"image-check", N_("verify the metadata of an image"),
     N_("The exit status is 0 when the image is sound, 7 when errors or leaked space were found "
        "(and are left after a repair), 1 when it can't be checked."),
     check_options, cli_cmd_image_check, OURS | CLI_CMD_MUTATES},
    {"image-compare", N_("compare what guests see of two images"),
     N_("Where one image is longer, the rest must be zero. The exit status is 0 when they are the "
        "same, 7 when they differ, another one when they can't be compared."),
     compare_options, cli_cmd_image_compare, OURS},
    {"image-map", N_("show which parts of an image hold data"),
     N_("Offset, length and state of each run of what the guest sees, and which image of the chain "
        "it comes from. Without --backing-chain, what is not in the image itself is \"below\"."),
     map_options, cli_cmd_image_map, OURS},
    {"image-measure", N_("tell how large an image file will be"),
     N_("For an empty image of --size, or a copy of <file> in another format."), measure_options,
     cli_cmd_image_measure, OURS},
    {"image-resize", N_("change the capacity of an image"),
     N_("What is added reads as zeroes. Making an image smaller needs --shrink, and asks before, "
        "or needs --yes."),
     resize_options, cli_cmd_image_resize, OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"image-amend", N_("change options that an image was made with"),
     N_("For qcow2 images: compat, lazy_refcounts, refcount_bits, size, data_file and "
        "data_file_raw=off. What compat=0.10 lacks is converted, as entries for zeroes are, or "
        "refused. A power cut leaves the old image or the new one; a size is changed in a step of "
        "its own. A smaller size needs --shrink, and asks before, or needs --yes."),
     amend_options, cli_cmd_image_amend, OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"image-snapshot", N_("list, take, revert to and delete snapshots inside an image"),
     N_("For qcow2 images that no machine uses. Reverting and deleting lose data and ask before, "
        "or need --yes."),
     snapshot_options, cli_cmd_image_snapshot, OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"image-commit", N_("push an image's content down into its backing file"),
     N_("A smaller backing file grows. When it is safe on the disk, the image is emptied, unless "
        "--keep or --base is given. A --base further down leaves what is between of no use. Asks "
        "before, or needs --yes. What the image shows is the same at every moment; a "
        "cancelled commit can be done again. Other images on the same backing file are lost."),
     commit_options, cli_cmd_image_commit, OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"image-rebase", N_("base an image on another backing file"),
     N_("Where the old and the new backing file differ, the image gets the old content before its "
        "reference changes, so that it shows the same at every moment. With --unsafe nothing is "
        "looked at: for a backing file that has moved."),
     rebase_options, cli_cmd_image_rebase, OURS | CLI_CMD_MUTATES},
    {"image-flatten", N_("make an image independent of its backing file"),
     N_("Copies up what the image shows of its backing file, then drops the reference. When "
        "cancelled, the image is as good as before, and the next time goes on from there."),
     flatten_options, cli_cmd_image_flatten, OURS | CLI_CMD_MUTATES},
    {"image-sparsify", N_("give the space of zeroes back to the file system"),
     N_("In place: what the image holds of zeroes becomes holes, and so does what it does not use "
        "of its file. The backing file is not opened."),
     sparsify_options, cli_cmd_image_sparsify, OURS | CLI_CMD_MUTATES},
    {"image-bitmap", N_("change the dirty bitmaps inside an image"),
     N_("For incremental backups of qcow2 images. What is asked for is done in the order given, "
        "each step whole or not at all."),
     bitmap_options, cli_cmd_image_bitmap, OURS | CLI_CMD_MUTATES},
    {"image-dd", N_("copy a part of an image"),
     N_("count= blocks of bs= bytes (512), from block skip= on, of what the guest sees of if=, "
        "become the new image of=. Numbers may have units, as 1M. The target is made as by "
        "image-create."),
     dd_options, cli_cmd_image_dd, OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {"image-bench", N_("measure how fast an image is read or written"),
     N_("Sends requests through the image's format and tells how long they took. What is read or "
        "written goes through the page cache. With --write the content is overwritten, after "
        "asking, or with --yes."),
     bench_options, cli_cmd_image_bench, OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS},
    {0},
};

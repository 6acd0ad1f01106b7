/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An operation on an image during a fault: how it runs, and how its result is verified.
 * fault_storage.c makes the storage fail, fault_power.c the power, fault_memory.c allocations.
 */
#include "fault_disk.h"

enum { OLD = 0x11, NEW = 0x22 };
/* The range that is written, zeroed or discarded. */
enum { FROM = 150000, LENGTH = 120000 };
enum { GROWN = 1344 * 1024, SHRUNK = 200 * 1024 };

/** The externally visible state of an image. */
typedef struct {
    uint64_t size;
    guint snapshots;
    char notes[512]; /* its bitmaps and options, as text */
    uint8_t bytes[GROWN];
} View;

typedef struct {
    const char *name;
    gboolean (*prepare)(CstImage *image, GError **error); /* NULL: no preparation */
    gboolean (*on_guest)(CstBlob *guest, GError **error);
    gboolean (*on_image)(CstImage *image, GError **error);
    gboolean (*on_disk)(Disk *disk, GError **error); /* one of the three */
    void (*model)(View *view);                       /* old to new; NULL: unspecified */
    gboolean may_lose; /* the range's content is undefined afterwards */
    gboolean at_once;  /* old or new, never some of both */
    gboolean moves_end;
    gboolean late;  /* a failure after the deciding step is reported, although it is done */
    gboolean frees; /* some of the file loses its use */
} Operation;

/** Ends with a row without a name. */
extern const Operation fault_operations[];

/** A case, for messages. */
typedef struct {
    const Variant *variant;
    const Operation *operation;
    const char *kind;
    unsigned nth, seed;
} Case;

/** Ends the test. */
void fail_case(const Case *c, const char *what);

/**
 * Runs an operation from opening to closing. Returns TRUE if it was reported as done and durable.
 * Sets *ret_before to the result of @struck for @data before closing; @struck may be NULL. Closing
 * cannot report a failure.
 */
gboolean run_operation(Disk *disk, const Operation *operation, gboolean (*struck)(gpointer data),
                       gpointer data, gboolean *ret_before, GError **error);

/** Reads the visible state of the image, which must open. */
void look(const Case *c, Disk *disk, View *ret_view);
gboolean is_same(const Operation *operation, const View *a, const View *b);

/**
 * A fixed VHD is recognised by its end alone, which storage that loses writes can't move safely.
 */
gboolean moves_its_only_mark(const Case *c);

/** The image is sound, and is the old or the new one; the new one when the operation is @done. */
void judge(const Case *c, Disk *disk, gboolean done, const View *old, const View *new);

/**
 * Asserts that an operation that failed once with an error can be done now. With @undone it must
 * not be done by now.
 */
void assert_can_go_on(const Case *c, Disk *disk, gboolean undone, const View *old, const View *new);

/** Data and holes, durable; FALSE: the operation's preparation can't be done to this format. */
gboolean prepare(Disk *disk, const Operation *operation);

/** FALSE: the format can't do it at all. */
gboolean play_without_faults(const Case *c, const Disk *ground, const View *old, View *new);

/* Each runs all cases of its kind on copies of @ground, and returns how many there were. */
guint play_faults(Case *c, const Disk *ground, const View *old, const View *new);
guint play_power_cuts(Case *c, const Disk *ground, const View *old, const View *new);
guint play_no_memory(Case *c, const Disk *ground, const View *old, const View *new);

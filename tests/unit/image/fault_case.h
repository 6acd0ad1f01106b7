/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An operation on an image while something fails: how it is run, and how what it leaves is judged.
 * fault_storage.c makes the storage fail, fault_power.c the power, fault_memory.c allocations.
 */
#include "fault_disk.h"

enum { OLD = 0x11, NEW = 0x22 };
/* What is written, zeroed or discarded. */
enum { FROM = 150000, LENGTH = 120000 };
enum { GROWN = 1344 * 1024, SHRUNK = 200 * 1024 };

/** What is seen of an image from outside. */
typedef struct {
    uint64_t size;
    guint snapshots;
    char notes[512]; /* its bitmaps and options, as text */
    uint8_t bytes[GROWN];
} View;

typedef struct {
    const char *name;
    gboolean (*prepare)(CstImage *image, GError **error); /* NULL: nothing */
    gboolean (*on_guest)(CstBlob *guest, GError **error);
    gboolean (*on_image)(CstImage *image, GError **error);
    gboolean (*on_disk)(Disk *disk, GError **error); /* one of the three */
    void (*model)(View *view);                       /* old to new; NULL: it isn't said */
    gboolean may_lose; /* the range's content is anything afterwards */
    gboolean at_once;  /* old or new, never some of both */
    gboolean moves_end;
    gboolean late;  /* what fails after the step that counts is told, though it is done */
    gboolean frees; /* some of the file loses its use */
} Operation;

/** Ends with a row without a name. */
extern const Operation fault_operations[];

/** One case, for messages. */
typedef struct {
    const Variant *variant;
    const Operation *operation;
    const char *kind;
    unsigned nth, seed;
} Case;

/** Ends the test. */
void fail_case(const Case *c, const char *what);

/**
 * Everything from opening to closing; TRUE: it was reported as done and durable. *ret_before says
 * whether what @struck tells of @data (NULL: nothing) had happened before that; what fails while
 * closing has nobody to tell it to.
 */
gboolean run_operation(Disk *disk, const Operation *operation, gboolean (*struck)(gpointer data),
                       gpointer data, gboolean *ret_before, GError **error);

/** What is seen of the image; it must open. */
void look(const Case *c, Disk *disk, View *ret_view);
gboolean is_same(const Operation *operation, const View *a, const View *b);

/**
 * A fixed VHD is recognised by its end alone, which storage that loses writes can't move safely.
 */
gboolean moves_its_only_mark(const Case *c);

/** The image is sound, and is the old or the new one; the new one when the operation is @done. */
void judge(const Case *c, Disk *disk, gboolean done, const View *old, const View *new);

/** What failed for once, and was told, can be done now. @undone: it must not be done by now. */
void assert_can_go_on(const Case *c, Disk *disk, gboolean undone, const View *old, const View *new);

/** Data and holes, durable; FALSE: the operation's preparation can't be done to this format. */
gboolean prepare(Disk *disk, const Operation *operation);

/** FALSE: the format can't do it at all. */
gboolean play_without_faults(const Case *c, const Disk *ground, const View *old, View *new);

/* Each plays all cases of its kind on copies of @ground, and returns how many there were. */
guint play_faults(Case *c, const Disk *ground, const View *old, const View *new);
guint play_power_cuts(Case *c, const Disk *ground, const View *old, const View *new);
guint play_no_memory(Case *c, const Disk *ground, const View *old, const View *new);

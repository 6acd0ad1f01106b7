/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/volumes.h>

#include "core/job.h"

/**
 * Operations of a write stream. The kinds differ in their destination: the stored bytes of a volume
 * (upload.c), the content of a new one (receive.c), or a part of an existing one (patch.c). The
 * first failure of write, hole or finish ends the job.
 */
typedef struct {
    gboolean (*write)(CstUpload *upload, const void *data, size_t len, GError **error);
    gboolean (*hole)(CstUpload *upload, uint64_t length, GError **error);
    gboolean (*finish)(CstUpload *upload, GError **error);
    void (*ends)(CstUpload *upload);
    /** Releases all resources. Called after finish, or instead of it. */
    void (*close)(CstUpload *upload);
} UploadClass;

/** The first member of each kind's own struct. */
struct CstUpload {
    const UploadClass *class;
    CstPool *pool; /* a reference; emits an event after the upload */
    Job job;
    CstTask *task; /* the job's task; a reference, because the job drops its own when it ends */
    CstUploadEnd on_end; /* NULL: not set, or already called */
    gpointer on_end_data;
};

/**
 * Begins the job of an upload. @upload is zeroed except for the members of its kind. A later
 * failure ends the job with its error.
 */
void upload_begin(CstUpload *upload, const UploadClass *class, CstPool *pool, const char *operation,
                  const char *name, CstTask *task);
/**
 * Returns @upload if @ok is TRUE. Else ends its job with *error, frees it and returns NULL. For the
 * end of the opening functions.
 */
CstUpload *upload_opened(CstUpload *upload, gboolean ok, GError **error);

/**
 * Ends the job of a stream with the error of a step if @ok is FALSE. Later errors do not change the
 * job's result. Returns @ok.
 */
gboolean stream_step(Job *job, gboolean ok, GError **error);
/** Ends the job of a stream that was not finished. Does nothing if it has ended. */
void stream_job_end(Job *job, const char *why);

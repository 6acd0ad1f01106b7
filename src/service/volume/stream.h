/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/volumes.h>

#include "core/job.h"

/**
 * What comes in piece by piece. What is done with it differs: it goes into a volume as its bytes
 * (upload.c), or becomes the content of a new one (receive.c). The first failure of any of these
 * ends the job.
 */
typedef struct {
    gboolean (*write)(CstUpload *upload, const void *data, size_t len, GError **error);
    gboolean (*hole)(CstUpload *upload, uint64_t length, GError **error);
    gboolean (*finish)(CstUpload *upload, GError **error);
    void (*ends)(CstUpload *upload);
    /** Gives everything back; after a finish, or instead of one. */
    void (*close)(CstUpload *upload);
} UploadClass;

/** The beginning of each kind's own struct. */
struct CstUpload {
    const UploadClass *class;
    CstPool *pool; /* a reference: to tell who watches it when the upload is over */
    Job job;
    CstTask *task; /* the job's, a reference: the job drops its own when it ends */
};

/**
 * Begins the job of an upload, which is zeroed but for what its kind knows. Whatever fails from
 * here on ends the job with that error.
 */
void upload_begin(CstUpload *upload, const UploadClass *class, CstPool *pool, const char *operation,
                  const char *name, CstTask *task);
/**
 * Passes @upload on, or frees it when @ok is FALSE: then *error is how its job ended. For the end
 * of opening one.
 */
CstUpload *upload_opened(CstUpload *upload, gboolean ok, GError **error);

/** Ends the job of a stream with the error of a step; later errors don't change how it ended. */
gboolean stream_step(Job *job, gboolean ok, GError **error);
/** Ends the job of a stream that was not finished. Without effect when it has ended. */
void stream_job_end(Job *job, const char *why);

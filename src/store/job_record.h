/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/job_files.h>

/**
 * The content of a job's file: a fixed-size record in host byte order. Change the magic together
 * with the layout, so that processes of another version ignore the file.
 */

#define JOB_MAGIC "cistern job 2\n"

/** Written by the worker only. Texts are UTF-8, truncated between characters, NUL-terminated. */
typedef struct {
    uint32_t state; /**< CstJobState */
    uint32_t can_cancel;
    uint32_t uid;
    int32_t pid;
    int64_t started;
    int64_t ended;
    uint64_t done;
    uint64_t total;
    uint64_t rate;
    uint64_t limit;
    char kind[32];
    char pool[256];
    char volume[256];
    char error_word[32];
    char error[1024];
    char resume[1024];
    uint32_t attempt;
    uint32_t reserved;
} JobStatus;

/** Written by other processes, read by the worker. */
typedef struct {
    uint64_t limit;
    uint32_t cancel;
    uint32_t reserved;
} JobRequests;

/** The whole file. The status and each request are written with one system call. */
typedef struct {
    char magic[16];
    JobStatus status;
    JobRequests requests;
} JobRecord;

/** Fills @status from @job. Texts that are too long are truncated. */
void job_record_fill(JobStatus *status, const CstJobInfo *job);
/** Overwrites the status in the file. */
gboolean job_record_write(int fd, const JobStatus *status, GError **error);
/** Reads the whole record. Returns FALSE if the file is not a job's, or has another version. */
gboolean job_record_read(int fd, JobRecord *record);
/** Returns the job that a record describes; owned by the caller. */
CstJobInfo *job_record_info(uint64_t id, const JobRecord *record);

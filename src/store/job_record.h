/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/job_files.h>

/** What is in a job's file. A process of another version does not read it: the magic is bumped. */

#define JOB_MAGIC "cistern job 2\n"

typedef struct {
    uint32_t state;
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

/** Written by others than the one who does the job. */
typedef struct {
    uint64_t limit;
    uint32_t cancel;
    uint32_t reserved;
} JobRequests;

/** The file. Its parts are read and written whole. */
typedef struct {
    char magic[16];
    JobStatus status;
    JobRequests requests;
} JobRecord;

void job_record_fill(JobStatus *status, const CstJobInfo *job);
gboolean job_record_write(int fd, const JobStatus *status, GError **error);
/** FALSE: it is not one of ours. */
gboolean job_record_read(int fd, JobRecord *record);
CstJobInfo *job_record_info(uint64_t id, const JobRecord *record);

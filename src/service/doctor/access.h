/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run.h"

/** The use of a file by QEMU. */
typedef enum {
    DOCTOR_DISK,   /**< a disk: it is read and written */
    DOCTOR_BASE,   /**< a volume on which other images are based: it is read */
    DOCTOR_BACKING /**< a backing file or data file below a disk: it is read */
} DoctorUse;

/**
 * Checks whether QEMU's user can open the file at @path: the directories on the way to it, its
 * rights, its attributes and its mount. Reports nothing about a file that does not exist. The
 * caller knows that its storage answers.
 */
void doctor_check_access(DoctorRun *run, const char *object, const char *path, DoctorUse use);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/** The state of the fake libvirt.so.0 (fake.c), for its other files. */

struct _virConnect {
    GKeyFile *state;
    char *lost; /**< why the connection has failed; NULL: it has not */
};

struct _virDomain {
    virConnectPtr conn;
    char *group; /**< of the state */
};

/** Returns the state, which the process reads once. */
GKeyFile *fake_state(void);
/** Logs the call, and applies the action of the state. Returns FALSE if the call fails. */
gboolean fake_enter(const char *call);
/** Applies the action at the end of a call. */
void fake_leave(const char *call);
/** Likewise. Returns 0, or -1 if the connection is lost. */
int fake_result(const char *call);
/** Whether the connection has failed. */
gboolean fake_is_lost(void);
/** Drops the events before the next registration (fake_pause.c). */
void fake_forget_events(void);
/** Sets the last error. */
void fake_fail(int code, int number, const char *message);
void fake_log(const char *call);
/** Returns a text of a domain, which the caller frees; NULL: not set. */
char *fake_text(virDomainPtr domain, const char *key);

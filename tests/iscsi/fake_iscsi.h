/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/* A target in memory. Its members are set by tests, while no command is under way. */

typedef struct {
    uint64_t blocks;
    uint32_t block_size;
    gboolean thin;
    char serial; /* its designator */
    uint8_t *data;
    uint8_t *mapped; /* one byte a block */
} FakeUnit;

#define FAKE_LUNS 4

typedef struct {
    FakeUnit units[FAKE_LUNS]; /* by LUN; without blocks: there is none */

    /* what goes wrong */
    gboolean silent;          /* commands and pings get no answer */
    uint8_t quiet;            /* commands with this opcode get no answer; 0: all do */
    gboolean deaf;            /* logins neither */
    gint lose_after;          /* the connection is lost after so many commands; 0: never */
    uint8_t refuse;           /* this opcode is not known */
    uint16_t attention;       /* of the next command, with this code; 0: none */
    gboolean elsewhere;       /* but only of one to LUN 0 */
    const char *away;         /* a portal that does not let anybody in */
    const char *password;     /* that is asked for; NULL: none */
    gboolean admits_all;      /* it chooses no authentication */
    uint8_t fail_opcode, key; /* this opcode fails with this key and code */
    uint16_t ascq;
    gint shorten; /* reads give so many bytes less */

    /* what was seen */
    gint logins, logouts, pings;
    gint commands[256]; /* by opcode */
    gint most;          /* commands under way at a time */
    char portal[64];    /* of the last login */
    gboolean wiped;     /* the password was overwritten before the first command */
} FakeTarget;

extern FakeTarget fake;

/** A target without units or faults. */
void fake_reset(void);
/** Puts a unit behind @lun. */
FakeUnit *fake_unit(unsigned lun, uint64_t blocks, uint32_t block_size, gboolean thin);

/** Does what the command says. Returns the status; *ret_key and *ret_ascq for a check condition. */
int fake_execute(unsigned lun, const uint8_t *cdb, uint8_t *buf, uint32_t len, uint8_t *ret_key,
                 uint16_t *ret_ascq, uint32_t *ret_got);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the processes of this module that are this program with other arguments. */
#include <hypervisor/hypervisor.h>

#include <string.h>

#include "backup_keeper.h"
#include "backup_protocol.h"
#include "block_keeper.h"
#include "block_protocol.h"
#include "helper.h"
#include "pause_watchdog.h"
#include "qmp_helper.h"
#include "qmp_protocol.h"

static gboolean main_has_helper; /* set before threads start */

gboolean hypervisor_has_helper(void)
{
    return main_has_helper;
}

void cst_hypervisor_run_helper(int argc, char **argv)
{
    main_has_helper = TRUE;
    if (argc >= 2 && strcmp(argv[1], HYPERVISOR_HELPER) == 0)
        helper_main(argc, argv);
    if (argc >= 2 && strcmp(argv[1], HYPERVISOR_PAUSE) == 0)
        pause_watchdog_main(argc, argv);
    if (argc >= 2 && strcmp(argv[1], HYPERVISOR_BACKUP) == 0)
        backup_keeper_main(argc, argv);
    if (argc >= 2 && strcmp(argv[1], HYPERVISOR_BLOCK) == 0)
        block_keeper_main(argc, argv);
    if (argc >= 2 && strcmp(argv[1], HYPERVISOR_QMP) == 0)
        qmp_helper_main(argc, argv);
}

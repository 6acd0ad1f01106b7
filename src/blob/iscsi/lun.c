/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The properties of a target's LUNs. The queries about some dozens of LUNs are sent together, so
 * that they last as long as the queries about one.
 */
#include "initiator.h"

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

/* Number of LUNs that are queried in parallel. */
#define LUNS_AT_ONCE 64
/* Maximum number of queries for the runs of a LUN. */
#define MEASURES_MAX 128

/* --- list of LUNs ----------------------------------------------------------------------------- */

static gboolean ask_list(CstIscsi *iscsi, uint8_t *buf, uint32_t len, uint32_t *ret_got,
                         GError **error)
{
    CstIscsiRequest request = {.command = cst_scsi_report_luns(len), .buf = buf};

    if (!cst_iscsi_run(iscsi, &request, 1, error))
        return FALSE;
    /* This command clears the unit attention about changed LUNs, so a new epoch begins here. */
    cst_iscsi_next_epoch(iscsi);
    *ret_got = request.got;
    return cst_scsi_good(&request.sense) ||
           cst_scsi_fail(error, &request.sense, _("cannot list the LUNs"));
}

static gint compare_numbers(gconstpointer a, gconstpointer b)
{
    return (gint) * (const uint16_t *)a - (gint) * (const uint16_t *)b;
}

/* Removes duplicates, because a target may list a LUN twice. */
static void sort_once(GArray *numbers)
{
    guint kept = 0;

    g_array_sort(numbers, compare_numbers);
    for (guint i = 0; i < numbers->len; i++) {
        uint16_t number = g_array_index(numbers, uint16_t, i);

        if (kept == 0 || g_array_index(numbers, uint16_t, kept - 1) != number)
            g_array_index(numbers, uint16_t, kept++) = number;
    }
    g_array_set_size(numbers, kept);
}

gboolean cst_iscsi_list_luns(CstIscsi *iscsi, GArray *numbers, GError **error)
{
    uint32_t len = 8 + 8 * 256;

    /* The list may grow between two queries. */
    for (guint i = 0; i < 4; i++) {
        g_autofree uint8_t *buf = cst_alloc0(len, 1, _("the list of LUNs"), error);
        uint32_t got = 0;
        uint64_t whole;

        if (!buf || !ask_list(iscsi, buf, len, &got, error))
            return FALSE;
        g_array_set_size(numbers, 0);
        whole = cst_scsi_parse_luns(buf, got, numbers);
        if (whole == 0)
            return cst_fail(error, CST_ERROR_CORRUPT, _("the target's list of LUNs is malformed"));
        if (whole <= len) {
            sort_once(numbers);
            return TRUE;
        }
        if (whole > 8 + 8 * (uint64_t)CST_ISCSI_LUNS_MAX)
            return cst_fail(error, CST_ERROR_LIMIT,
                            _("the target lists %" PRIu64 " LUNs, more than %d"), whole / 8 - 1,
                            CST_ISCSI_LUNS_MAX);
        len = (uint32_t)whole;
    }
    return cst_fail(error, CST_ERROR_CORRUPT, _("the target's list of LUNs has no end"));
}

/* --- properties ------------------------------------------------------------------------------- */

enum {
    ASK_INQUIRY,
    ASK_CAPACITY16,
    ASK_CAPACITY10,
    ASK_DESIGNATORS,
    ASK_LIMITS,
    ASK_PROVISIONING,
    QUESTIONS
};

typedef struct {
    uint8_t inquiry[36];
    uint8_t capacity16[32];
    uint8_t capacity10[8];
    uint8_t designators[1024];
    uint8_t limits[64];
    uint8_t provisioning[64];
} Answers;

static void lun_ask(CstIscsiRequest *requests, uint16_t lun, Answers *answers)
{
    const CstIscsiRequest questions[QUESTIONS] = {
        [ASK_INQUIRY] = {.command = cst_scsi_inquiry(sizeof(answers->inquiry)),
                         .buf = answers->inquiry},
        [ASK_CAPACITY16] = {.command = cst_scsi_read_capacity16(), .buf = answers->capacity16},
        [ASK_CAPACITY10] = {.command = cst_scsi_read_capacity10(), .buf = answers->capacity10},
        [ASK_DESIGNATORS] = {.command = cst_scsi_inquiry_page(0x83, sizeof(answers->designators)),
                             .buf = answers->designators},
        [ASK_LIMITS] = {.command = cst_scsi_inquiry_page(0xb0, sizeof(answers->limits)),
                        .buf = answers->limits},
        [ASK_PROVISIONING] = {.command = cst_scsi_inquiry_page(0xb2, sizeof(answers->provisioning)),
                              .buf = answers->provisioning},
    };

    for (guint i = 0; i < QUESTIONS; i++) {
        requests[i] = questions[i];
        requests[i].lun = lun;
    }
}

static gboolean is_good(const CstIscsiRequest *request)
{
    return cst_scsi_good(&request->sense);
}

/* Old targets support only the short command, which is limited to 2 TiB. */
static gboolean take_size(const CstIscsiRequest *requests, CstIscsiLun *lun, GError **error)
{
    const CstIscsiRequest *capacity = &requests[ASK_CAPACITY16];

    if (is_good(capacity))
        return cst_scsi_parse_capacity16(capacity->buf, capacity->got, &lun->unit, error);
    if (cst_scsi_unknown(&capacity->sense) && is_good(&requests[ASK_CAPACITY10]))
        return cst_scsi_parse_capacity10(requests[ASK_CAPACITY10].buf, requests[ASK_CAPACITY10].got,
                                         &lun->unit, error);
    return cst_scsi_fail(error, &capacity->sense, _("cannot read the size of LUN %u"), lun->lun);
}

static void take_answers(const CstIscsiRequest *requests, CstIscsiLun *lun)
{
    const CstIscsiRequest *inquiry = &requests[ASK_INQUIRY];
    CstScsiUnit *unit = &lun->unit;

    if (!is_good(inquiry)) {
        lun->exists = !cst_scsi_no_unit(&inquiry->sense) && !cst_scsi_unknown(&inquiry->sense);
        cst_scsi_fail(&lun->error, &inquiry->sense, _("INQUIRY failed for LUN %u"), lun->lun);
        return;
    }
    if (!cst_scsi_parse_inquiry(inquiry->buf, inquiry->got, unit)) {
        lun->exists = TRUE;
        cst_fail(&lun->error, CST_ERROR_CORRUPT, _("INQUIRY failed for LUN %u"), lun->lun);
        return;
    }
    lun->exists = unit->connected;
    if (unit->type != CST_SCSI_DISK && unit->type != CST_SCSI_OPTICAL)
        return;
    if (!take_size(requests, lun, &lun->error))
        return;
    if (is_good(&requests[ASK_DESIGNATORS]))
        cst_scsi_parse_designators(requests[ASK_DESIGNATORS].buf, requests[ASK_DESIGNATORS].got,
                                   unit);
    if (is_good(&requests[ASK_LIMITS]))
        cst_scsi_parse_limits(requests[ASK_LIMITS].buf, requests[ASK_LIMITS].got, unit);
    if (unit->thin && is_good(&requests[ASK_PROVISIONING]))
        cst_scsi_parse_provisioning(requests[ASK_PROVISIONING].buf, requests[ASK_PROVISIONING].got,
                                    unit);
}

static gboolean look_at_some(CstIscsi *iscsi, CstIscsiLun *luns, guint count, GError **error)
{
    g_autofree Answers *answers = g_new0(Answers, count);
    g_autofree CstIscsiRequest *requests = g_new0(CstIscsiRequest, count * QUESTIONS);
    uint64_t epoch = cst_iscsi_epoch(iscsi);

    for (guint i = 0; i < count; i++)
        lun_ask(&requests[i * QUESTIONS], luns[i].lun, &answers[i]);
    if (!cst_iscsi_run(iscsi, requests, count * QUESTIONS, error))
        return FALSE;
    CST_TEST_POINT("iscsi.look.answered");
    for (guint i = 0; i < count; i++) {
        cst_iscsi_lun_clear(&luns[i]);
        luns[i].unit = (CstScsiUnit){0};
        luns[i].epoch = epoch;
        take_answers(&requests[i * QUESTIONS], &luns[i]);
        luns[i].allocated = luns[i].unit.blocks * luns[i].unit.block_size;
    }
    return TRUE;
}

void cst_iscsi_lun_clear(CstIscsiLun *lun)
{
    g_clear_error(&lun->error);
}

/*
 * The epoch is read before the queries: a change in between begins another epoch, in which users of
 * the LUN have to read the properties again.
 */
gboolean cst_iscsi_look(CstIscsi *iscsi, CstIscsiLun *luns, guint count, GError **error)
{
    for (guint done = 0; done < count; done += LUNS_AT_ONCE)
        if (!look_at_some(iscsi, luns + done, MIN(count - done, LUNS_AT_ONCE), error))
            return FALSE;
    return TRUE;
}

/* --- allocated space -------------------------------------------------------------------------- */

/* A LUN that is being measured: all blocks before @next are counted. */
typedef struct {
    CstIscsiLun *lun;
    uint64_t next, mapped; /* blocks */
    uint8_t answer[CST_SCSI_STATUS_LENGTH];
} Measure;

static void count_runs(Measure *measure, const GArray *runs)
{
    for (guint i = 0; i < runs->len; i++) {
        const CstScsiRun *run = &g_array_index(runs, CstScsiRun, i);

        if (run->mapped)
            measure->mapped += run->end - run->block;
        measure->next = run->end;
    }
}

/* FALSE: the measurement of this LUN is complete. */
static gboolean take_measure(Measure *measure, const CstIscsiRequest *request)
{
    g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(CstScsiRun));
    const CstScsiUnit *unit = &measure->lun->unit;

    if (!is_good(request) || !cst_scsi_parse_lba_status(measure->answer, request->got,
                                                        measure->next, unit->blocks, runs, NULL))
        return FALSE;
    count_runs(measure, runs);
    measure->lun->allocated = (measure->mapped + unit->blocks - measure->next) * unit->block_size;
    return measure->next < unit->blocks;
}

/* Sends one query for each LUN that is not complete. *count is the number of remaining LUNs. */
static gboolean measure_once(CstIscsi *iscsi, Measure *measures, guint *count, GError **error)
{
    g_autofree CstIscsiRequest *requests = g_new0(CstIscsiRequest, *count);
    guint kept = 0;

    for (guint i = 0; i < *count; i++)
        requests[i] = (CstIscsiRequest){
            .command = cst_scsi_lba_status(measures[i].next, sizeof(measures[i].answer)),
            .lun = measures[i].lun->lun,
            .buf = measures[i].answer};
    if (!cst_iscsi_run(iscsi, requests, *count, error))
        return FALSE;
    for (guint i = 0; i < *count; i++)
        if (take_measure(&measures[i], &requests[i]))
            measures[kept++] = measures[i];
    *count = kept;
    return TRUE;
}

static gboolean measure_some(CstIscsi *iscsi, CstIscsiLun *luns, guint count, GError **error)
{
    g_autofree Measure *measures = g_new0(Measure, count);
    guint left = 0;

    for (guint i = 0; i < count; i++)
        if (luns[i].exists && !luns[i].error && luns[i].unit.thin)
            measures[left++].lun = &luns[i];
    for (guint i = 0; left > 0 && i < MEASURES_MAX; i++)
        if (!measure_once(iscsi, measures, &left, error))
            return FALSE;
    return TRUE;
}

gboolean cst_iscsi_measure(CstIscsi *iscsi, CstIscsiLun *luns, guint count, GError **error)
{
    for (guint done = 0; done < count; done += LUNS_AT_ONCE)
        if (!measure_some(iscsi, luns + done, MIN(count - done, LUNS_AT_ONCE), error))
            return FALSE;
    return TRUE;
}

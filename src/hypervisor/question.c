/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The encoding of questions, and the decoding of answers. An answer is checked before it is used:
 * its type, the range of each number, and the lengths of its lists. GVariant checks that each text
 * is valid UTF-8.
 */
#include "question.h"

GBytes *hypervisor_question_encode(const HypervisorQuestion *question)
{
    static const CstHypervisorDisk no_disk = {.uuid = "", .target = "", .format = ""};
    static const CstHypervisorVolume no_volume = {.pool = "", .volume = ""};
    static const HypervisorDefinition no_definition = {.name = "", .uuid = "", .document = ""};
    const CstHypervisorDisk *disk = question->disk ? question->disk : &no_disk;
    const CstHypervisorVolume *volume = question->volume ? question->volume : &no_volume;
    const HypervisorDefinition *definition =
        question->definition ? question->definition : &no_definition;
    g_autoptr(GVariant) encoded = g_variant_ref_sink(g_variant_new(
        HYPERVISOR_QUESTION, (guint32)question->kind, volume->has_file, volume->is_device,
        (guint64)volume->device, (guint64)volume->inode, volume->pool ? volume->pool : "",
        volume->volume ? volume->volume : "", disk->change, disk->uuid, disk->target, disk->format,
        (guint64)disk->bytes, disk->is_empty, question->domain ? question->domain : "",
        definition->name, definition->uuid, definition->document));

    return g_variant_get_data_as_bytes(encoded);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Consumes the next row of the answer. Returns FALSE if a number is out of its range. */
static gboolean answer_add_row(GPtrArray *disks, const char *uri, GVariant *row)
{
    CstDomainDisk *disk = g_new0(CstDomainDisk, 1);
    guint32 state, agent, level;

    g_variant_get(row, HYPERVISOR_ROW, &disk->domain, &disk->uuid, &disk->target, &state, &agent,
                  &disk->reads_only, &disk->shareable, &level, &disk->by_name);
    disk->uri = g_strdup(uri);
    disk->state = (CstDomainState)state;
    disk->agent = (CstDomainAgent)agent;
    disk->level = level;
    g_ptr_array_add(disks, disk);
    return state < CST_DOMAIN_STATE_LAST && agent < CST_DOMAIN_AGENT_LAST &&
           level < CST_DOMAIN_LAYERS_MAX;
}

static gboolean answer_add_rows(GPtrArray *disks, const char *uri, GVariant *rows)
{
    gsize count = g_variant_n_children(rows);
    gboolean valid = count <= HYPERVISOR_ROWS_MAX;

    for (gsize i = 0; valid && i < count; i++) {
        g_autoptr(GVariant) row = g_variant_get_child_value(rows, i);

        valid = answer_add_row(disks, uri, row);
    }
    return valid;
}

static char *answer_optional_text(const char *text)
{
    return *text ? g_strdup(text) : NULL;
}

static void answer_add_drive(CstDomain *domain, GVariant *row)
{
    CstDomainDrive *drive = g_new0(CstDomainDrive, 1);
    const char *path, *pool, *volume;

    g_variant_get(row, "(s&s&s&sbb)", &drive->target, &path, &pool, &volume, &drive->reads_only,
                  &drive->shareable);
    drive->path = answer_optional_text(path);
    drive->pool = answer_optional_text(pool);
    drive->volume = answer_optional_text(volume);
    g_ptr_array_add(domain->drives, drive);
}

static gboolean answer_add_domain(GPtrArray *domains, const char *uri, GVariant *row)
{
    CstDomain *domain = cst_domain_new();
    g_autoptr(GVariant) drives = NULL;
    guint32 state, agent;
    gsize count;

    g_ptr_array_add(domains, domain);
    g_variant_get(row, "(ssuus@a" HYPERVISOR_DRIVE ")", &domain->name, &domain->uuid, &state,
                  &agent, &domain->document, &drives);
    domain->uri = g_strdup(uri);
    domain->state = (CstDomainState)state;
    domain->agent = (CstDomainAgent)agent;
    count = g_variant_n_children(drives);
    for (gsize i = 0; count <= CST_DOMAIN_LAYERS_MAX && i < count; i++) {
        g_autoptr(GVariant) drive = g_variant_get_child_value(drives, i);

        answer_add_drive(domain, drive);
    }
    return count <= CST_DOMAIN_LAYERS_MAX && state < CST_DOMAIN_STATE_LAST &&
           agent < CST_DOMAIN_AGENT_LAST;
}

static gboolean answer_add_domains(GPtrArray *domains, const char *uri, GVariant *rows)
{
    gsize count = g_variant_n_children(rows);
    gboolean valid = count <= (domains ? HYPERVISOR_DOMAINS_MAX : 0);

    for (gsize i = 0; valid && i < count; i++) {
        g_autoptr(GVariant) row = g_variant_get_child_value(rows, i);

        valid = answer_add_domain(domains, uri, row);
    }
    return valid;
}

gboolean hypervisor_answer_decode(GBytes *bytes, const char *uri, HypervisorAnswer *ret_answer,
                                  HypervisorOutcome *ret_outcome, char **ret_message)
{
    g_autoptr(GVariant) answer = g_variant_ref_sink(
        g_variant_new_from_bytes(G_VARIANT_TYPE(HYPERVISOR_ANSWER), bytes, FALSE));
    g_autoptr(GVariant) rows = NULL, domains = NULL;
    guint32 outcome = HYPERVISOR_OUTCOME_LAST, fitness = 0;
    guint64 capacity = 0;

    *ret_message = NULL;
    if (!g_variant_is_normal_form(answer))
        return FALSE;
    g_variant_get(answer, "(us@a" HYPERVISOR_ROW "ut@a" HYPERVISOR_DOMAIN ")", &outcome,
                  ret_message, &rows, &fitness, &capacity, &domains);
    *ret_outcome = (HypervisorOutcome)outcome;
    if (outcome != HYPERVISOR_ANSWERED)
        return outcome < HYPERVISOR_OUTCOME_LAST;
    ret_answer->answered = TRUE;
    ret_answer->fitness = (CstDiskFitness)fitness;
    ret_answer->capacity = capacity;
    return fitness < CST_DISK_FITNESS_LAST && capacity <= G_MAXINT64 &&
           answer_add_rows(ret_answer->disks, uri, rows) &&
           answer_add_domains(ret_answer->domains, uri, domains);
}

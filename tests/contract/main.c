/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include <base/child.h>

/*
 * usage: contract GROUND [PATTERN]     only tests whose name contains PATTERN
 *
 * Runs all tests on one ground; the output is TAP with CMOCKA_MESSAGE_OUTPUT=TAP. A ground that
 * can't be used on this machine is skipped (77) with the reason, a test that the ground's
 * technology can't do by its name.
 */

static const Ground *ground;
static const ContractTest *const tables[] = {
    lifecycle_tests, volume_tests, relation_tests, snapshot_tests, drafted_tests,
    planned_tests,   moved_tests,  history_tests,  renamed_tests,  trashed_tests,
    limit_tests,     served_tests, fixed_tests,    verb_tests,     random_tests};

/* cmocka gives a test its state and nothing else: which test it is comes by its place in a list. */
typedef struct {
    const Ground *ground;
    void (*run)(Site *site); /* NULL: left out */
} Case;

static int case_set_up(void **state)
{
    Case *this_one = *state;
    void *site = (void *)this_one->ground;
    int result;

    *state = NULL;
    if (!this_one->run)
        return 0;
    result = site_set_up(&site);
    *state = site;
    ((Site *)site)->run = this_one->run;
    return result;
}

static void case_run(void **state)
{
    Site *site = *state;

    if (site)
        site->run(site);
    else
        skip();
}

static int case_tear_down(void **state)
{
    return *state ? site_tear_down(state) : 0;
}

/* It begins with a volume of its own, where there is none to be made. */
static gboolean is_left_out(const ContractTest *test)
{
    return (ground->flags & GROUND_FIXED) && !(test->needs & GROUND_FIXED);
}

/* @possible FALSE: left out, by its name. */
static void add_case(GPtrArray *cases, const ContractTest *test, const char *pattern,
                     gboolean possible)
{
    gboolean can = (test->needs & ~ground->flags) == 0;
    void (*run)(Site *) = can ? test->run : test->refused;
    struct CMUnitTest *row;
    Case *this_one;

    if (!possible || is_left_out(test))
        run = NULL;
    else if (!run)
        return;
    if (!strstr(test->name, pattern))
        return;
    this_one = g_new(Case, 1);
    *this_one = (Case){ground, run};
    row = g_new0(struct CMUnitTest, 1);
    row->name =
        g_strdup_printf("%s: %s%s", ground->name, test->name, can ? "" : ": where it can't");
    row->test_func = case_run;
    row->setup_func = case_set_up;
    row->teardown_func = case_tear_down;
    row->initial_state = this_one;
    g_ptr_array_add(cases, row);
}

static GPtrArray *collect(const char *pattern)
{
    GPtrArray *cases = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        for (const ContractTest *test = tables[i]; test->name; test++)
            add_case(cases, test, pattern, tables[i] != verb_tests || verbs_possible(ground));
    for (const ContractTest *test = ground->own_tests; test && test->name; test++)
        add_case(cases, test, pattern, TRUE);
    return cases;
}

/* Names of the abilities that a technology may lack. */
static const struct {
    unsigned flag;
    const char *words;
} abilities[] = {
    {GROUND_RESIZES, "make a volume larger or smaller"},
    {GROUND_GROWS_BY_WRITE, "write behind the end of a volume"},
    {GROUND_SNAPSHOTS, "have snapshots of a volume"},
    {GROUND_DIRECTORIES, "have a directory as a volume"},
    {GROUND_RENAMES, "give a volume another name"},
    {GROUND_TRASH, "keep deleted volumes"},
};

static void tell_lacks(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(abilities); i++)
        if (!(ground->flags & abilities[i].flag))
            printf("# %s can't %s\n", ground->name, abilities[i].words);
}

static int run(const char *pattern)
{
    GPtrArray *cases = collect(pattern);
    g_autofree struct CMUnitTest *rows = g_new0(struct CMUnitTest, cases->len);
    int failed;

    for (guint i = 0; i < cases->len; i++)
        rows[i] = *(struct CMUnitTest *)cases->pdata[i];
    tell_lacks();
    failed = _cmocka_run_group_tests(ground->name, rows, cases->len, NULL, NULL);
    for (guint i = 0; i < cases->len; i++) {
        g_free((char *)rows[i].name);
        g_free(rows[i].initial_state);
        g_free(cases->pdata[i]);
    }
    g_ptr_array_unref(cases);
    return failed ? 1 : 0;
}

static int run_on_ground(const char *pattern)
{
    g_autofree char *dir = g_dir_make_tmp("cistern-ground-XXXXXX", NULL);
    const char *argv[] = {"rm", "-rf", dir, NULL};
    CstChild child = {.argv = argv};
    g_auto(CstChildResult) result = {0};
    g_autofree char *missing = ground->set_up(dir);
    int status = missing ? 77 : run(pattern);

    if (missing)
        printf("%s: skipped: %s\n", ground->name, missing);
    ground->tear_down();
    cst_child_run(&child, NULL, &result, NULL);
    return status;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && grounds[i]; i++)
        if (strcmp(grounds[i]->name, argv[1]) == 0)
            ground = grounds[i];
    if (!ground) {
        fprintf(stderr, "usage: %s GROUND [PATTERN], where GROUND is one of:", argv[0]);
        for (size_t i = 0; grounds[i]; i++)
            fprintf(stderr, " %s", grounds[i]->name);
        fputc('\n', stderr);
        return 2;
    }
    return run_on_ground(argc > 2 ? argv[2] : "");
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <base/error.h>

#include "core/parse.h"
#include "groups.h"

static const CliConfig no_config;

/** "command name=value …" of the only command, or the error's text in braces. */
static char *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) commands = cli_parse_string(cli_groups(), &no_config, text, &error);
    g_autoptr(GString) seen = NULL;
    const CliArgs *args;

    if (!commands) {
        assert_int_equal(error->code, CST_ERROR_USAGE);
        return g_strdup_printf("{%s}", error->message);
    }
    assert_int_equal(commands->len, 1);
    args = g_ptr_array_index(commands, 0);
    seen = g_string_new(args->command->name);
    for (guint i = 0; i < args->items->len; i++) {
        const CliArg *item = &g_array_index(args->items, CliArg, i);

        g_string_append_printf(seen, " %s%s%s", item->option->name, item->value ? "=" : "",
                               item->value ? item->value : "");
    }
    return g_string_free(g_steal_pointer(&seen), FALSE);
}

static void check(const char *text, const char *expected)
{
    g_autofree char *got = parse(text);

    assert_string_equal(got, expected);
}

static void values_are_named_or_positional(void **state)
{
    check("pool-info p", "pool-info pool=p");
    check("pool-info --pool p", "pool-info pool=p");
    check("pool-info --pool=p --bytes", "pool-info pool=p bytes");
    check("pool-info --bytes p", "pool-info bytes pool=p");
    check("pool-define-as x dir h p", "pool-define-as name=x type=dir source-host=h source-path=p");
    check("pool-define-as --target /t dir x", "pool-define-as target=/t name=dir type=x");
    check("pool-info --pool=a=b", "pool-info pool=a=b");
}

static void named_only_options_accept_no_plain_word(void **state)
{
    check("pool-dumpxml p //x", "{unexpected data '//x'}");
    check("pool-dumpxml p --xpath //x", "pool-dumpxml pool=p xpath=//x");
}

static void two_words_name_one_command(void **state)
{
    check("pool list --all", "pool-list all");
    check("pool define-as x dir", "pool-define-as name=x type=dir");
    check("pool nosuch", "{unknown command: 'pool'}");
}

static void double_dash_ends_options(void **state)
{
    check("pool-info -- --bytes", "pool-info pool=--bytes");
    check("pool-list -- dir", "pool-list type=dir");
    check("pool-info -p", "pool-info pool=-p");
    check("pool-info ---p", "pool-info pool=---p");
}

static void mistakes_are_named_as_virsh_names_them(void **state)
{
    check("nosuch", "{unknown command: 'nosuch'}");
    check("pool-info", "{command 'pool-info' requires <pool> option}");
    check("pool-define-as", "{command 'pool-define-as' requires <name> option\n"
                            "command 'pool-define-as' requires <type> option}");
    check("pool-info p x", "{unexpected data 'x'}");
    check("pool-info --pool", "{expected syntax: --pool <string>}");
    check("pool-event --timeout", "{expected syntax: --timeout <number>}");
    check("pool-info --nosuch p", "{command 'pool-info' doesn't support option --nosuch}");
    check("pool-info p --pool q", "{option --pool already seen}");
    check("pool-info p --bytes=1", "{invalid '=' after option --bytes}");
}

/* In commands of Cistern, a word is not assigned to an option that is named later. */
static void words_leave_options_alone_that_are_named_later(void **state)
{
    check("backup-create a b --repo r --tag --repo", "backup-create vol=a vol=b repo=r tag=--repo");
    check("backup-create a --repo=r", "backup-create vol=a repo=r");
    check("backup-create r a -- --repo=x", "backup-create repo=r vol=a vol=--repo=x");
    check("backup-create r a --repo-x", "{command 'backup-create' doesn't support option --repo-x; "
                                        "did you mean --repo?}");
    check("backup-create --repo r --repo q", "{option --repo already seen}");
}

/* Commands that virsh does not have treat every word as an object. */
static void plain_words_after_an_alias_are_volumes_and_not_the_pool(void **state)
{
    check("vol-delete a p b c/d", "vol-delete vol=a pool=p further=b further=c/d");
    check("rm a p b c/d", "vol-delete vol=a further=p further=b further=c/d");
    check("rm a b --pool p", "vol-delete vol=a further=b pool=p");
}

static void lists_with_commas_may_be_given_again(void **state)
{
    check("vol-convert v w -O raw -o a=1 --options b=2 -o=c=3",
          "vol-convert vol=v newname=w format=raw options=a=1,b=2,=c=3");
    check("vol-convert v w -O raw -o a=1,, -o b=2",
          "vol-convert vol=v newname=w format=raw options=a=1,,,b=2");
    check("vol-convert v w -O raw -o a=1, -o b=2",
          "{the list 'a=1,' of option --options has an empty part}");
    check("vol-convert v w -O raw -o a=1 -o ,b=2",
          "{the list ',b=2' of option --options has an empty part}");
}

static void help_accepts_any_words_and_the_help_option_prints_help(void **state)
{
    check("help pool x --y", "help command=pool");
    check("pool-info --help", "help command=pool-info");
}

static void common_options_go_where_they_apply(void **state)
{
    check("pool-list --json", "pool-list json");
    check("pool-start p --dry-run", "pool-start pool=p dry-run");
    check("pool-delete p --yes", "pool-delete pool=p yes");
    check("pool-list --dry-run", "{command 'pool-list' doesn't support option --dry-run}");
    check("pool-destroy p --yes", "{command 'pool-destroy' doesn't support option --yes}");
}

static void rest_option_consumes_all_remaining_words(void **state)
{
    check("echo a '' --shell b", "echo string=a string= shell string=b");
}

static CliArgs *args_of(const char *text)
{
    g_autoptr(GPtrArray) commands = cli_parse_string(cli_groups(), &no_config, text, NULL);

    assert_non_null(commands);
    return g_ptr_array_steal_index(commands, 0);
}

static void empty_value_is_refused_if_the_table_requires_a_value(void **state)
{
    g_autoptr(CliArgs) args = args_of("pool-info ''");
    g_autoptr(GError) error = NULL;
    const char *value;

    assert_false(cli_args_string(args, "pool", &value, &error));
    assert_string_equal(error->message, "Failed to get option 'pool': Option argument is empty");
}

static void timeouts_are_seconds_above_zero(void **state)
{
    static const char *const wrong[] = {"0", "x", "-1", "1x", "4294967296", "3000000", ""};
    g_autoptr(CliArgs) good = args_of("pool-event --timeout 2");
    int ms = -1;

    assert_true(cli_args_timeout(good, &ms, NULL));
    assert_int_equal(ms, 2000);
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *line = g_strdup_printf("pool-event --timeout '%s'", wrong[i]);
        g_autoptr(CliArgs) args = args_of(line);
        g_autoptr(GError) error = NULL;

        assert_false(cli_args_timeout(args, &ms, &error));
        assert_int_equal(error->code, CST_ERROR_USAGE);
        assert_int_equal(ms, 2000);
    }
}

static void sizes_accept_units(void **state)
{
    /*
     * No command of this program has a size option. The text of a number is parsed in the same way.
     */
    g_autoptr(CliArgs) args = args_of("pool-event --timeout 3G");
    g_autoptr(CliArgs) bad = args_of("pool-event --timeout 3Q");
    g_autoptr(CliArgs) none = args_of("pool-event");
    uint64_t bytes = 7;

    assert_true(cli_args_size(args, "timeout", 1, &bytes, NULL));
    assert_int_equal(bytes, UINT64_C(3) << 30);
    assert_false(cli_args_size(bad, "timeout", 1, &bytes, NULL));
    assert_true(cli_args_size(none, "timeout", 1, &bytes, NULL));
    assert_int_equal(bytes, UINT64_C(3) << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_named_or_positional),
        cmocka_unit_test(named_only_options_accept_no_plain_word),
        cmocka_unit_test(two_words_name_one_command),
        cmocka_unit_test(double_dash_ends_options),
        cmocka_unit_test(mistakes_are_named_as_virsh_names_them),
        cmocka_unit_test(words_leave_options_alone_that_are_named_later),
        cmocka_unit_test(plain_words_after_an_alias_are_volumes_and_not_the_pool),
        cmocka_unit_test(lists_with_commas_may_be_given_again),
        cmocka_unit_test(help_accepts_any_words_and_the_help_option_prints_help),
        cmocka_unit_test(common_options_go_where_they_apply),
        cmocka_unit_test(rest_option_consumes_all_remaining_words),
        cmocka_unit_test(empty_value_is_refused_if_the_table_requires_a_value),
        cmocka_unit_test(timeouts_are_seconds_above_zero),
        cmocka_unit_test(sizes_accept_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

# bash completion for cistern                                    -*- shell-script -*-
# SPDX-License-Identifier: LGPL-2.1-or-later
# The program itself says what may come next: commands, options, names of pools and volumes.

_cistern()
{
    local cur cword words=() line answer
    # URIs and lists contain characters that bash would break words at.
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n "\"'><=;|&(:" -w words -i cword
    else
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
    fi
    cur=${words[cword]}
    COMPREPLY=()
    # The program fails where the name of a file is meant, and only there.
    if ! answer=$("${words[0]}" complete -- "${words[@]:1:cword}" 2>/dev/null); then
        compopt -o default 2>/dev/null
        return
    fi
    while IFS= read -r line; do
        [ -n "$line" ] && COMPREPLY+=("$(printf '%q' "$line")")
    done <<< "$answer"
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$cur"
    fi
}

complete -F _cistern cistern

# bash completion for cistern                                    -*- shell-script -*-
# SPDX-License-Identifier: LGPL-2.1-or-later
# The program itself says what may come next: commands, options, names of pools and volumes.

# Sets unquoted to a word as the program would get it; a quote may still be open at its end.
_cistern_unquote()
{
    local word=$1 quote='' i
    unquoted=
    for ((i = 0; i < ${#word}; i++)); do
        case $quote${word:i:1} in
            \' | \") quote=${word:i:1} ;;
            "''" | '""') quote= ;;
            \\ | \"\\) ((++i)) && unquoted+=${word:i:1} ;;
            *) unquoted+=${word:i:1} ;;
        esac
    done
}

# Sets quoted to a word as it must stand on the line, where cur may have an open quote. Readline closes
# that quote and quotes nothing, so a name such as '$(reboot)' would be executed.
_cistern_quote()
{
    local i char
    quoted=
    case $cur in
        \"*)
            for ((i = 0; i < ${#1}; i++)); do
                char=${1:i:1}
                case $char in
                    [\$\`\"\\]) quoted+=\\$char ;;
                    # History expansion sees it in double quotes, with a backslash, too.
                    !) quoted+='"\!"' ;;
                    *) quoted+=$char ;;
                esac
            done
            ;;
        \'*) quoted=${1//\'/\'\\\'\'} ;;
        *) printf -v quoted '%q' "$1" ;;
    esac
}

_cistern()
{
    local cur cword words=() asked=() word unquoted quoted line answer
    # URIs and lists contain characters that bash would break words at.
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n "\"'><=;|&(:" -w words -i cword
    else
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
    fi
    cur=${words[cword]}
    COMPREPLY=()
    for word in "${words[@]:0:cword+1}"; do
        _cistern_unquote "$word"
        asked+=("$unquoted")
    done
    # Status 1 says that the name of a file is meant; any other one, that nothing can be said.
    answer=$("${asked[0]}" complete -- "${asked[@]:1}" 2>/dev/null)
    case $? in
        0) ;;
        1) compopt -o default 2>/dev/null; return ;;
        *) return ;;
    esac
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        _cistern_quote "$line"
        COMPREPLY+=("$quoted")
    done <<< "$answer"
    # A name follows the pool that a slash ends.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$cur"
    fi
}

complete -F _cistern cistern

# fish completion for cistern
# SPDX-License-Identifier: LGPL-2.1-or-later
# The program itself says what may come next: commands, options, names of pools and volumes.

function __cistern_complete
    # The word at the cursor has the quotes that are typed; it may end in half an escape.
    set -l current (string unescape -- (commandline -ct); or commandline -ct)
    set -l words (commandline -opc) $current
    set -l program $words[1]
    set -l answer ($program complete --describe -- $words[2..-1] 2>/dev/null)
    # Status 1 says that the name of a file is meant; any other one, that nothing can be said.
    switch $status
        case 0
            string match -v '' -- $answer
        case 1
            __fish_complete_path (commandline -ct)
    end
end

complete -c cistern -f -a '(__cistern_complete)'

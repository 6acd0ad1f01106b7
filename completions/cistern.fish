# fish completion for cistern
# SPDX-License-Identifier: LGPL-2.1-or-later
# The program itself says what may come next: commands, options, names of pools and volumes.

function __cistern_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l program $words[1]
    $program complete --describe -- $words[2..-1] 2>/dev/null | string match -v ''
end

# File names are offered where the program knows nothing.
complete -c cistern -n 'test -n "(__cistern_complete)"' -f -a '(__cistern_complete)'

# What bash offers for the last word: bash completions.bash FILE WORD...
source /usr/share/bash-completion/bash_completion
source "$1"
complete -p replit-env
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE="${*:2}"
COMP_POINT=${#COMP_LINE}
# compopt is for an interactive shell.
compopt() { :; }
"$(complete -p replit-env | sed 's/.*-F \([^ ]*\).*/\1/')"
printf '%s\n' "${COMPREPLY[@]}"

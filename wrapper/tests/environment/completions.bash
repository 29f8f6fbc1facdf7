# What bash offers for the last word: bash completions.bash FILE WORD...
source "$1"
complete -p replit-env
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
# compopt is for an interactive shell.
compopt() { :; }
"$(complete -p replit-env | sed 's/.*-F \([^ ]*\).*/\1/')"
printf '%s\n' "${COMPREPLY[@]}"

# What zsh makes of words when one types a tab behind them: zsh -f completions.zsh SITE-FUNCTIONS TYPED...
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT=; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
# The command itself shows what it is started with.
zpty -w shell "replit-env() { print -r -- \"<\$*>\" }; print read'y'"
zpty -r shell shown '*ready*'
for typed in ${@:2}; do
    zpty -w -n shell $typed$'\t\n'
    zpty -r -m shell shown '*<*>*' && print -r -- ${${shown##*<}%%>*}
done

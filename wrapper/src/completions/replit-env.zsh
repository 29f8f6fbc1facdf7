#compdef replit-env
# Completion of replit-env for zsh. Written by replit-env-cli.
# What comes after the program is completed as if it stood alone.
_arguments -s -S -A '-*' \
@options@    '*:::program:_normal'

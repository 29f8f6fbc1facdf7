# Completion of replit-env for fish. Written by replit-env-cli.

# The command line from the program on, if it is there.
function __replit_env_program
    set --local words (commandline --tokenize --cut-at-cursor --current-process) (commandline --current-token)
    set --erase words[1]
    argparse --stop-nonopt @argparse@ -- $words 2>/dev/null
    test -n "$argv"; and not string match --quiet -- '-*' $argv[1]; and string join0 -- $argv
end

function __replit_env_complete_program
    set --local words (__replit_env_program | string split0)
    # The arguments are the program's own.
    __fish_complete_subcommand --commandline $words
end

@options@complete --command replit-env --no-files --arguments '(__replit_env_complete_program)'

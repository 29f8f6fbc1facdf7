if [ "$#" -eq 0 ]; then
    printf '%s\n' 'Usage: replit-env PROGRAM [ARGUMENT]...' >&2
    exit 2
fi
case $1 in
-h | --help | -V | --version)
    exec @helper@ replit-env "$@"
    ;;
--print-env | --print-env=*)
    # The helper cannot see this: as it starts, its runtime opens /dev/null in place of what is closed.
    if ! { true 3>&1; } 2>/dev/null; then
        printf '%s\n' 'replit-env: standard output is closed' >&2
        exit 1
    fi
    # It is run as any program is, and prints these variables as it finds them.
    set -- @helper@ replit-env --variables=@names@ "$@"
    ;;
--)
    shift
    if [ "$#" -eq 0 ]; then
        printf '%s\n' 'replit-env: no program after --' >&2
        exit 2
    fi
    ;;
-*)
    printf '%s\n' "replit-env: unknown option $1" 'Usage: replit-env PROGRAM [ARGUMENT]...' >&2
    exit 2
    ;;
esac

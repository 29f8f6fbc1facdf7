if [ "$#" -eq 0 ]; then
    printf '%s\n' 'Usage: replit-env PROGRAM [ARGUMENT]...' >&2
    exit 2
fi
case $1 in
-h | --help | -V | --version)
    exec @helper@ replit-env "$@"
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

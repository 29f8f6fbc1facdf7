case $1 in
'')
    # Shells disagree: some try to execute the first directory of PATH.
    printf '%s\n' "replit-env: the program's name is empty" >&2
    exit 127
    ;;
-*)
    # `exec --` is not known to dash, and `exec -name` is an option to the others.
    exec env -- "$@"
    ;;
esac
exec "$@"

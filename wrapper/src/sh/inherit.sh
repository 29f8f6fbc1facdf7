# What changes now is kept as it was, and the auditor gives it back to the program's children.
if [ "${REPLIT_RTLD_INHERIT-}" = 0 ]; then
    for __replit_env_entry in @changed@; do
        unset "@outer@$__replit_env_entry"
        eval "[ -z \"\${$__replit_env_entry+set}\" ] || export @outer@$__replit_env_entry=\"\$$__replit_env_entry\""
    done
    case $1 in
    -*)
        # env(1), which starts it, would be the program, and it the child.
        printf '%s\n' "replit-env: --no-inherit takes a program whose name begins with a dash by its path only" >&2
        exit 2
        ;;
    esac
fi


# Options, up to the program.
__replit_env_alone=
__replit_env_level=
__replit_env_wrong=
while :; do
    case ${1-} in
    --log | --log=*)
        __replit_env_level=${1#--log}
        case $__replit_env_level in
        =*) __replit_env_level=${__replit_env_level#=} ;;
        *)
            __replit_env_level=${2-}
            [ "$#" -eq 1 ] || shift
            ;;
        esac
        shift
        case $__replit_env_level in
        off | warn | info | debug | [0123]) ;;
        *)
            __replit_env_wrong="--log takes off, warn, info or debug, not '$__replit_env_level'"
            break
            ;;
        esac
        ;;
    --no-inherit)
        export REPLIT_RTLD_INHERIT=0
        __replit_env_alone=yes
        shift
        ;;
    -h | --help | -V | --version | --completions | --completions=*)
        exec @helper@ replit-env "$@"
        ;;
    --print-env | --print-env=* | --doctor | --doctor=* | --explain | --explain=*)
        # It would be the program that keeps them to itself, and find nothing.
        unset REPLIT_RTLD_INHERIT
        if [ -n "$__replit_env_alone" ]; then
            __replit_env_wrong="--no-inherit is for a program, not for ${1%%=*}"
            break
        fi
        # The helper cannot see this: as it starts, its runtime opens /dev/null in place of what is closed.
        if ! { true 3>&1; } 2>/dev/null; then
            printf '%s\n' 'replit-env: standard output is closed' >&2
            exit 1
        fi
        # It is run as any program is, and finds these variables as it would.
        __replit_env_list=@names@
        [ -z "$__replit_env_level" ] || __replit_env_list=$__replit_env_list,@log_names@
        case $1 in
        --doctor)
            # But for the auditors that the calling shell has.
            shift
            set -- @helper@ doctor "--callers-auditors=${LD_AUDIT-}" "$@"
            ;;
        *) set -- @helper@ replit-env "--variables=$__replit_env_list" "$@" ;;
        esac
        break
        ;;
    --)
        shift
        [ "$#" -gt 0 ] || __replit_env_wrong='no program after --'
        break
        ;;
    -*)
        __replit_env_wrong="unknown option $1"
        break
        ;;
    *)
        [ "$#" -gt 0 ] || __replit_env_wrong='no program'
        break
        ;;
    esac
done
if [ -n "$__replit_env_wrong" ]; then
    printf '%s\n' "replit-env: $__replit_env_wrong" @usage@ >&2
    exit 2
fi

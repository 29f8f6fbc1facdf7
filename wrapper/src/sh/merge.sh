# Ours first, then what VARIABLE holds and ours does not, so that nothing grows when environments are nested.
__replit_env_list=$__replit_env_ours
# With a colon behind each entry every step is alike; an empty variable has no entry.
__replit_env_rest=${__replit_env_rest:+$__replit_env_rest:}
while [ -n "$__replit_env_rest" ]; do
    __replit_env_entry=${__replit_env_rest%%:*}
    __replit_env_rest=${__replit_env_rest#*:}
    case :$__replit_env_ours: in
    *:"$__replit_env_entry":*) continue ;;
    esac
    case /$__replit_env_entry in
    */"$__replit_env_older") continue ;;
    esac
    __replit_env_list=$__replit_env_list:$__replit_env_entry
done
export VARIABLE="$__replit_env_list"

if [ -n "$__replit_env_level" ]; then
    export REPLIT_RTLD_LOG_LEVEL="$__replit_env_level"
    export REPLIT_RTLD_LOG_FILE="${REPLIT_RTLD_LOG_FILE:-stderr}"
fi
unset __replit_env_alone __replit_env_level __replit_env_wrong

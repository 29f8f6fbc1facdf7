# What the user has set stays, in its order, but for static TLS, which is raised where it is less than @static_tls@.
__replit_env_list=
__replit_env_value=
__replit_env_rest=${GLIBC_TUNABLES-}
__replit_env_rest=${__replit_env_rest:+$__replit_env_rest:}
while [ -n "$__replit_env_rest" ]; do
    __replit_env_entry=${__replit_env_rest%%:*}
    __replit_env_rest=${__replit_env_rest#*:}
    case $__replit_env_entry in
    '') ;;
    # The last one counts.
    @name@=*) __replit_env_value=${__replit_env_entry#*=} ;;
    *) __replit_env_list=$__replit_env_list:$__replit_env_entry ;;
    esac
done
# What is declared goes first, if the user has not set it.
__replit_env_rest=$__replit_env_ours
__replit_env_ours=
while [ -n "$__replit_env_rest" ]; do
    __replit_env_entry=${__replit_env_rest%%:*}
    __replit_env_rest=${__replit_env_rest#*:}
    case $__replit_env_list in
    *:"${__replit_env_entry%%=*}"=*) ;;
    *) __replit_env_ours=$__replit_env_ours$__replit_env_entry: ;;
    esac
done
# The number, as ld.so reads it: blanks, a plus sign, the base. What has anything else in it counts as none.
__replit_env_rest=$__replit_env_value
while :; do
    case $__replit_env_rest in
    ' '* | '	'*) __replit_env_rest=${__replit_env_rest#?} ;;
    *) break ;;
    esac
done
__replit_env_rest=${__replit_env_rest#+}
__replit_env_base=10
case $__replit_env_rest in
0[xX]*)
    __replit_env_base=16
    __replit_env_rest=${__replit_env_rest#??}
    ;;
0*) __replit_env_base=8 ;;
esac
case $__replit_env_base-$__replit_env_rest in
8-*[!01234567]* | 10-*[!0123456789]* | 16-*[!0123456789abcdefABCDEF]*) __replit_env_rest= ;;
esac
# Digit by digit: shells disagree on octal numbers. ld.so reckons with an int: what is much larger starts no process.
__replit_env_number=0
while [ -n "$__replit_env_rest" ] && [ "$__replit_env_number" -le @largest@ ]; do
    __replit_env_entry=${__replit_env_rest%"${__replit_env_rest#?}"}
    __replit_env_rest=${__replit_env_rest#?}
    __replit_env_number=$((__replit_env_number * __replit_env_base + 0x$__replit_env_entry))
done
if [ "$__replit_env_number" -lt @static_tls@ ] || [ "$__replit_env_number" -gt @largest@ ]; then
    __replit_env_value=@static_tls@
fi
# Last, so that an entry before it that has no value does not cost the others: since glibc 2.38 it would at the end.
export GLIBC_TUNABLES="$__replit_env_ours${__replit_env_list#:}${__replit_env_list:+:}@name@=$__replit_env_value"

# Completion of replit-env for bash. Written by replit-env-cli.
_replit_env() {
    local current=${COMP_WORDS[COMP_CWORD]} option= values= index=1 ends=
    COMPREPLY=()
    # Up to the program. bash takes --log=info for three words.
    while ((index < COMP_CWORD)); do
        option=
        case ${COMP_WORDS[index]} in
        --)
            ends=yes
            ((index++))
            break
            ;;
        -*)
            option=${COMP_WORDS[index]}
            if [[ ${COMP_WORDS[index + 1]} == = ]]; then
                ((index++))
            else
                case $option in
                @valued@) ;;
                *) option= ;;
                esac
            fi
            [[ -z $option ]] || ((index++))
            ((index++))
            ;;
        *) break ;;
        esac
    done
    # The option's value has come, or is to come.
    ((index > COMP_CWORD)) || option=
    if ((index < COMP_CWORD)); then
        # The arguments are the program's own: the package bash-completion knows them, by its newer or its older name.
        for option in _comp_command_offset _command_offset; do
            if declare -F "$option" >/dev/null; then
                "$option" "$index"
                return
            fi
        done
        compopt -o default
        return
    fi
    if [[ -n $option ]]; then
        [[ $current != = ]] || current=
        case $option in
@values@
        *) compopt -o default ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
    elif [[ $current == -* && -z $ends ]]; then
        mapfile -t COMPREPLY < <(compgen -W "@options@" -- "$current")
    else
        compopt -o filenames -o default
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
    fi
}
complete -F _replit_env replit-env

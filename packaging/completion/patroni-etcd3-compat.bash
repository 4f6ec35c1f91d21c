_patroni_etcd3_compat_completion() {
    local IFS=$'\n'
    local response

    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _PATRONI_ETCD3_COMPAT_COMPLETE=bash_complete $1 2>/dev/null)

    for completion in $response; do
        IFS=',' read type value <<< "$completion"

        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=($value)
        fi
    done

    return 0
}

_patroni_etcd3_compat_completion_setup() {
    complete -o nosort -F _patroni_etcd3_compat_completion patroni-etcd3-compat
}

_patroni_etcd3_compat_completion_setup;

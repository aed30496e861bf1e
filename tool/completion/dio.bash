# Completion of dio for bash: installed as share/bash-completion/completions/dio.
# test/completion_test.py compares the options with those of dio COMMAND --help.

_dio_options() {
    case $1 in
    cp)
        echo --verify --resume --recursive -r --preserve -p --offset= --length= --require --uncached --buffered --in-place \
            --force --block-size= --depth= --engine= --json --quiet -q --help
        ;;
    cat) echo --offset= --length= --require --help ;;
    sum) echo --algorithm= -a --check -c --require --json --quiet -q --help ;;
    probe) echo --write-test --arena= --json --help ;;
    *) echo cp cat sum probe --help --version ;;
    esac
}

# The values of an option, or nothing where any number or name will do.
_dio_values() {
    case $1 in
    --engine) echo auto uring pread ;;
    --algorithm | -a) echo xxh128 sha256 ;;
    --block-size) echo 4K 64K 256K 1M 4M 16M 64M ;;
    --arena) echo 64M 1G 4G ;;
    *) return 1 ;;
    esac
}

_dio() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command="" values
    # The = of --engine=uring is a word of its own.
    if [ "$word" = "=" ]; then
        word=""
    elif [ "$before" = "=" ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    [ "$COMP_CWORD" -gt 1 ] && command=${COMP_WORDS[1]}
    COMPREPLY=()
    if values=$(_dio_values "$before"); then
        mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
    elif [ "$before" = --offset ] || [ "$before" = --length ] || [ "$before" = --depth ]; then
        return # a number
    elif [ -z "$command" ] || [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_dio_options "$command")" -- "$word")
        [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
    return 0
}
complete -F _dio dio

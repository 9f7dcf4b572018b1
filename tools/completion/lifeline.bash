# Completion for bash. The options are read from the program's own help, so they are always those of the version at hand.

_lifeline_options()
{
	"$1" "$2" --help 2>/dev/null | grep -oE -- '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u
}

_lifeline()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]}
	local command=${COMP_WORDS[1]} words=

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		words="serve connect bench --help --version"
	else
		case "$before" in
		--engine) words="auto uring epoll threads" ;;
		--framing) words="line raw" ;;
		--log-format) words="text json" ;;
		--duplicate) words="replace refuse" ;;
		--config)
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
			;;
		*) words=$(_lifeline_options "$program" "$command") ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o default -F _lifeline lifeline

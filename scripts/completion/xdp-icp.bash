# SPDX-License-Identifier: GPL-2.0-or-later
# Completion for bash; the candidates come from the program `complete` of xdp-icp.

_xdp_icp() {
	local candidate current word glue=''
	local -a words=()

	# bash takes = and : for words of their own, as in verdict=hit and http://.
	for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
		if [[ ${#words[@]} -gt 0 && ($word == [=:]* || -n $glue && -n $word) ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
		glue=
		[[ $word != *[=:] ]] || glue=1
	done
	# What is typed is quoted, but not evaluated here: it may be a command.
	current=${words[-1]#[\"\']}
	words[-1]=$current
	COMPREPLY=()
	while IFS= read -r candidate; do
		[[ ${candidate//\\/} == "${current//\\/}"* ]] || continue
		candidate=$(printf '%q' "$candidate")
		# Only what stands behind the last of them is replaced.
		[[ $current != *[=:]* ]] || candidate=${candidate#"${current%"${current##*[=:]}"}"}
		COMPREPLY+=("$candidate")
	done < <(@PREFIX@/libexec/xdp-icp/complete "${COMP_WORDS[0]##*/}" "${words[@]}")
	[[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace
}

complete -o default -F _xdp_icp icpctl icpblast xdp-icpd xdp-icp-load

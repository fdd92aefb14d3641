# SPDX-License-Identifier: GPL-2.0-or-later
# Completion for bash; the candidates come from the program `complete` of xdp-icp.

_xdp_icp() {
	local candidate current=${COMP_WORDS[COMP_CWORD]}

	# What is typed is quoted, but not evaluated here: it may be a command.
	current=${current#[\"\']}
	COMPREPLY=()
	while IFS= read -r candidate; do
		[[ ${candidate//\\/} == "${current//\\/}"* ]] || continue
		COMPREPLY+=("$(printf '%q' "$candidate")")
	done < <(@PREFIX@/libexec/xdp-icp/complete "${COMP_WORDS[0]##*/}" \
		"${COMP_WORDS[@]:1:COMP_CWORD-1}" "$current")
	[[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace
}

complete -o default -F _xdp_icp icpctl icpblast xdp-icpd xdp-icp-load

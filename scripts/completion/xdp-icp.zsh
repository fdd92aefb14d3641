#compdef icpctl icpblast xdp-icpd xdp-icp-load
# SPDX-License-Identifier: GPL-2.0-or-later
# Completion for zsh; the candidates come from the program `complete` of xdp-icp.

local -a candidates
candidates=("${(@f)$(@PREFIX@/libexec/xdp-icp/complete "${words[1]:t}" \
	"${(@Q)words[2,CURRENT-1]}" "${(Q)words[CURRENT]}")}")
if [[ -n $candidates ]]; then
	compadd -- "${candidates[@]}"
else
	_files
fi

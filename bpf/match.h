/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The look-ups behind a decision (decide.h): the rules first, then the chain's prefixes. */
#ifndef XDP_ICP_MATCH_H
#define XDP_ICP_MATCH_H

#include "decide.h"
#include "message.h"

ICP_INLINE const void *prefixes_lookup(void *table, const __u64 *hash)
{
	return bpf_map_lookup_elem(table, hash);
}

ICP_INLINE struct decision match(const struct map_chain *chain, struct scratch *scratch,
				 const struct message *message)
{
	text_word *url = scratch->message.words + MESSAGE_URL_WORD;
	const struct prefix_entry *entry;
	struct rule_key *key;
	const struct rule *rule;
	__u32 matched = 0;

	if (message->form == ICP_FORM_WHITE_SPACE)
		return decision_answer(ICP_OP_ERR, ICP_NO_COST);

	/*
	 * The trie wants the length in front of the text, where the requester host address lies:
	 * it has been added to the checksum, and nobody needs it any more.
	 */
	key = (struct rule_key *)&scratch->message.query.requester_host_address;
	key->prefixlen = 8 * message->url_length;
	rule = bpf_map_lookup_elem(&rules, key);
	if (rule)
		return decide_by_rule(rule);

	entry = prefix_longest(url, &scratch->states, message->url_length, &chain->lengths,
			       prefixes_lookup, &prefixes, &matched);
	return decide_by_chain(chain, entry, matched, url);
}

#endif

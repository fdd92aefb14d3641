// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The querier's address lies in one of the networks `from`. All share the policy's verdict; each
 * verdict needs a policy of its own.
 */
#include <string.h>

#include "lib/netset.h"
#include "policy/kinds.h"
#include "policy/list.h"

static int add_network(void *context, const struct text_list *list, const struct text_entry *entry,
		       struct error *error)
{
	struct netset_network network;
	struct error wrong;

	if (entry->verdict != list->policy->verdict)
		return text_list_error(list, entry->tag, error,
				       "'%.*s' has a verdict of its own, which this kind does not "
				       "take; write another policy for it",
				       TEXT_SHOWN, entry->text);
	if (strlen(entry->text) != entry->length)
		return text_list_error(list, entry->tag, error,
				       "there is a NUL behind '%.*s'; leave it out", TEXT_SHOWN,
				       entry->text);
	if (netset_network_parse(entry->text, &network, &wrong))
		return text_list_error(list, entry->tag, error, "%s", wrong.text);
	if (netset_add(context, &network))
		return error_set(error, "out of memory");
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "from", "", policy };

	if (policy_need_verdict(policy, spec, error))
		return -1;
	policy->state = netset_new();
	if (!policy->state)
		return error_set(error, "out of memory");
	if (text_list_read(&list, add_network, policy->state, error))
		return -1;
	netset_finish(policy->state);
	return 0;
}

static void destroy(struct policy *policy)
{
	netset_free(policy->state);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	if (!netset_contains(policy->state, &query->source))
		return (struct policy_match){ .verdict = ICP_OP_INVALID };
	return (struct policy_match){ .verdict = policy->verdict };
}

static const struct netset *sources(const struct policy *policy)
{
	return policy->state;
}

static const struct policy_setting settings[] = {
	{ "from", "addresses and networks of IPv4 and IPv6, as 192.0.2.0/24", .list = true },
	{ "file", "a file of addresses and networks, one a line" },
	{ NULL },
};

const struct policy_kind policy_source = {
	.name = "source",
	.help = "the querier's address lies in one of the networks 'from'",
	.basis = POLICY_BASIS_SOURCE,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.sources = sources,
};

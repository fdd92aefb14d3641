// SPDX-License-Identifier: GPL-2.0-or-later
/* The URL begins with one of `urls`; the longest gives the verdict. */
#include "policy/kinds.h"
#include "policy/url.h"

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	return url_policy_create(policy, spec, false, error);
}

const struct policy_kind policy_prefix = {
	.name = "prefix",
	.help = "the URL begins with one of 'urls'; the longest gives the verdict",
	.settings = url_policy_settings,
	.create = create,
	.destroy = url_policy_destroy,
	.match = url_policy_match,
	.reading = URL_FORWARD,
	.texts = url_policy_texts,
};

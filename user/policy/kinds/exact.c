// SPDX-License-Identifier: GPL-2.0-or-later
/* The URL is one of `urls`. */
#include "policy/kinds.h"
#include "policy/url.h"

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	return url_policy_create(policy, spec, true, error);
}

const struct policy_kind policy_exact = {
	.name = "exact",
	.help = "the URL is one of 'urls'",
	.settings = url_policy_settings,
	.create = create,
	.destroy = url_policy_destroy,
	.match = url_policy_match,
	.reading = URL_FORWARD,
	.texts = url_policy_texts,
};

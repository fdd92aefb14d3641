/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Common part of the kinds prefix and exact: a list of URLs as a set of prefixes of the URL
 * including its NUL. A whole URL is a prefix that ends with the NUL.
 */
#ifndef XDP_ICP_URL_POLICY_H
#define XDP_ICP_URL_POLICY_H

#include "policy/policy.h"
#include "policy/list.h"

#define URL_MAX (ICP_MESSAGE_MAX - ICP_QUERY_HEADER_SIZE - 1) /* bytes, without the NUL */

/* The settings of both kinds. */
extern const struct policy_setting url_policy_settings[];

/* Members of struct policy_kind; `whole`: match whole URLs instead of prefixes. */
int url_policy_create(struct policy *policy, const struct policy_spec *spec, bool whole,
		      struct error *error);
void url_policy_destroy(struct policy *policy);
struct policy_match url_policy_match(const struct policy *policy, const struct query *query);
const struct byteset *url_policy_texts(const struct policy *policy);

/* Match a text of `length` bytes by the longest member of the set that it begins with. */
struct policy_match url_set_match(const struct byteset *set, const char *text, size_t length);

/*
 * Check that a URL can contain the entry's text. Returns -1 with an error if the text has white
 * space or a NUL, or is longer than any URL.
 */
int url_text_check(const struct text_list *list, const struct text_entry *entry,
		   struct error *error);

#endif

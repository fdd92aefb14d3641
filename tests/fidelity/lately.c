// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lately.h"
#include "owners.h"
#include "texts.h"

struct seen {
	char key[TEXT_MOST + 1];
	size_t length;
	uint64_t expires;
	unsigned int turn; /* the greatest was told last */
};

/* What one policy knows, or a number of them, in chains one after the other. */
static struct known {
	size_t count;
	struct seen seen[LATELY_MOST];
} * known;
static unsigned int known_count, turns;
static uint64_t time_now;

struct lately_settings lately_settings(const struct policy_setup *policy)
{
	struct lately_settings settings = { .key = "url", .query = true, .window = 2, .most = 4 };
	char query[8] = "";

	if (policy->count && sscanf(policy->entries[0].text.at, " key %15s %7s window %u most %u",
				    settings.key, query, &settings.window, &settings.most) >= 2)
		settings.query = strcmp(query, "query") == 0;
	return settings;
}

void lately_begin(void)
{
	known_count = turns = 0;
	time_now = 0;
	lately_new(0);
}

void lately_time(uint64_t now)
{
	time_now = now;
}

unsigned int lately_new(unsigned int former)
{
	if (former)
		return former;
	known = reallocarray(known, known_count + 1, sizeof(*known));
	if (!known)
		abort();
	known[known_count].count = 0;
	return known_count++;
}

static struct text key_of(const struct policy_setup *policy, struct text url, char *key)
{
	const struct lately_settings settings = lately_settings(policy);

	return (struct text){ key, url_key(settings.key, settings.query, url, key) };
}

static struct seen *find(struct known *one, struct text key)
{
	for (size_t i = 0; i < one->count; i++)
		if (text_equal((struct text){ one->seen[i].key, one->seen[i].length }, key))
			return &one->seen[i];
	return NULL;
}

/* The one that expires first; of several the one that was told first. */
static struct seen *first_to_expire(struct known *one)
{
	struct seen *first = &one->seen[0];

	for (size_t i = 1; i < one->count; i++) {
		struct seen *seen = &one->seen[i];

		if (seen->expires < first->expires ||
		    (seen->expires == first->expires && seen->turn < first->turn))
			first = seen;
	}
	return first;
}

static void forget(struct known *one, struct seen *seen)
{
	*seen = one->seen[--one->count];
}

void lately_tell(const struct policy_setup *policy, struct text url, bool on)
{
	const struct lately_settings settings = lately_settings(policy);
	struct known *one = &known[policy->lately];
	char buffer[url.length + 1];
	struct text key = key_of(policy, url, buffer);
	struct seen *seen = find(one, key);

	if (!on) {
		if (seen)
			forget(one, seen);
		return;
	}
	if (!seen) {
		if (one->count == settings.most)
			forget(one, first_to_expire(one));
		if (key.length > TEXT_MOST)
			abort();
		seen = &one->seen[one->count++];
		memcpy(seen->key, key.at, key.length);
		seen->length = key.length;
	}
	seen->expires = time_now + 1000 * (uint64_t)settings.window;
	seen->turn = turns++;
}

bool lately_matches(const struct policy_setup *policy, struct text url)
{
	char buffer[url.length + 1];
	const struct seen *seen = find(&known[policy->lately], key_of(policy, url, buffer));

	return seen && time_now < seen->expires;
}

bool lately_is_short(const struct policy_setup *policy, struct text url)
{
	char buffer[url.length + 1];

	return key_of(policy, url, buffer).length <= LATELY_LONGEST;
}

bool lately_fits(const struct setup *setup, struct text url)
{
	unsigned int count = 0;
	bool fits = true;

	for (size_t i = 0; i < setup->policy_count && count < LATELY_IN_KERNEL; i++)
		if (setup->policies[i].kind == KIND_RECENT) {
			fits = fits && lately_is_short(&setup->policies[i], url);
			count++;
		}
	return fits;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "matching.h"
#include "owners.h"

/* --- what the entries say */

static bool is_name(struct text text, const char *name)
{
	return text.length == strlen(name) && memcmp(text.at, name, text.length) == 0;
}

/* The next word, separated by one space. */
static struct text next_word(const char **at)
{
	struct text word = { *at, strcspn(*at, " ") };

	*at += word.length + ((*at)[word.length] == ' ');
	return word;
}

static void add_member(struct owners *owners, struct text name, unsigned int weight)
{
	size_t place = 0;

	while (place < owners->count) {
		struct text other = owners->members[place].name;
		int order = strncmp(other.at, name.at,
				    other.length < name.length ? other.length : name.length);

		if (order == 0 && other.length == name.length)
			return;
		if (order > 0 || (order == 0 && other.length > name.length))
			break;
		place++;
	}
	if (owners->count == MEMBERS_MAX)
		return;
	memmove(&owners->members[place + 1], &owners->members[place],
		(owners->count++ - place) * sizeof(struct member));
	owners->members[place] = (struct member){ name, weight };
}

static void read_settings(struct owners *owners, const char *at)
{
	struct text word = next_word(&at);

	memcpy(owners->key, word.at, word.length);
	owners->key[word.length] = '\0';
	owners->query = is_name(next_word(&at), "query");
	next_word(&at);
	owners->depth = atoi(next_word(&at).at);
	next_word(&at);
	word = next_word(&at);
	for (uint8_t verdict = 1; verdict < 32; verdict++)
		if (verdict_name(verdict) && is_name(word, verdict_name(verdict)))
			owners->others = verdict;
	next_word(&at);
	owners->self = next_word(&at);
}

struct owners owners_of(const struct policy_setup *policy)
{
	struct owners owners = { .key = "url", .depth = 3, .others = 3, .self = { "a", 1 } };

	for (size_t i = 0; i < policy->count; i++) {
		const char *at = policy->entries[i].text.at;
		struct text word;

		if (strncmp(at, " key ", 5) == 0)
			read_settings(&owners, at + 5);
		if (strncmp(at, " member ", 8) != 0)
			continue;
		at += 8;
		word = next_word(&at);
		add_member(&owners, word, atoi(at));
	}
	add_member(&owners, owners.self, 1);
	return owners;
}

bool is_assigned(const struct entry *entry, struct text *prefix, struct text *owner)
{
	const char *at = entry->text.at;

	*prefix = entry->text;
	if (entry->verdict)
		return true;
	if (strncmp(at, " owner ", 7) != 0)
		return false;
	at += 7;
	*owner = next_word(&at);
	*prefix = (struct text){ at, entry->text.length - (at - entry->text.at) };
	return true;
}

/* --- the key */

/* Cut a path behind its slash number `slashes`, or behind its last one. */
static size_t cut_path(const char *path, size_t length, int slashes)
{
	size_t end = 0;

	for (size_t i = 0; i < length && slashes && path[i] != '?' && path[i] != '#'; i++)
		if (path[i] == '/') {
			end = i + 1;
			slashes--;
		}
	return end;
}

/* The length of the scheme with its ://; 0: there is none. */
static size_t scheme_length(const char *url)
{
	size_t length = 0;

	if ((url[0] | 0x20) < 'a' || (url[0] | 0x20) > 'z')
		return 0;
	while (strchr("+-.0123456789", url[length]) ||
	       ((url[length] | 0x20) >= 'a' && (url[length] | 0x20) <= 'z'))
		if (!url[length++])
			return 0;
	return strncmp(url + length, "://", 3) == 0 ? length + 3 : 0;
}

size_t url_key(const char *form, bool query, struct text url, char *key)
{
	const char *plus = strchr(form, '+'), *host = url.at + scheme_length(url.at);
	const char *path = host + strcspn(host, "/?#");
	struct text part = url;

	for (const char *c = host; host > url.at && c < path; c++)
		if (*c == '@')
			host = c + 1;
	if (form[0] != 'u' && host > url.at && !strchr(":/?#", *host)) {
		part.at = form[0] == 'p' ? path : host;
		part.length = url.at + url.length - part.at;
		if (plus)
			part.length =
				path - part.at +
				cut_path(path, url.at + url.length - path, 1 + atoi(plus + 1));
		else if (form[0] == 'h')
			part.length =
				host[0] == '[' ? (size_t)(path - host) : strcspn(host, ":/?#");
	}
	if (!query && !plus && form[0] != 'h' && strcspn(part.at, "?#") < part.length)
		part.length = strcspn(part.at, "?#");
	for (size_t i = 0; i < part.length; i++) {
		bool of_host = part.at != url.at && form[0] == 'h' && i < strcspn(part.at, "/?#");

		key[i] = part.at[i];
		if (of_host && key[i] >= 'A' && key[i] <= 'Z')
			key[i] += 'a' - 'A';
	}
	return part.length;
}

/* --- the order */

static uint64_t mix(uint64_t x)
{
	for (int i = 0; i < 2; i++) {
		x ^= x >> 32;
		x *= 0xd6e8feb86659fd93;
	}
	return x ^ x >> 32;
}

static uint64_t hash(uint64_t seed, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i += 8) {
		uint64_t word = 0;

		for (size_t k = 0; k < 8 && i + k < length; k++)
			word += (uint64_t)(unsigned char)text[i + k] << 8 * k;
		seed = (seed ^ word) * 0x9e3779b97f4a7c15;
	}
	return mix(seed ^ length);
}

static uint64_t table(unsigned int i)
{
	return floorl(log2l(1 + i / 1024.0L) * 0x1p32L);
}

/* How far a member is from a slot, in units of 2^-32, for a weight of 1. */
static uint64_t distance(struct text name, uint32_t slot)
{
	uint64_t x = mix(hash(hash(0, "", 0), name.at, name.length) ^ mix(slot)) | 1, zeros = 0;
	unsigned int at;

	for (; !(x >> 63); x <<= 1)
		zeros++;
	at = x >> 53 & 1023;
	return ((zeros + 1) << 32) - table(at) -
	       ((table(at + 1) - table(at)) * (x << 11 >> 32) >> 32);
}

/* The place of `self` in the order of a slot, 0 being that of the owner; `first` is before all. */
static int place_of(const struct owners *owners, uint32_t slot, struct text first)
{
	uint64_t weight = 0, far = distance(owners->self, slot);
	size_t self = 0;
	int place = 0;

	for (size_t i = 0; i < owners->count; i++)
		if (text_equal(owners->members[i].name, owners->self)) {
			self = i;
			weight = owners->members[i].weight;
		}
	if (text_equal(owners->self, first))
		return 0;
	for (size_t i = 0; i < owners->count; i++) {
		uint64_t other = owners->members[i].weight;
		uint64_t mine = far * other,
			 theirs = distance(owners->members[i].name, slot) * weight;

		if (text_equal(owners->members[i].name, first))
			place++;
		else if (i != self && (theirs < mine || (theirs == mine && i < self)))
			place++;
	}
	return place;
}

uint8_t owners_verdict(const struct policy_setup *policy, struct text url, int *cost)
{
	const struct owners owners = owners_of(policy);
	struct text first = { "", 0 }, prefix, owner, longest = { "", 0 };
	char key[url.length + 1];
	size_t length = url_key(owners.key, owners.query, url, key);
	uint8_t verdict = VERDICT_NONE;
	int place;

	*cost = -1;
	for (size_t i = 0; i < policy->count; i++) {
		if (!is_assigned(&policy->entries[i], &prefix, &owner) ||
		    !text_begins_with(url, prefix) || prefix.length <= longest.length)
			continue;
		longest = prefix;
		first = owner;
		verdict = policy->entries[i].verdict;
	}
	if (verdict)
		return verdict;
	if (longest.length)
		place = place_of(&owners, hash(hash(0, "", 0), longest.at, longest.length) >> 44,
				 first);
	else
		place = place_of(&owners, hash(hash(0, "", 0), key, length) >> 44, first);
	if (place == 0)
		return policy->verdict;
	if (place < owners.depth)
		*cost = place;
	return owners.others;
}

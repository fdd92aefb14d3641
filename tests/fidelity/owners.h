/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The owners of URLs by a partition, in the plainest words there are. */
#ifndef FIDELITY_OWNERS_H
#define FIDELITY_OWNERS_H

#include "setup.h"

#define MEMBERS_MAX 64

struct member {
	struct text name;
	unsigned int weight;
};

/* A partition, as its entries have it. */
struct owners {
	char key[16];
	bool query;
	int depth;
	uint8_t others;
	struct text self;
	size_t count;
	struct member members[MEMBERS_MAX]; /* sorted by name, each once */
};

/* Read the entries, but for assigned prefixes. What is missing has a value that makes sense. */
struct owners owners_of(const struct policy_setup *policy);

/*
 * Write the key of a URL, by the name of its form, as long as the URL at most. Returns its length.
 */
size_t url_key(const char *form, bool query, struct text url, char *key);

/* Is the entry an assigned prefix? Sets the prefix, and its owner if it has no verdict. */
bool is_assigned(const struct entry *entry, struct text *prefix, struct text *owner);

/* The verdict on a URL. `cost` is -1 if none is told. */
uint8_t owners_verdict(const struct policy_setup *policy, struct text url, int *cost);

#endif

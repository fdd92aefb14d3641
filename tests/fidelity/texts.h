/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texts that are hard to tell apart: all of a script's entries and URLs come from a small stock of
 * URLs that share their beginnings, are cut wherever a word of 8 bytes ends or next to it, and then
 * differ in a byte, in a bit, in the last byte, or in what follows.
 */
#ifndef FIDELITY_TEXTS_H
#define FIDELITY_TEXTS_H

#include "generator.h"

#define STOCK 24
#define ASKED 96 /* URLs that may be asked again */
#define ASKERS 4 /* queriers that often ask */
#define REPLIES 32
#define RECENTS 8
#define TEXT_MOST 700 /* bytes of a URL */

struct generator {
	struct script *script;
	const struct generator_limits *limits;
	uint64_t state;
	unsigned int style;
	struct text stock[STOCK];
	struct text entries[STOCK]; /* of policies, some of them */
	size_t entry_count;
	struct text hosts[STOCK]; /* of URLs, some of them */
	size_t host_count;
	struct asked {
		struct text url;
		unsigned int asker;
	} asked[ASKED];
	size_t asked_count;
	struct step replies[REPLIES]; /* entries of helpers and plugins, some of them */
	size_t reply_count;
	struct fed { /* policies of that kind, some of them gone */
		struct text name;
		unsigned int window;
	} recents[RECENTS];
	size_t recent_count;
	bool lively; /* what replies, and the host's state, change between queries */
	uint8_t askers[ASKERS][16];
	struct text rules[8];
	size_t rule_count;
	unsigned int thousands; /* policies with so many entries */
};

/* A random number below `end`. */
unsigned int below(struct generator *g, unsigned int end);
bool one_in(struct generator *g, unsigned int count);

/* While it is made; `length` is always below the size. */
struct draft {
	size_t length;
	char at[2 * TEXT_MOST];
};

void append(struct draft *draft, const char *at, size_t length);
void append_string(struct draft *draft, const char *string);
void append_some(struct generator *g, struct draft *draft, const char *alphabet, unsigned int most);
struct text finish(struct generator *g, const struct draft *draft);

void new_url(struct generator *g, struct draft *draft);

/* Makes of a text another one that is nearly the same, or its beginning. */
void spoil(struct generator *g, struct draft *draft);
void cut(struct generator *g, struct draft *draft);

/* A URL of the stock, or the beginning of one as policies and rules have it. */
void take_stock(struct generator *g, struct draft *draft);
void prefix_of_stock(struct generator *g, struct draft *draft);
void piece_of_stock(struct generator *g, struct draft *draft, bool end);

void random_address(struct generator *g, uint8_t address[16]);

/* An entry as a policy of that kind has it. */
void new_entry(struct generator *g, enum kind kind, struct draft *draft);

#endif

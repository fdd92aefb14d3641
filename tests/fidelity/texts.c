// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "setup.h"
#include "texts.h"

/* splitmix64 */
static uint64_t next(struct generator *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

unsigned int below(struct generator *g, unsigned int end)
{
	return (next(g) >> 32) % end;
}

bool one_in(struct generator *g, unsigned int count)
{
	return below(g, count) == 0;
}

/* --- texts */

void append(struct draft *draft, const char *at, size_t length)
{
	if (length > TEXT_MOST - draft->length)
		length = TEXT_MOST - draft->length;
	memcpy(draft->at + draft->length, at, length);
	draft->length += length;
}

void append_string(struct draft *draft, const char *string)
{
	append(draft, string, strlen(string));
}

void append_some(struct generator *g, struct draft *draft, const char *alphabet, unsigned int most)
{
	for (unsigned int i = below(g, most + 1); i; i--)
		append(draft, alphabet + below(g, strlen(alphabet)), 1);
}

struct text finish(struct generator *g, const struct draft *draft)
{
	return script_text(g->script, draft->at, draft->length);
}

static const char *const hosts[] = {
	"e.org",     "www.e.org",	  "a.e.org",	     "img.a.e.org",
	"ee.org",    "e.org.example.com", "www.example.com", "example.com",
	"192.0.2.1", "[2001:db8::1]",	  "localhost",	     "xn--e-1ga.org",
};

#define HOSTS (sizeof(hosts) / sizeof(hosts[0]))

/* A host, or a few letters before one, so that their lengths end at all places of a word. */
static void any_host(struct generator *g, struct draft *draft)
{
	size_t begin = draft->length;

	if (one_in(g, 3)) {
		append_string(draft, "a");
		append_some(g, draft, "ab-", one_in(g, 8) ? 120 : 20);
		append_string(draft, one_in(g, 4) ? "" : ".");
	}
	append_string(draft, hosts[below(g, HOSTS)]);
	if (!memchr(draft->at + begin, '[', draft->length - begin))
		g->hosts[g->host_count < STOCK ? g->host_count++ : below(g, STOCK)] =
			script_text(g->script, draft->at + begin, draft->length - begin);
}

static void append_authority(struct generator *g, struct draft *draft)
{
	static const char *const users[] = { "u@", "u:p@", "e.org@", "@" };
	static const char *const ports[] = { ":80", ":", ":8080", ".", ".:80" };

	size_t begin;

	if (one_in(g, 12))
		append_string(draft, users[below(g, 4)]);
	begin = draft->length;
	any_host(g, draft);
	for (size_t i = begin; one_in(g, 4) && i < draft->length; i++)
		if (draft->at[i] >= 'a' && draft->at[i] <= 'z')
			draft->at[i] -= 'a' - 'A';
	if (one_in(g, 8))
		append_string(draft, ports[below(g, 5)]);
}

void new_url(struct generator *g, struct draft *draft)
{
	static const char *const schemes[] = { "http://", "https://", "ftp://", "" };
	static const char *const words[] = { "a",   "ab",     "b",     "img",	     "images",
					     "foo", "foobar", "admin", "index.html", "x.png" };

	draft->length = 0;
	switch (g->style) {
	case 0: /* few letters */
		append_some(g, draft, "ab/", 12);
		break;
	case 1: /* a run up to some length, and few letters behind it */
		for (unsigned int i = below(g, 270); i; i--)
			append(draft, "a", 1);
		append_some(g, draft, "ab/", 9);
		break;
	case 2: /* all bytes */
		for (unsigned int i = 1 + below(g, 40); i; i--) {
			char c = 1 + below(g, 255);

			append(draft, strchr("\t\n\v\f\r #", c) ? "~" : &c, 1);
		}
		break;
	default:
		append_string(draft, schemes[one_in(g, 4) ? below(g, 4) : 0]);
		append_authority(g, draft);
		for (unsigned int i = below(g, one_in(g, 6) ? 50 : 6); i; i--) {
			append_string(draft, one_in(g, 20) ? "?q=" : "/");
			append_string(draft, words[below(g, 10)]);
		}
		if (one_in(g, 3))
			append_string(draft, "/");
	}
	if (draft->length == 0)
		append_string(draft, "a");
}

/* Another text that is nearly this one. */
void spoil(struct generator *g, struct draft *draft)
{
	size_t place = draft->length ? below(g, draft->length) : 0;
	char former;

	if (draft->length == 0)
		return;
	if (one_in(g, 3))
		place = draft->length - 1;
	former = draft->at[place];
	switch (below(g, 4)) {
	case 0:
		draft->at[place] ^= 1 << below(g, 8);
		break;
	case 1:
		draft->at[place] = "ab/AB.\x80\xff"[below(g, 8)];
		break;
	case 2: /* the two before and behind change places */
		draft->at[place] = draft->at[draft->length - 1];
		draft->at[draft->length - 1] = former;
		return;
	case 3:
		memmove(draft->at + place, draft->at + place + 1, draft->length - place - 1);
		draft->length--;
		return;
	}
	if (draft->at[place] == '\0' || strchr("\t\n\v\f\r ", draft->at[place]))
		draft->at[place] = former;
}

/* Cuts it anywhere, but rather at the end of a word. */
void cut(struct generator *g, struct draft *draft)
{
	size_t place = below(g, draft->length + 1);

	if (one_in(g, 2))
		place = place / 8 * 8 + below(g, 3) - 1;
	if (place < draft->length) /* 0 - 1 is not */
		draft->length = place;
}

void take_stock(struct generator *g, struct draft *draft)
{
	struct text from = g->stock[below(g, STOCK)];

	if (g->entry_count && one_in(g, 3))
		from = g->entries[below(g, g->entry_count)];
	draft->length = 0;
	append(draft, from.at, from.length);
}

/* --- entries */

void prefix_of_stock(struct generator *g, struct draft *draft)
{
	take_stock(g, draft);
	if (draft->length > 255)
		draft->length = 255 - below(g, 9);
	if (!one_in(g, 4))
		cut(g, draft);
	if (one_in(g, 5))
		spoil(g, draft);
	if (one_in(g, 40))
		draft->length = 0;
}

void piece_of_stock(struct generator *g, struct draft *draft, bool end)
{
	size_t begin;

	take_stock(g, draft);
	begin = below(g, draft->length + 1);
	if (!end || one_in(g, 4))
		draft->length -= below(g, draft->length - begin + 1);
	if (draft->length - begin > 12 && !one_in(g, 4))
		begin = draft->length - 1 - below(g, 12);
	memmove(draft->at, draft->at + begin, draft->length - begin);
	draft->length -= begin;
	if (one_in(g, 4))
		spoil(g, draft);
	if (draft->length == 0)
		append_string(draft, "b");
}

static void append_literal(struct draft *draft, char c, const char *special)
{
	if (strchr(special, c))
		append_string(draft, "\\");
	append(draft, &c, 1);
}

static void append_set(struct generator *g, struct draft *draft, char c, const char *negation)
{
	bool simple = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '/';

	append_string(draft, "[");
	if (one_in(g, 4))
		append_string(draft, negation);
	else if (simple)
		append(draft, &c, 1);
	append_string(draft, one_in(g, 2) ? "a-c" : "ab/");
	append_string(draft, "]");
}

static void new_glob(struct generator *g, struct draft *draft)
{
	struct draft from;
	/* Lists with many stars need too many states, which is found out slowly. */
	unsigned int stars = one_in(g, 8) ? 3 : one_in(g, 4);

	take_stock(g, &from);
	if (from.length > 80)
		from.length = 80;
	draft->length = 0;
	if (one_in(g, 3))
		append_string(draft, "*");
	for (size_t i = 0; i < from.length; i++) {
		switch (below(g, 12)) {
		case 0:
			append_string(draft, "?");
			break;
		case 1:
			append_set(g, draft, from.at[i], "!");
			break;
		case 2:
			if (stars && stars--) {
				append_string(draft, "*");
				i += below(g, 6);
				break;
			}
			/* fall through */
		default:
			append_literal(draft, from.at[i], "*?[]\\");
		}
	}
	if (one_in(g, 3) || draft->length == 0)
		append_string(draft, "*");
}

/* One element; what repeats without a bound is rare, or a search would come to its limit. */
static void append_element(struct generator *g, struct draft *draft, char c, unsigned int *loops)
{
	switch (below(g, 12)) {
	case 0:
		append_string(draft, ".");
		break;
	case 1:
		append_set(g, draft, c, "^");
		break;
	case 2:
		append_string(draft, "(");
		append_literal(draft, c, "\\^$.[]|()?*+{}");
		append_string(draft, "|");
		append_some(g, draft, "ab/", 2);
		append_string(draft, ")");
		if (one_in(g, 3))
			append_string(draft, "?");
		return;
	default:
		append_literal(draft, c, "\\^$.[]|()?*+{}");
	}
	if (one_in(g, 8))
		append_string(draft, "?");
	else if (one_in(g, 8) && (*loops)++ == 0)
		append_string(draft, one_in(g, 2) ? "*" : "+");
}

static void new_regex(struct generator *g, struct draft *draft)
{
	unsigned int loops = 0;
	struct draft from;

	piece_of_stock(g, &from, false);
	if (from.length > 24)
		from.length = 24;
	draft->length = 0;
	if (one_in(g, 5))
		append_string(draft, "^");
	for (size_t i = 0; i < from.length; i++)
		append_element(g, draft, from.at[i], &loops);
	if (one_in(g, 5))
		append_string(draft, "$");
	if (one_in(g, 6)) {
		append_string(draft, "|");
		append_some(g, draft, "ab/", 4);
		append_string(draft, "b/");
	}
}

static void new_host(struct generator *g, struct draft *draft)
{
	const char *host = hosts[below(g, HOSTS)];

	if (g->host_count && one_in(g, 3)) { /* of a URL that is asked */
		struct text of_url = g->hosts[below(g, g->host_count)];

		draft->length = 0;
		if (one_in(g, 3))
			append_string(draft, ".");
		append(draft, of_url.at, of_url.length);
		return;
	}
	draft->length = 0;
	if (host[0] != '[' && one_in(g, 2)) {
		append_string(draft, ".");
		if (one_in(g, 3) && strchr(host, '.'))
			host = strchr(host, '.') + 1;
	}
	append_string(draft, host);
}

void random_address(struct generator *g, uint8_t address[16])
{
	memset(address, 0, 16);
	if (!g->limits->addresses) {
		static const uint8_t four[] = { 0xff, 0xff, 10, 1, 0, 1 };

		if (one_in(g, 2)) {
			memcpy(address + 10, four, 6);
		} else { /* fd00:1::1 */
			address[0] = 0xfd;
			address[3] = address[15] = 1;
		}
		return;
	}
	if (one_in(g, 3)) { /* 2001:db8:: */
		memcpy(address, "\x20\x01\x0d\xb8", 4);
		for (int i = 4; i < 16; i++)
			address[i] = one_in(g, 3) ? below(g, 3) : 0;
		return;
	}
	address[10] = address[11] = 0xff;
	address[12] = 10;
	for (int i = 13; i < 16; i++)
		address[i] = below(g, 3) == 2 ? 0x80 : below(g, 2);
	if (address[15] == 0)
		address[15] = 1;
}

static void new_network(struct generator *g, struct draft *draft)
{
	uint8_t address[16];
	char text[INET6_ADDRSTRLEN + 8];
	unsigned int first, bits;
	bool six;

	random_address(g, address);
	six = address[10] != 0xff;
	first = six ? 0 : 96;
	bits = below(g, 8) ? below(g, 128 - first + 1) : 128 - first;
	if (one_in(g, 3))
		bits = bits / 8 * 8;
	for (unsigned int bit = first + bits; bit < 128; bit++)
		address[bit / 8] &= ~(0x80 >> bit % 8);
	inet_ntop(six ? AF_INET6 : AF_INET, address + (six ? 0 : 12), text, sizeof(text));
	if (bits < 128 - first || one_in(g, 2))
		sprintf(text + strlen(text), "/%u", bits);
	draft->length = 0;
	append_string(draft, text);
}

/* "RESOURCE ABOVE BELOW" */
static void new_load(struct generator *g, struct draft *draft)
{
	unsigned int above = 10 * (1 + below(g, 4)), below_it = above - 5 * below(g, 3);
	char text[64];

	snprintf(text, sizeof(text), "%s %u %u", load_names[below(g, LOAD_MAX)], above, below_it);
	draft->length = 0;
	append_string(draft, text);
}

static void new_span(struct generator *g, struct draft *draft)
{
	static const char *const days[] = { "",		"Mon ",	    "Tue ",	"Sun ",
					    "Mon-Tue ", "Sat-Mon ", "Mon-Fri ", "Sun-Mon " };
	static const char *const spans[] = { "00:00-24:00", "02:00-04:00", "02:30-02:31",
					     "22:00-06:00", "23:59-00:01", "00:00-00:01" };

	draft->length = 0;
	append_string(draft, days[below(g, 8)]);
	append_string(draft, spans[below(g, 6)]);
}

void new_entry(struct generator *g, enum kind kind, struct draft *draft)
{
	switch (kind) {
	case KIND_PREFIX:
		prefix_of_stock(g, draft);
		break;
	case KIND_EXACT:
		prefix_of_stock(g, draft);
		if (draft->length == 0)
			append_string(draft, "a");
		break;
	case KIND_SUBSTRING:
	case KIND_SUFFIX:
		piece_of_stock(g, draft, kind == KIND_SUFFIX);
		break;
	case KIND_GLOB:
		new_glob(g, draft);
		break;
	case KIND_REGEX:
		new_regex(g, draft);
		break;
	case KIND_HOST:
		new_host(g, draft);
		break;
	case KIND_SOURCE:
		new_network(g, draft);
		break;
	case KIND_LOAD:
		new_load(g, draft);
		break;
	case KIND_SCHEDULE:
		new_span(g, draft);
		break;
	case KIND_HELPER:
	case KIND_LUA:
	case KIND_PLUGIN:
		piece_of_stock(g, draft, false);
		break;
	default:
		draft->length = 0;
		append(draft, "abc" + below(g, 3), 1);
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Texts that are hard to tell apart: all of a script's entries and URLs come from a small stock of
 * URLs that share their beginnings, are cut wherever a word of 8 bytes ends or next to it, and then
 * differ in a byte, in a bit, in the last byte, or in what follows.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "generator.h"

#define STOCK 24
#define ASKED 96      /* URLs that may be asked again */
#define TEXT_MOST 700 /* bytes of a URL */
#define NAMES 14

struct generator {
	struct script *script;
	const struct generator_limits *limits;
	uint64_t state;
	unsigned int style;
	struct text stock[STOCK];
	struct text entries[STOCK]; /* of policies, some of them */
	size_t entry_count;
	struct text asked[ASKED];
	size_t asked_count;
	struct text rules[8];
	size_t rule_count;
	unsigned int thousands; /* policies with so many entries */
};

/* splitmix64 */
static uint64_t next(struct generator *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static unsigned int below(struct generator *g, unsigned int end)
{
	return (next(g) >> 32) % end;
}

static bool one_in(struct generator *g, unsigned int count)
{
	return below(g, count) == 0;
}

static uint8_t any_verdict(struct generator *g)
{
	static const uint8_t verdicts[] = { 2, 3, 4, 21, 22 };

	return verdicts[below(g, sizeof(verdicts))];
}

/* --- texts */

/* While it is made; `length` is always below the size. */
struct draft {
	size_t length;
	char at[2 * TEXT_MOST];
};

static void append(struct draft *draft, const char *at, size_t length)
{
	if (length > TEXT_MOST - draft->length)
		length = TEXT_MOST - draft->length;
	memcpy(draft->at + draft->length, at, length);
	draft->length += length;
}

static void append_string(struct draft *draft, const char *string)
{
	append(draft, string, strlen(string));
}

static void append_some(struct generator *g, struct draft *draft, const char *alphabet,
			unsigned int most)
{
	for (unsigned int i = below(g, most + 1); i; i--)
		append(draft, alphabet + below(g, strlen(alphabet)), 1);
}

static struct text finish(struct generator *g, const struct draft *draft)
{
	return script_text(g->script, draft->at, draft->length);
}

static const char *const hosts[] = {
	"e.org",     "www.e.org",	  "a.e.org",	     "img.a.e.org",
	"ee.org",    "e.org.example.com", "www.example.com", "example.com",
	"192.0.2.1", "[2001:db8::1]",	  "localhost",	     "xn--e-1ga.org",
};

#define HOSTS (sizeof(hosts) / sizeof(hosts[0]))

static void append_authority(struct generator *g, struct draft *draft)
{
	static const char *const users[] = { "u@", "u:p@", "e.org@", "@" };
	static const char *const ports[] = { ":80", ":", ":8080", ".", ".:80" };

	if (one_in(g, 12))
		append_string(draft, users[below(g, 4)]);
	append_string(draft, hosts[below(g, HOSTS)]);
	if (one_in(g, 8))
		append_string(draft, ports[below(g, 5)]);
}

static void new_url(struct generator *g, struct draft *draft)
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
static void spoil(struct generator *g, struct draft *draft)
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
static void cut(struct generator *g, struct draft *draft)
{
	size_t place = below(g, draft->length + 1);

	if (one_in(g, 2))
		place = place / 8 * 8 + below(g, 3) - 1;
	if (place < draft->length) /* 0 - 1 is not */
		draft->length = place;
}

static void take_stock(struct generator *g, struct draft *draft)
{
	struct text from = g->stock[below(g, STOCK)];

	if (g->entry_count && one_in(g, 3))
		from = g->entries[below(g, g->entry_count)];
	draft->length = 0;
	append(draft, from.at, from.length);
}

/* --- entries */

static void prefix_of_stock(struct generator *g, struct draft *draft)
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

static void piece_of_stock(struct generator *g, struct draft *draft, bool end)
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
	unsigned int stars = 0;

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
			if (stars++ < 3) {
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

	draft->length = 0;
	if (host[0] != '[' && one_in(g, 2)) {
		append_string(draft, ".");
		if (one_in(g, 3) && strchr(host, '.'))
			host = strchr(host, '.') + 1;
	}
	append_string(draft, host);
}

static void random_address(struct generator *g, uint8_t address[16])
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

static void new_entry(struct generator *g, enum kind kind, struct draft *draft)
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
	default:
		draft->length = 0;
		append_some(g, draft, "abc", 0);
		append(draft, "abc" + below(g, 3), 1);
	}
}

static void add_entry(struct generator *g, struct text name, enum kind kind,
		      const struct draft *draft, uint8_t own)
{
	/* A file has neither empty lines nor some that begin so. */
	bool line = own && draft->length && draft->at[0] != '#';
	struct text text = finish(g, draft);
	struct step *step = script_add(g->script, line ? STEP_LINE : STEP_TEXT);

	step->name = name;
	step->text = text;
	if (line)
		step->verdict = own;
	if (kind == KIND_PREFIX || kind == KIND_EXACT || kind == KIND_SUFFIX) {
		size_t place = g->entry_count < STOCK ? g->entry_count++ : below(g, STOCK);

		g->entries[place] = step->text;
	}
}

/* Is the entry in the policy that begins at a step? Two verdicts for one text are a mistake. */
static bool is_listed(const struct generator *g, size_t from, const struct draft *draft)
{
	const struct text text = { draft->at, draft->length };

	for (size_t i = from; i < g->script->count; i++)
		if (text_equal(g->script->steps[i].text, text))
			return true;
	return false;
}

/* Many in a nest: each is the one before it and a few bytes more. */
static void add_nest(struct generator *g, struct text name, enum kind kind)
{
	struct draft draft, whole;
	unsigned int step = 1 + below(g, 5);

	take_stock(g, &whole);
	while (whole.length < 255)
		append_some(g, &whole, "ab/", 20);
	whole.length = 255;
	g->stock[below(g, STOCK)] = finish(g, &whole);
	draft = whole;
	for (draft.length = 1 + below(g, 60); draft.length < 256; draft.length += step)
		add_entry(g, name, kind, &draft, VERDICT_NONE);
}

/* As an operator has them: a host or a few and thousands of paths below, or as many hosts. */
static void add_thousands(struct generator *g, struct text name, enum kind kind)
{
	unsigned int several = 1 + below(g, 4), many = 200 + below(g, 1200);
	bool many_hosts = one_in(g, 2);
	struct draft draft, base[4];

	for (unsigned int i = 0; i < several; i++) {
		take_stock(g, &base[i]);
		if (base[i].length > 200)
			base[i].length = 200;
	}
	for (unsigned int i = 0; i < many; i++) {
		draft = base[below(g, several)];
		if (many_hosts) {
			draft.length = 0;
			append_string(&draft, one_in(g, 8) ? "https://" : "http://");
			append_some(g, &draft, "0123456789abcdef", one_in(g, 4) ? 16 : 2);
			append_string(&draft, one_in(g, 8) ? ".e.or" : ".e.org/");
		}
		append_some(g, &draft, "ab/", 3);
		append_some(g, &draft, "0123456789abcdef/", many_hosts ? 6 : 40);
		if (draft.length == 0)
			append_string(&draft, "a");
		if (draft.length > 255)
			draft.length = 255;
		add_entry(g, name, kind, &draft, VERDICT_NONE);
	}
}

static void add_policy(struct generator *g)
{
	static const char *const names[NAMES] = { "1", "10", "2", "20", "A",	    "a",  "aa",
						  "b", "-",  "z", "~",	"\xc3\xa9", "30", "b c" };
	static const enum kind kinds[] = {
		KIND_PREFIX, KIND_PREFIX,    KIND_PREFIX, KIND_PREFIX, KIND_EXACT,
		KIND_EXACT,  KIND_SUBSTRING, KIND_SUFFIX, KIND_GLOB,   KIND_REGEX,
		KIND_HOST,   KIND_SOURCE,    KIND_SOURCE, KIND_FLAG,
	};
	enum kind kind = kinds[below(g, sizeof(kinds) / sizeof(kinds[0]))];
	struct text name = { names[below(g, NAMES)], 0 };
	struct step *step = script_add(g->script, STEP_POLICY);
	size_t from = g->script->count;
	bool own = kind != KIND_SOURCE && kind != KIND_FLAG && one_in(g, 3);

	name.length = strlen(name.at);
	step->name = name;
	step->policy = kind;
	step->verdict = any_verdict(g);
	step->on = one_in(g, 8);
	if (one_in(g, 2))
		step->cost = one_in(g, 3) ? below(g, 2) * 65535 : below(g, 65536);
	if (kind == KIND_PREFIX && one_in(g, 8)) {
		add_nest(g, name, kind);
	} else if ((kind == KIND_PREFIX || kind == KIND_EXACT) && g->limits->large &&
		   g->thousands < 2 && one_in(g, 60)) {
		g->thousands++;
		add_thousands(g, name, kind);
	} else {
		unsigned int count = kind == KIND_FLAG ? 1 : 1 + below(g, one_in(g, 4) ? 24 : 5);

		/* What is in the file comes last. */
		for (unsigned int in_file = 0; in_file < 1u + own; in_file++)
			for (unsigned int i = 0; i < count; i++) {
				struct draft draft;

				new_entry(g, kind, &draft);
				if (!is_listed(g, from, &draft))
					add_entry(g, name, kind, &draft,
						  in_file ? any_verdict(g) : VERDICT_NONE);
			}
	}
}

/* --- the other steps */

static void add_flag(struct generator *g)
{
	struct step *step = script_add(g->script, STEP_FLAG);

	step->name = (struct text){ &"abc"[below(g, 3)], 1 };
	step->name = script_text(g->script, step->name.at, 1);
	step->on = one_in(g, 3);
}

static void add_rule(struct generator *g)
{
	struct draft draft;
	struct step *step;

	if (g->rule_count && one_in(g, 2)) {
		step = script_add(g->script, STEP_UNRULE);
		step->text = g->rules[--g->rule_count];
		return;
	}
	if (g->rule_count == 8)
		return;
	prefix_of_stock(g, &draft);
	if (g->rule_count && one_in(g, 2)) { /* one within another */
		struct text outer = g->rules[g->rule_count - 1];

		draft.length = 0;
		append(&draft, outer.at, outer.length);
		append_some(g, &draft, "ab/", 3);
		if (draft.length > 255)
			draft.length = 255;
	}
	if (draft.length == 0 && !one_in(g, 10))
		append_string(&draft, "b");
	step = script_add(g->script, STEP_RULE);
	step->text = g->rules[g->rule_count++] = finish(g, &draft);
	step->verdict = one_in(g, 6) ? VERDICT_NONE : any_verdict(g);
}

static void add_change(struct generator *g)
{
	struct step *step;

	switch (below(g, 12)) {
	case 0:
	case 1:
	case 2:
		add_policy(g);
		break;
	case 3:
	case 4: { /* one that is there, if it is */
		struct text name = { "", 0 };

		for (size_t i = below(g, g->script->count); i < g->script->count; i++)
			if (g->script->steps[i].kind == STEP_POLICY) {
				name = g->script->steps[i].name;
				break;
			}
		step = script_add(g->script, STEP_REMOVE);
		step->name = name;
		break;
	}
	case 5:
	case 6:
	case 7:
		add_flag(g);
		break;
	case 8:
	case 9:
		add_rule(g);
		break;
	case 10:
		step = script_add(g->script, STEP_DEFAULT);
		step->verdict = any_verdict(g);
		break;
	default:
		if (g->limits->watch && one_in(g, 2)) {
			step = script_add(g->script, STEP_WATCH);
		} else {
			step = script_add(g->script, STEP_DRAIN);
			step->verdict = one_in(g, 4) ? VERDICT_SILENCE : any_verdict(g);
		}
	}
}

static struct text new_question(struct generator *g)
{
	struct draft draft;

	take_stock(g, &draft);
	if (one_in(g, 5))
		cut(g, &draft);
	if (one_in(g, 3))
		append_some(g, &draft, "ab/", 4);
	if (one_in(g, 3))
		spoil(g, &draft);
	if (one_in(g, 30)) /* around what fits, or far beyond it */
		for (unsigned int to = one_in(g, 4) ? 700 : 250 + below(g, 10); draft.length < to;)
			append(&draft, "a/b" + below(g, 3), 1);
	if (one_in(g, 300) && draft.length)
		draft.at[below(g, draft.length)] = "\t\n\v\f\r "[below(g, 6)];
	if (draft.length == 0)
		append_string(&draft, "a");
	return finish(g, &draft);
}

static void add_ask(struct generator *g)
{
	struct step *step;
	struct text url;

	if (g->asked_count && !one_in(g, 3)) {
		url = g->asked[below(g, g->asked_count)];
	} else {
		size_t place = g->asked_count < ASKED ? g->asked_count++ : below(g, ASKED);

		url = g->asked[place] = new_question(g);
	}
	step = script_add(g->script, STEP_ASK);
	step->text = url;
	step->on = !one_in(g, 4);
	random_address(g, step->address);
}

void generate(struct script *script, uint64_t seed, const struct generator_limits *limits)
{
	struct generator g = { .script = script, .limits = limits, .state = seed };
	struct draft draft;
	bool edge;

	g.style = below(&g, 7);
	edge = one_in(&g, 4);
	for (size_t i = 0; i < STOCK; i++) {
		new_url(&g, &draft);
		/* The last bytes that the kernel looks at. */
		if (edge && i % 4 == 0)
			for (unsigned int to = 248 + below(&g, 8); draft.length < to;)
				append_some(&g, &draft, "ab/", to - draft.length);
		g.stock[i] = finish(&g, &draft);
	}
	script_add(script, STEP_HASH)->cost = below(&g, 1u << 30);
	script_add(script, STEP_DEFAULT)->verdict = any_verdict(&g);
	for (unsigned int i = below(&g, one_in(&g, 5) ? 14 : 6); i; i--)
		add_policy(&g);
	for (unsigned int round = 0; round < limits->rounds; round++) {
		for (unsigned int i = 0; i < limits->asks; i++)
			add_ask(&g);
		/* What is rare ends soon. */
		script_add(script, STEP_DRAIN);
		script_add(script, STEP_WATCH)->on = true;
		for (unsigned int i = 1 + below(&g, 3); i; i--)
			add_change(&g);
	}
}

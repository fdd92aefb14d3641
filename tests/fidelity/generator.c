// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lately.h"
#include "setup.h"
#include "texts.h"

#define NAMES 14

static const char *const names[NAMES] = { "1", "10", "2", "20", "A",	    "a",  "aa",
					  "b", "-",  "z", "~",	"\xc3\xa9", "30", "b c" };

static uint8_t any_verdict(struct generator *g)
{
	static const uint8_t verdicts[] = { 2, 3, 4, 21, 22 };

	return verdicts[below(g, sizeof(verdicts))];
}

static struct text url_of_host(struct generator *g, struct text host)
{
	bool domain = host.at[0] == '.' && !one_in(g, 8);
	struct draft draft = { 0 };

	append_string(&draft, "http://");
	append(&draft, host.at + domain, host.length - domain);
	append_string(&draft, one_in(g, 4) ? "" : "/");
	return finish(g, &draft);
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
	if (kind_replies(kind) && one_in(g, 3)) {
		step->from = true;
		memcpy(step->address, g->askers[below(g, ASKERS)], sizeof(step->address));
	}
	if (kind == KIND_HELPER || kind == KIND_PLUGIN)
		g->replies[g->reply_count < REPLIES ? g->reply_count++ : below(g, REPLIES)] = *step;
	if (kind == KIND_PREFIX || kind == KIND_EXACT || kind == KIND_SUFFIX || kind == KIND_HOST) {
		size_t place = g->entry_count < STOCK ? g->entry_count++ : below(g, STOCK);

		g->entries[place] = kind == KIND_HOST ? url_of_host(g, step->text) : step->text;
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

/* Many in a nest: each is the one before it and a few bytes more, at the end or at the beginning. */
static void add_nest(struct generator *g, struct text name, enum kind kind, size_t least)
{
	struct draft draft, whole;
	unsigned int step = 1 + below(g, 5);
	size_t length;

	take_stock(g, &whole);
	while (whole.length < 255)
		append_some(g, &whole, "ab/", 20);
	whole.length = 255;
	g->stock[below(g, STOCK)] = finish(g, &whole);
	for (length = 1 + least + below(g, 60); length < 256; length += step) {
		draft.length = 0;
		append(&draft, whole.at + (kind == KIND_SUFFIX ? whole.length - length : 0),
		       length);
		add_entry(g, name, kind, &draft, VERDICT_NONE);
	}
}

/* Domains within domains, and a URL below all of them. */
static void add_nested_domains(struct generator *g, struct text name)
{
	struct draft draft, domain = { 0 };
	char label;

	append_string(&domain, ".e.org");
	for (unsigned int i = 4 + below(g, 110); i; i--) {
		add_entry(g, name, KIND_HOST, &domain, VERDICT_NONE);
		label = "ab"[below(g, 2)];
		draft.length = 0;
		append_string(&draft, ".");
		append(&draft, &label, 1);
		append(&draft, domain.at, domain.length);
		domain = draft;
	}
	draft.length = 0;
	append_string(&draft, "http://b");
	append(&draft, domain.at, domain.length);
	append_string(&draft, "/");
	g->stock[below(g, STOCK)] = finish(g, &draft);
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
		if (kind == KIND_SUFFIX && one_in(g, 2)) /* and of any length */
			draft.length = 1 + below(g, draft.length);
		if (kind == KIND_HOST) {
			draft.length = 0;
			append_string(&draft, one_in(g, 2) ? "0" : ".0");
			append_some(g, &draft, "0123456789abcdef", one_in(g, 2) ? 16 : 2);
			append_string(&draft, one_in(g, 4) ? ".a.e.org" : ".e.org");
		}
		add_entry(g, name, kind, &draft, VERDICT_NONE);
	}
}

/* A kind that has to do with nothing but the query is more frequent. */
static enum kind any_kind(struct generator *g)
{
	static const enum kind kinds[] = {
		KIND_PREFIX, KIND_PREFIX,    KIND_PREFIX, KIND_PREFIX, KIND_EXACT,
		KIND_EXACT,  KIND_SUBSTRING, KIND_SUFFIX, KIND_GLOB,   KIND_REGEX,
		KIND_HOST,   KIND_SOURCE,    KIND_SOURCE, KIND_FLAG,   KIND_PARTITION,
	};
	static const enum kind lively[] = {
		KIND_HELPER, KIND_HELPER, KIND_HELPER, KIND_LUA,      KIND_PLUGIN,
		KIND_PLUGIN, KIND_LOAD,	  KIND_HEALTH, KIND_SCHEDULE,
	};

	/* Over the wire scripts are few. */
	if (!g->limits->host && one_in(g, 3))
		return one_in(g, 2) ? KIND_RECENT : KIND_PARTITION;
	if (one_in(g, 8))
		return KIND_RECENT;
	if (g->lively && one_in(g, 2))
		return lively[below(g, g->limits->host ? 9 : 6)];
	return kinds[below(g, sizeof(kinds) / sizeof(kinds[0]))];
}

#define KEYS 10

static const char *const keys[KEYS] = { "url",	   "host", "host+0", "host+1", "host+2",
					"host+15", "path", "path+0", "path+1", "path+3" };

/* A partition's settings, members, and prefixes that are assigned to them, or have a verdict. */
static void add_partition(struct generator *g, struct text name)
{
	static const char *const members[] = { "a",  "b",  "c",	 "aa", "A",	    "origin-1",
					       "d.", "_e", "-f", "10", "origin.10", "z" };
	unsigned int count = 1 + below(g, one_in(g, 3) ? 12 : 3), first = below(g, 12);
	size_t from = g->script->count;
	struct draft draft = { 0 };

	draft.length =
		sprintf(draft.at, " key %s %s depth %u others %s of %s", keys[below(g, KEYS)],
			one_in(g, 2) ? "query" : "short", 1 + below(g, one_in(g, 2) ? 3 : 15),
			verdict_name(any_verdict(g)), members[first]);
	add_entry(g, name, KIND_PARTITION, &draft, VERDICT_NONE);
	for (unsigned int i = 0; i < count; i++) {
		draft.length = sprintf(draft.at, " member %s %u", members[(first + 5 * i) % 12],
				       one_in(g, 2) ? 100 : 1 + below(g, 10000));
		add_entry(g, name, KIND_PARTITION, &draft, VERDICT_NONE);
	}
	/* Those with a verdict are lines, which come last. */
	for (unsigned int i = below(g, one_in(g, 4) ? 24 : 4), lines = i / 3; i; i--) {
		struct draft prefix;
		bool listed = false;

		prefix_of_stock(g, &prefix);
		for (size_t k = from; k < g->script->count; k++) {
			struct text text = g->script->steps[k].text;

			listed = listed || (text.length >= prefix.length &&
					    memcmp(text.at + text.length - prefix.length, prefix.at,
						   prefix.length) == 0);
		}
		if (listed || prefix.length == 0 || prefix.at[0] == '#')
			continue;
		if (i > lines) {
			draft.length = sprintf(draft.at, " owner %s ",
					       members[(first + 5 * below(g, count)) % 12]);
			append(&draft, prefix.at, prefix.length);
			add_entry(g, name, KIND_PARTITION, &draft, VERDICT_NONE);
		} else {
			add_entry(g, name, KIND_PARTITION, &prefix, any_verdict(g));
		}
	}
}

/* A recent's settings. */
static void add_recent(struct generator *g, struct text name)
{
	unsigned int window = g->limits->host || one_in(g, 8) ? 1 + below(g, 3) : LATELY_LONG;
	struct draft draft = { 0 };

	draft.length = sprintf(draft.at, " key %s %s window %u most %u", keys[below(g, KEYS)],
			       one_in(g, 2) ? "query" : "short", window, 1 + below(g, LATELY_MOST));
	add_entry(g, name, KIND_RECENT, &draft, VERDICT_NONE);
	g->recents[g->recent_count < RECENTS ? g->recent_count++ : below(g, RECENTS)] =
		(struct fed){ name, window };
}

static unsigned int any_count(struct generator *g, enum kind kind)
{
	if (kind_is_gate(kind) && kind != KIND_SCHEDULE)
		return 1;
	if (!kind_is_gate(kind) && !kind_replies(kind) && one_in(g, 60)) /* a file may be empty */
		return 0;
	return 1 + below(g, one_in(g, 4) ? 24 : 5);
}

/* Texts too short to be found by their first bytes, in a list of others. */
static void add_short_texts(struct generator *g, struct text name)
{
	for (unsigned int i = 1 + below(g, 3); i > 0; i--) {
		struct draft draft = { 0 };

		append_some(g, &draft, "?&~=x7", 2);
		append_string(&draft, "/");
		add_entry(g, name, KIND_SUBSTRING, &draft, VERDICT_NONE);
	}
}

static void add_policy(struct generator *g)
{
	enum kind kind = any_kind(g);
	struct text name = { names[below(g, NAMES)], 0 };
	struct step *step = script_add(g->script, STEP_POLICY);
	size_t from = g->script->count;
	/* Texts that are long enough are found by their first bytes. */
	unsigned int least = kind == KIND_SUBSTRING && one_in(g, 2) ? 4 + below(g, 9) : 0;
	bool own =
		kind != KIND_SOURCE && !kind_is_gate(kind) && (kind_replies(kind) || one_in(g, 3));

	name.length = strlen(name.at);
	step->name = name;
	step->policy = kind;
	step->verdict = any_verdict(g);
	step->on = kind != KIND_PARTITION && one_in(g, least ? 3 : 8);
	if (kind != KIND_PARTITION && one_in(g, 2))
		step->cost = one_in(g, 3) ? below(g, 2) * 65535 : below(g, 65536);
	if (kind_replies(kind)) {
		step->ttl = (int)below(g, 5) - 1;
		step->sees = kind == KIND_PLUGIN ? below(g, SIGHT_MAX) : SEES_URL;
	}
	if (kind == KIND_PARTITION) {
		add_partition(g, name);
	} else if (kind == KIND_RECENT) {
		add_recent(g, name);
	} else if ((kind == KIND_PREFIX || kind == KIND_SUFFIX || least) && one_in(g, 8)) {
		add_nest(g, name, kind, least);
	} else if (kind == KIND_HOST && one_in(g, 8)) {
		add_nested_domains(g, name);
	} else if ((kind == KIND_PREFIX || kind == KIND_EXACT || kind == KIND_SUFFIX ||
		    kind == KIND_HOST || least) &&
		   g->limits->large && g->thousands < 2 && one_in(g, 40)) {
		g->thousands++;
		add_thousands(g, name, kind);
		if (least && one_in(g, 2))
			add_short_texts(g, name);
	} else {
		unsigned int count = least && one_in(g, 2) ? 9 + below(g, 8) : any_count(g, kind);

		/* What is in the file comes last. */
		for (unsigned int in_file = 0; in_file < 1u + own; in_file++)
			for (unsigned int i = 0; i < count; i++) {
				struct draft draft;

				new_entry(g, kind, &draft);
				while (draft.length < least)
					append_some(g, &draft, "ab/.-e0", least);
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

/* A recent is told of a URL: one that is asked, mostly. */
static void add_seen(struct generator *g)
{
	const struct fed *fed;
	struct draft draft;
	struct step *step;
	struct text url;

	if (g->recent_count == 0)
		return;
	fed = &g->recents[below(g, g->recent_count)];
	/* Over the wire that takes time. */
	if (!g->limits->host && fed->window < LATELY_LONG && !one_in(g, 6))
		return;
	take_stock(g, &draft);
	url = g->asked_count && !one_in(g, 4) ? g->asked[below(g, g->asked_count)].url
					      : finish(g, &draft);
	if (url.length == 0 || strpbrk(url.at, "\t\n\v\f\r "))
		return;
	step = script_add(g->script, STEP_RECENT);
	step->name = fed->name;
	step->on = !one_in(g, 4);
	if (step->on || !one_in(g, 8))
		step->text = url;
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

static void add_ask(struct generator *g, enum step_kind kind)
{
	struct asked *asked;
	struct step *step;
	struct text url;

	if (g->asked_count && !one_in(g, 3)) {
		asked = &g->asked[below(g, g->asked_count)];
	} else {
		asked = &g->asked[g->asked_count < ASKED ? g->asked_count++ : below(g, ASKED)];
		asked->url = new_question(g);
		asked->asker = below(g, ASKERS);
	}
	url = asked->url;
	step = script_add(g->script, kind);
	step->text = url;
	step->on = !one_in(g, 4);
	if (g->lively && one_in(g, 2))
		memcpy(step->address, g->askers[asked->asker], sizeof(step->address));
	else if (g->lively && one_in(g, 2))
		memcpy(step->address, g->askers[below(g, ASKERS)], sizeof(step->address));
	else
		random_address(g, step->address);
}

/* A helper or plugin replies in another way to one of its texts. */
static void add_reply(struct generator *g)
{
	struct step *step;

	if (g->reply_count == 0)
		return;
	step = script_add(g->script, STEP_SAYS);
	*step = g->replies[below(g, g->reply_count)];
	step->kind = STEP_SAYS;
	step->verdict = one_in(g, 5) ? VERDICT_NONE : any_verdict(g);
	if (one_in(g, 3)) {
		step->from = !step->from;
		memcpy(step->address, g->askers[below(g, ASKERS)], sizeof(step->address));
	}
}

static void add_clock(struct generator *g)
{
	static const char *const clocks[] = { "Mon 00:00", "Mon 02:30", "Mon 03:59", "Mon 23:59",
					      "Tue 00:00", "Tue 05:59", "Tue 06:00", "Sat 22:00",
					      "Sun 02:31", "Sun 23:59" };
	struct step *step = script_add(g->script, STEP_CLOCK);

	step->text = (struct text){ clocks[below(g, 10)], 9 };
}

/* What happens to the host between two queries. */
static void add_event(struct generator *g)
{
	struct step *step;

	switch (below(g, 3)) {
	case 0:
		step = script_add(g->script, STEP_LOAD);
		step->name = (struct text){ load_names[below(g, LOAD_MAX)], 0 };
		step->name.length = strlen(step->name.at);
		step->number = 5 * below(g, 10) + below(g, 2);
		break;
	case 1:
		add_clock(g);
		break;
	default:
		step = script_add(g->script, STEP_ORIGIN);
		step->name = script_text(g->script, "abc" + below(g, 3), 1);
		step->on = one_in(g, 2);
	}
}

/* What happens between two queries; where time passes for the test as well, not too much of it. */
static void add_life(struct generator *g)
{
	static const int times[] = { 1, 500, 999, 1000, 1001, 1999, 2000, 3000 };
	struct step *step;

	switch (below(g, g->limits->host ? 16 : 12)) {
	case 0:
		step = script_add(g->script, STEP_TIME);
		step->number = times[below(g, g->limits->host ? 8 : 5)];
		break;
	case 1:
	case 2:
	case 3:
		add_reply(g);
		break;
	case 4:
		add_flag(g);
		break;
	case 5:
	case 6:
	case 7:
		add_ask(g, STEP_BEGIN);
		break;
	case 8:
		step = script_add(g->script, STEP_LOSE);
		step->number = below(g, 8);
		break;
	case 9:
	case 10:
	case 11:
		step = script_add(g->script, STEP_REPLY);
		step->number = below(g, 8);
		break;
	default:
		add_event(g);
	}
}

void generate(struct script *script, uint64_t seed, const struct generator_limits *limits)
{
	struct generator g = { .script = script, .limits = limits, .state = seed };
	struct draft draft;
	bool edge;

	g.style = below(&g, 7);
	edge = one_in(&g, 4);
	g.lively = limits->lively && !one_in(&g, 3);
	for (size_t i = 0; i < ASKERS; i++)
		random_address(&g, g.askers[i]);
	for (size_t i = 0; i < STOCK; i++) {
		new_url(&g, &draft);
		/* The last bytes that the kernel looks at. */
		if (edge && i % 4 == 0)
			for (unsigned int to = 248 + below(&g, 8); draft.length < to;)
				append_some(&g, &draft, "ab/", to - draft.length);
		g.stock[i] = finish(&g, &draft);
	}
	script_add(script, STEP_HASH)->number = below(&g, 1u << 30);
	script_add(script, STEP_DEFAULT)->verdict = any_verdict(&g);
	for (unsigned int i = below(&g, one_in(&g, 5) ? 14 : 6); i; i--)
		add_policy(&g);
	for (unsigned int round = 0; round < limits->rounds; round++) {
		for (unsigned int i = 0; i < limits->asks; i++) {
			add_ask(&g, STEP_ASK);
			if (g.lively && one_in(&g, 4))
				add_life(&g);
			if (one_in(&g, 3))
				add_seen(&g);
		}
		/* What is rare ends soon. */
		script_add(script, STEP_DRAIN);
		script_add(script, STEP_WATCH)->on = true;
		for (unsigned int i = 1 + below(&g, 3); i; i--)
			add_change(&g);
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes of many rules, with a table of rules that looks after each single write: what a URL finds
 * is what decided it before or what decides it afterwards, and what fails leaves nothing behind.
 */
#include "support/test.h"
#include "server/rule_change.h"

#define LONGEST 4 /* bytes of a rule's prefix, each a or b */
#define PREFIXES ((2 << LONGEST) - 1)
#define URLS (2 << LONGEST) /* of LONGEST + 1 bytes */
#define NONE 0

/* Number N stands for the binary digits of N + 1 behind the first one. */
static size_t text_of(size_t number, char text[LONGEST + 2])
{
	size_t length = 0;

	while (number + 1 >= (size_t)2 << length)
		length++;
	for (size_t i = 0; i < length; i++)
		text[i] = (number + 1) >> (length - 1 - i) & 1 ? 'b' : 'a';
	text[length] = '\0';
	return length;
}

static size_t number_of(const char *text, size_t length)
{
	size_t number = 1;

	assert_in_range(length, 0, LONGEST);
	for (size_t i = 0; i < length; i++)
		number = 2 * number + (text[i] == 'b');
	return number - 1;
}

/* --- the table, instead of server/rules.c */

struct rules {
	unsigned int verdicts[PREFIXES]; /* NONE: there is no such rule */
	size_t max;
	size_t writes, fails_at; /* the write of this number fails */
	unsigned int before[URLS], after[URLS];
	bool switched[URLS];
	bool undoes; /* a write has failed */
	bool local;
};

static unsigned int decides(const unsigned int *verdicts, size_t url)
{
	unsigned int verdict = NONE;
	char text[LONGEST + 2];

	text_of(URLS - 1 + url, text);
	for (size_t length = 0; length <= LONGEST; length++)
		if (verdicts[number_of(text, length)])
			verdict = verdicts[number_of(text, length)];
	return verdict;
}

static size_t count(const unsigned int *verdicts)
{
	size_t sum = 0;

	for (size_t i = 0; i < PREFIXES; i++)
		sum += verdicts[i] != NONE;
	return sum;
}

static void look(struct rules *rules)
{
	assert_in_range(count(rules->verdicts), 0, rules->max);
	for (size_t url = 0; url < URLS; url++) {
		unsigned int verdict = decides(rules->verdicts, url);
		bool after = verdict == rules->after[url];

		if (rules->before[url] == rules->after[url]) {
			assert_int_equal(verdict, rules->before[url]);
			continue;
		}
		if (!after)
			assert_int_equal(verdict, rules->before[url]);
		if (rules->undoes)
			assert_true(rules->switched[url] || !after);
		else
			assert_true(!rules->switched[url] || after);
		rules->switched[url] = after;
	}
}

int rules_write(struct rules *rules, const struct rule_write *writes, size_t number, size_t *done,
		struct error *error)
{
	for (*done = 0; *done < number; ++*done) {
		const struct rule_write *write = &writes[*done];
		size_t prefix = number_of(write->prefix, write->length);

		if (++rules->writes == rules->fails_at) {
			rules->undoes = true;
			return error_set(error, "as the test wants it");
		}
		rules->verdicts[prefix] = write->removes ? NONE : write->verdict;
		look(rules);
	}
	return 0;
}

bool rules_are_local(const struct rules *rules)
{
	return rules->local;
}

void rules_replace(struct rules *rules, struct byteset *set)
{
	assert_true(rules->local);
	memset(rules->verdicts, 0, sizeof(rules->verdicts));
	for (size_t i = 0; i < byteset_count(set); i++) {
		struct byteset_member member = byteset_get(set, i);

		rules->verdicts[number_of(member.text, member.length)] = member.verdict;
	}
	byteset_free(set);
	look(rules);
}

int rules_step(struct rules *rules, struct rules_cursor *cursor, rule_callback each, void *context,
	       struct error *error)
{
	char text[LONGEST + 2];

	for (size_t i = 0; i < PREFIXES; i++) /* twice: as if they were changed by hand meanwhile */
		for (int twice = 0; twice < 2 && rules->verdicts[i]; twice++)
			each(context, text, text_of(i, text), rules->verdicts[i]);
	cursor->done = true;
	return 0;
}

size_t rules_max(const struct rules *rules)
{
	return rules->max;
}

int rules_put(struct rules *rules, const char *prefix, size_t length, enum icp_opcode verdict,
	      struct error *error)
{
	rules->verdicts[number_of(prefix, length)] = verdict;
	look(rules);
	return 0;
}

int rules_remove(struct rules *rules, const char *prefix, size_t length, struct error *error)
{
	unsigned int *verdict = &rules->verdicts[number_of(prefix, length)];
	int result = *verdict == NONE;

	*verdict = NONE;
	look(rules);
	return result;
}

/* --- changes */

#define REMOVED 1 /* in what is wanted, as ICP_OP_INVALID is NONE here */

static enum rule_change_state run(struct rules *rules, const unsigned int *wanted, bool replace,
				  struct error *error)
{
	struct rule_change *change = rule_change_new(rules, replace);
	enum rule_change_state state;
	char text[LONGEST + 2];

	for (size_t i = 0; i < PREFIXES; i++)
		if (wanted[i] &&
		    rule_change_add(change, text, text_of(i, text),
				    wanted[i] == REMOVED ? ICP_OP_INVALID : wanted[i], error))
			fail_msg("%s", error->text);
	do
		state = rule_change_step(change, error);
	while (state == RULE_CHANGE_RUNS);
	rule_change_free(change);
	return state;
}

/* Prepare the table for a change to `after`. */
static void expect(struct rules *rules, const unsigned int *after)
{
	for (size_t url = 0; url < URLS; url++) {
		rules->before[url] = decides(rules->verdicts, url);
		rules->after[url] = decides(after, url);
		rules->switched[url] = false;
	}
	rules->undoes = false;
	rules->writes = rules->fails_at = 0;
}

static void fill(unsigned int *verdicts, uint64_t *state, uint32_t share)
{
	for (size_t i = 0; i < PREFIXES; i++)
		verdicts[i] = random_below(state, 100) < share ? random_verdict(state) : NONE;
}

static void change_at_random(uint64_t *state)
{
	unsigned int before[PREFIXES], after[PREFIXES], wanted[PREFIXES];
	bool replace = random_below(state, 2);
	struct rules rules = { .max = PREFIXES };
	struct error error;
	size_t writes;

	fill(before, state, random_below(state, 100));
	fill(after, state, random_below(state, 100));
	for (size_t i = 0; i < PREFIXES; i++) {
		wanted[i] = after[i];
		if (random_below(state, 2))
			after[i] = before[i];
		if (!replace)
			wanted[i] = after[i] == before[i] ? random_below(state, 2) * after[i]
				    : after[i]		  ? after[i]
							  : REMOVED;
		else
			wanted[i] = after[i];
	}
	memcpy(rules.verdicts, before, sizeof(before));
	expect(&rules, after);
	assert_int_equal(run(&rules, wanted, replace, &error), RULE_CHANGE_DONE);
	assert_memory_equal(rules.verdicts, after, sizeof(after));
	writes = rules.writes;
	memcpy(rules.verdicts, before, sizeof(before));
	expect(&rules, after);
	rules.local = true;
	assert_int_equal(run(&rules, wanted, replace, &error), RULE_CHANGE_DONE);
	assert_memory_equal(rules.verdicts, after, sizeof(after));
	rules.local = false;
	for (size_t i = 1; i <= writes; i++) {
		memcpy(rules.verdicts, before, sizeof(before));
		expect(&rules, after);
		rules.fails_at = i;
		assert_int_equal(run(&rules, wanted, replace, &error), RULE_CHANGE_FAILED);
		assert_string_equal(error.text, "as the test wants it");
		assert_memory_equal(rules.verdicts, before, sizeof(before));
	}
}

TEST(each_lookup_finds_what_was_or_what_will_be)
{
	uint64_t seed = 1;

	for (int i = 0; i < 2000; i++)
		change_at_random(&seed);
}

/* Sets verdicts of the rules named, separated by spaces. */
static void set(unsigned int *verdicts, const char *names, unsigned int verdict)
{
	for (;; names++) {
		size_t length = strcspn(names, " ");

		verdicts[number_of(names, length)] = verdict;
		names += length;
		if (!*names)
			break;
	}
}

TEST(a_full_table)
{
	unsigned int after[PREFIXES] = { 0 }, wider[PREFIXES] = { 0 };
	struct rules rules = { .max = 6 };
	struct error error;

	/* Those below a become fewer, those below b more; bb is replaced by two. */
	set(rules.verdicts, "aaa aab abb bb", ICP_OP_HIT);
	set(after, "aba baa bab bba bbb bbbb", ICP_OP_DENIED);
	expect(&rules, after);
	assert_int_equal(run(&rules, after, true, &error), RULE_CHANGE_DONE);
	assert_memory_equal(rules.verdicts, after, sizeof(after));

	/* One family: what is new must be there before the others go. */
	set(wider, "a aa ab aba abb", ICP_OP_HIT);
	memset(rules.verdicts, 0, sizeof(rules.verdicts));
	set(rules.verdicts, "a aaa aab", ICP_OP_MISS);
	expect(&rules, wider);
	assert_int_equal(run(&rules, wider, true, &error), RULE_CHANGE_FAILED);
	assert_non_null(
		strstr(error.text, "need room for 7 at the same time, and there is room for 6"));
	rules.max = 7;
	assert_int_equal(run(&rules, wider, true, &error), RULE_CHANGE_DONE);

	rules.local = true; /* they are never there at the same time */
	rules.max = 5;
	assert_int_equal(run(&rules, wider, true, &error), RULE_CHANGE_DONE);

	rules.max = 3;
	memset(rules.verdicts, 0, sizeof(rules.verdicts));
	expect(&rules, rules.verdicts);
	assert_int_equal(run(&rules, wider, true, &error), RULE_CHANGE_FAILED);
	assert_non_null(strstr(error.text, "there would be 5 rules"));
	assert_int_equal(count(rules.verdicts), 0);
	assert_int_equal(rules.writes, 0);
}

TEST(what_cannot_be_done)
{
	struct rules rules = { .max = PREFIXES };
	struct rule_change *change = rule_change_new(&rules, false);
	unsigned int wanted[PREFIXES] = { 0 };
	char long_prefix[300] = { 0 };
	struct error error;

	set(rules.verdicts, "a", ICP_OP_HIT);
	expect(&rules, rules.verdicts);
	set(wanted, "a ab b", REMOVED);
	assert_int_equal(run(&rules, wanted, false, &error), RULE_CHANGE_MISSING);
	assert_string_equal(error.text,
			    "there is no rule 'ab'; `icpctl rules list` shows what there is");

	assert_int_equal(rule_change_add(change, "b", 1, ICP_OP_HIT, &error), 0);
	assert_int_equal(rule_change_add(change, "a", 1, ICP_OP_MISS, &error), 0);
	assert_int_equal(rule_change_add(change, "b", 1, ICP_OP_INVALID, &error), 0);
	assert_int_equal(rule_change_add(change, long_prefix, 255, ICP_OP_HIT, &error), 0);
	assert_int_equal(rule_change_add(change, long_prefix, 256, ICP_OP_HIT, &error), -1);
	assert_false(rule_change_writes(change));
	assert_int_equal(rule_change_step(change, &error), RULE_CHANGE_FAILED);
	assert_string_equal(error.text, "rule 'b' is given twice, with different verdicts");
	rule_change_free(change);
	assert_int_equal(rules.writes, 0);
}

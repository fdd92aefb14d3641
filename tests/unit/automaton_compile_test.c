// SPDX-License-Identifier: GPL-2.0-or-later
/* Lists, sizes and bounds of automata, and the groups that they are packed into. */
#include "automaton/pack.h"
#include "support/test.h"

#define REGEX AUTOMATON_REGEX

static struct automaton *compile(enum automaton_syntax syntax, const struct automaton_pattern *list,
				 size_t count, uint16_t otherwise)
{
	struct error error;
	struct automaton *automaton = automaton_compile(syntax, list, count, otherwise, &error);

	if (!automaton)
		fail_msg("%s", error.text);
	return automaton;
}

static struct automaton *compile_one(enum automaton_syntax syntax, const char *pattern)
{
	struct automaton_pattern list = { pattern, strlen(pattern), 1 };

	return compile(syntax, &list, 1, AUTOMATON_NO_ANSWER);
}

static uint32_t find(const struct automaton *automaton, const char *text)
{
	struct automaton_group *group = automaton_single(automaton);
	uint32_t answer;

	assert_non_null(group);
	answer = automaton_find(group, text, strlen(text));
	free(group);
	return answer;
}

TEST(the_first_listed_pattern_answers)
{
	static const struct automaton_pattern list[] = {
		{ "b", 1, 7 }, { "^a", 2, 5 }, { "c", 1, 5 }, { "d", 1, 7 },
		{ "e", 1, 0 }, { "^.", 2, 9 }, { "f", 1, 3 },
	};
	struct automaton *automaton = compile(REGEX, list, 7, 3);

	assert_int_equal(find(automaton, "ab"), 7);
	assert_int_equal(find(automaton, "ad"), 5);
	assert_int_equal(find(automaton, "dc"), 5);
	assert_int_equal(find(automaton, "d"), 7);
	assert_int_equal(find(automaton, "e"), 0);
	assert_int_equal(find(automaton, "f"), 9);
	assert_int_equal(find(automaton, ""), 3);
	assert_int_equal(automaton->sinks, 5); /* 0, 7, 5, 9, 3 */
	automaton_free(automaton);
}

TEST(a_list_that_is_negated)
{
	static const struct automaton_pattern list[] = { { "a", 1, 0 }, { "b", 1, 0 } };
	struct automaton *automaton = compile(AUTOMATON_SUBSTRING, list, 2, 4);

	assert_int_equal(find(automaton, "xb"), 0);
	assert_int_equal(find(automaton, "xc"), 4);
	automaton_free(automaton);
	automaton = compile(REGEX, list, 0, 4);
	assert_int_equal(find(automaton, "a"), 4);
	assert_int_equal(automaton->cells, 0);
	automaton_free(automaton);
}

TEST(they_are_minimal)
{
	static const struct {
		const char *pattern;
		uint32_t states, classes; /* with both sinks, and the end of the URL */
		bool backward;
	} rows[] = {
		{ "a", 3, 3, false },		    /* nothing yet, found */
		{ "", 2, 1, false },		    /* found */
		{ "$.", 2, 1, true },		    /* never found */
		{ "^a.*$", 3, 2, false },	    /* first byte, found, never */
		{ "aaa|aa|aa*a", 4, 3, false },	    /* as aa */
		{ "(a|b)*a(a|b){5}$", 8, 3, true }, /* a byte for each, from the end */
		{ "\\.(gif|png)$", 8, 7, true },    /* nothing, g n ng, f if gif=png, . */
		{ "x.{8}y", 514, 4, false },	    /* which of the last 9 were an x */
		{ "^(?i)[aB]|^b|^A", 3, 2, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct automaton *automaton = compile_one(REGEX, rows[i].pattern);

		if (automaton->states != rows[i].states || automaton->classes != rows[i].classes ||
		    automaton->backward != rows[i].backward)
			fail_msg("'%s': %u states, %u classes, %s", rows[i].pattern,
				 automaton->states, automaton->classes,
				 automaton->backward ? "backward" : "forward");
		automaton_free(automaton);
	}
}

TEST(walks_begin_where_they_soon_end)
{
	static const struct {
		enum automaton_syntax syntax;
		const char *pattern;
		bool backward;
	} rows[] = {
		{ REGEX, "a", false },
		{ REGEX, "a$", true },
		{ REGEX, "^a$", true },
		{ REGEX, "^a.*$", false },
		{ REGEX, "a$|b$", true },
		{ REGEX, "a$|b", false },
		{ REGEX, "(a|b$)c*\\z(?#)", true },
		{ REGEX, "(.$)+", true },
		{ REGEX, "(.$)*", false },
		{ AUTOMATON_GLOB, "*.gif", true },
		{ AUTOMATON_GLOB, "http://e.org/*", false },
		{ AUTOMATON_SUBSTRING, "a$", false },
		{ REGEX, "(a|b)*a(a|b){20}", true }, /* too large forward */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct automaton *automaton = compile_one(rows[i].syntax, rows[i].pattern);

		if (automaton->backward != rows[i].backward)
			fail_msg("'%s'", rows[i].pattern);
		automaton_free(automaton);
	}
}

static void refused(const struct automaton_pattern *list, size_t count, const char *reason)
{
	struct error error;
	struct automaton *automaton = automaton_compile(REGEX, list, count, 0, &error);

	if (automaton)
		fail_msg("'%s' is not refused", list->text);
	if (!strstr(error.text, reason))
		fail_msg("'%s' does not contain '%s'", error.text, reason);
}

TEST(bounds)
{
	static const struct automaton_pattern rows[] = {
		{ "x.{20}y", 7, 1 },
		{ "(a{1000}){1000}", 15, 1 },
		{ "((){65535}){65535}", 18, 1 },
		{ "x.{13}y", 7, 1 },
		{ "a", 1, 1 },
	};
	struct automaton_pattern many[AUTOMATON_ANSWERS + 1];
	struct automaton_pattern two[2] = { rows[4], { "(?=a)", 5, 1 } };
	char texts[AUTOMATON_ANSWERS + 1][6];

	refused(&rows[0], 1, "states before they are minimised");
	refused(&rows[1], 1, "too large: more than");
	refused(&rows[2], 1, "too large: repetitions of repetitions");
	refused(&rows[3], 1, "needs 16386 states of 4 classes, more than 128 KiB");
	refused(two, 2, "pattern 2: the look-ahead");
	for (unsigned int i = 0; i <= AUTOMATON_ANSWERS; i++) {
		snprintf(texts[i], sizeof(texts[i]), "^\\x%02x", (uint8_t)(0x80 + i));
		many[i] = (struct automaton_pattern){ texts[i], 5, 1 + i };
	}
	automaton_free(compile(REGEX, many, AUTOMATON_ANSWERS, 0));
	refused(many, AUTOMATON_ANSWERS + 1, "more than 64 different answers");
}

TEST(a_thousand_alternatives)
{
	static char text[20000];
	size_t length = 0;
	struct automaton_pattern list = { text, 0, 1 };

	for (unsigned int i = 0; i < 1000; i++)
		length += sprintf(text + length, "%s/%u/", i ? "|" : "", i * 7919 % 10000);
	list.length = length;
	automaton_free(compile(REGEX, &list, 1, 0));
}

/* A text as the kernel has it: zero-padded, with a word behind it that is not. */
static uint32_t walk(const struct automaton_group *group, const char *text, size_t length,
		     uint32_t best)
{
	__u64 words[34] = { 0 };
	struct automaton_walk states;

	assert_in_range(length, 0, 255);
	words[0] = words[33] = ~0ULL;
	memcpy(words + 1, text, length);
	return automaton_walk_group(&states, group, words + 1, length, 32, AUTOMATON_ALL_SLOTS,
				    best);
}

TEST(all_lengths)
{
	static const char *const patterns[] = { "^x*y$", "^x*yz?$", "^zx*y$", "^y" };
	struct automaton_group *groups = calloc(1, sizeof(*groups));
	char text[300];

	for (size_t i = 0; i < 4; i++) {
		struct automaton *automaton = compile_one(REGEX, patterns[i]);
		struct automaton_group *single = automaton_single(automaton);
		struct automaton_member member = { automaton, 0, NULL, 0 };

		assert_int_equal(automaton_pack(groups, 1, &member, 1), 1);
		for (size_t length = 0; length <= sizeof(text); length++)
			for (size_t changed = 0; changed < 4 && changed < length; changed++) {
				uint32_t expected;

				memset(text, 'x', length);
				text[length - 1] = 'y';
				if (changed < 2)
					text[(length - 1) * changed] = 'z';
				else if (changed == 2)
					text[0] = length % 2 ? 'y' : 'x';
				switch (i) {
				case 0:
					expected = (!memchr(text, 'z', length) &&
						    memchr(text, 'y', length) == text + length - 1);
					break;
				case 1: {
					const char *y = memchr(text, 'y', length);
					const char *z = memchr(text, 'z', length);

					expected = y && (z ? z == text + length - 1 && y + 1 == z
							   : y == text + length - 1);
					break;
				}
				case 2:
					expected = length > 1 && text[0] == 'z' &&
						   !memchr(text + 1, 'z', length - 1) &&
						   memchr(text, 'y', length) == text + length - 1;
					break;
				default:
					expected = text[0] == 'y';
				}
				assert_int_equal(automaton_find(single, text, length), expected);
				if (length <= 255)
					assert_int_equal(
						walk(groups, text, length, AUTOMATON_NO_RANK),
						expected);
			}
		free(single);
		automaton_free(automaton);
	}
	free(groups);
}

TEST(the_least_rank_wins)
{
	static const char *const patterns[] = { "a", "b", "c", "d", "x$" };
	static const uint16_t answers[5][2] = {
		{ 0, 10 }, { 0, 20 }, { 0, 30 }, { 0, 40 }, { 0, 50 }
	};
	struct automaton_group *groups = calloc(2, sizeof(*groups));
	struct automaton_member members[5];

	for (size_t i = 0; i < 5; i++)
		members[i] = (struct automaton_member){
			.automaton = compile_one(REGEX, patterns[i]),
			.rank = 2 * i,
			.answers = answers[i],
		};
	assert_int_equal(automaton_pack(groups, 2, members, 5), 2);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(members[i].group, 0);
	assert_int_equal(members[4].group, 1);
	assert_int_equal(groups[1].backward, 1);
	assert_int_equal(walk(&groups[0], "dcba", 4, AUTOMATON_NO_RANK), 10);
	assert_int_equal(walk(&groups[0], "dcb", 3, AUTOMATON_NO_RANK), 20);
	assert_int_equal(walk(&groups[0], "d0123456789c", 12, AUTOMATON_NO_RANK), 30);
	assert_int_equal(walk(&groups[0], "xxxxxxxxxxxxd", 13, AUTOMATON_NO_RANK), 40);
	assert_int_equal(walk(&groups[0], "x", 1, AUTOMATON_NO_RANK), 0);
	assert_int_equal(walk(&groups[0], "dcb", 3, 3), 20);
	assert_int_equal(walk(&groups[0], "dcb", 3, 2), 0);
	assert_int_equal(walk(&groups[0], "dcba", 4, 0), 0);
	assert_int_equal(walk(&groups[1], "dcbax", 5, 9), 50);
	assert_int_equal(walk(&groups[1], "dcbax", 5, 8), 0);
	for (size_t i = 0; i < 5; i++)
		automaton_free((struct automaton *)members[i].automaton);
	free(groups);
}

/* What stands behind a slot that has an answer is not waited for. */
TEST(the_walk_ends_when_the_answer_is_certain)
{
	static const char *const patterns[] = { "^a", "^ab", "z" };
	struct automaton_group *group = calloc(1, sizeof(*group));
	struct automaton_member members[3];
	struct automaton_walk states;
	__u64 word;

	for (size_t i = 0; i < 3; i++)
		members[i] =
			(struct automaton_member){ compile_one(REGEX, patterns[i]), i, NULL, 0 };
	assert_int_equal(automaton_pack(group, 1, members, 3), 1);
	automaton_begin(&states, group, AUTOMATON_ALL_SLOTS, AUTOMATON_NO_RANK);
	memcpy(&word, "axxxxxxx", 8);
	assert_true(automaton_step(&states, group, word_little(word)));
	automaton_begin(&states, group, AUTOMATON_ALL_SLOTS, AUTOMATON_NO_RANK);
	memcpy(&word, "xxxxxxxx", 8);
	assert_false(automaton_step(&states, group, word_little(word)));
	assert_true(automaton_step(&states, group, 0));
	assert_int_equal(automaton_answer(&states, group), 0);
	/* The third cannot win: nothing is left once the others are certain. */
	automaton_begin(&states, group, AUTOMATON_ALL_SLOTS, 2);
	assert_true(automaton_step(&states, group, word_little(word)));
	for (size_t i = 0; i < 3; i++)
		automaton_free((struct automaton *)members[i].automaton);
	free(group);
}

static struct automaton *compile_answers(uint16_t answers)
{
	static char texts[AUTOMATON_ANSWERS][6];
	struct automaton_pattern list[AUTOMATON_ANSWERS];

	for (uint16_t i = 0; i < answers; i++) {
		snprintf(texts[i], sizeof(texts[i]), "^\\x%02x", (uint8_t)(0x80 + i));
		list[i] = (struct automaton_pattern){ texts[i], 5, 1 + i };
	}
	return compile(REGEX, list, answers, 0);
}

TEST(answers_of_a_group)
{
	struct automaton_group *groups = calloc(2, sizeof(*groups));
	struct automaton *most = compile_answers(AUTOMATON_ANSWERS - 1);
	struct automaton *two = compile_answers(2), *one = compile_answers(1);
	struct automaton_member members[] = {
		{ most, 0, NULL, 0 }, { two, 1, NULL, 0 }, { one, 2, NULL, 0 }, { one, 3, NULL, 0 }
	};

	assert_int_equal(automaton_pack(groups, 2, members, 4), 2);
	assert_int_equal(members[1].group, 1);
	assert_int_equal(members[2].group, 0);
	assert_int_equal(members[3].group, 1);
	assert_int_equal(walk(&groups[0], "\xbe", 1, AUTOMATON_NO_RANK), AUTOMATON_ANSWERS - 1);
	assert_int_equal(walk(&groups[0], "\x80", 1, AUTOMATON_NO_RANK), 1);
	automaton_free(most);
	automaton_free(two);
	automaton_free(one);
	free(groups);
}

/* A group is full when its slots, its cells or its answers are; what has no room is left out. */
TEST(groups_are_full)
{
	struct automaton_group *groups = calloc(AUTOMATON_GROUPS, sizeof(*groups));
	struct automaton *large = compile_one(REGEX, "x.{12}y"), *small = compile_one(REGEX, "a");
	struct automaton_member members[20];

	assert_in_range(large->cells, AUTOMATON_CELLS / 3, AUTOMATON_CELLS);
	for (size_t i = 0; i < 20; i++)
		members[i] = (struct automaton_member){ i % 3 ? small : large, i, NULL, 0 };
	assert_int_equal(automaton_pack(groups, 2, members, 8), 2);
	assert_int_equal(members[0].group, 0);
	assert_int_equal(members[1].group, 0);
	assert_int_equal(members[3].group, members[0].group + (2 * large->cells > 64000));
	assert_int_equal(walk(&groups[0], "xxxa", 4, AUTOMATON_NO_RANK), 1);
	for (size_t i = 0; i < 20; i++)
		members[i].automaton = small;
	assert_int_equal(automaton_pack(groups, AUTOMATON_GROUPS, members, 20), 4);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(members[i].group, i < 16 ? (int)i / 4 : -1);
	for (size_t i = 0; i < AUTOMATON_GROUPS; i++)
		assert_int_equal(groups[i].rank[0], 4 * i);
	automaton_free(large);
	automaton_free(small);
	free(groups);
}

/* What a filter of one automaton, with rank 1, says of a text: 1 if it may match. */
static uint32_t filtered(const char *pattern, uint16_t otherwise, const char *url, uint32_t best)
{
	struct automaton_pattern list = { pattern, strlen(pattern), 1 };
	struct automaton *automaton = compile(REGEX, &list, 1, otherwise);
	struct automaton_group *group = calloc(1, sizeof(*group));
	struct automaton_member member = { automaton, 1, NULL, 0 };
	__u64 words[33] = { 0 };
	struct filter filter;
	uint32_t result;

	assert_int_equal(automaton_pack(group, 1, &member, 1), 1);
	automaton_filter(&filter, &member, 1);
	memcpy(words, url, strlen(url));
	result = filter_text(&filter, words, strlen(url), 32, best);
	automaton_free(automaton);
	free(group);
	return result;
}

/* It never spares a walk that finds a match (automaton_fidelity_test), but one that finds none. */
TEST(the_filter_spares_walks)
{
	static const struct {
		const char *pattern, *url;
		uint32_t wanted;
	} cases[] = {
		{ "/admin(/|$)", "http://e.org/images/ad", 0 },
		{ "/admin(/|$)", "http://e.org/adm", 0 },
		{ "/admin(/|$)", "http://e.org/images/1/2/3/4/5/6/7/8/administer", 1 },
		{ "\\.(cgi|php)$", "http://e.org/a.pgi", 1 }, /* the bytes, not their order */
		{ "\\.(cgi|php)x", "http://e.org/a.png", 0 },
		{ "[?&]s=[0-9]", "http://e.org/?s=a&t=1", 0 },
		{ "[?&]s=[0-9]", "http://e.org/?t=1&s=1", 1 },
		/* A match of less than four bytes, at all distances to the end and to a word. */
		{ "q!", "http://e.org/q!", 1 },
		{ "q!", "http://e.org/0q!", 1 },
		{ "q!", "http://e.org/01q!", 1 },
		{ "q!", "http://e.org/012q!", 1 },
		{ "q!", "http://e.org/0123q!", 1 },
		{ "q!", "http://e.org/01234q!", 1 },
		{ "q!", "http://e.org/012345q!", 1 },
		{ "q!", "http://e.org/0123456q!", 1 },
		{ "q!", "http://e.org/q", 0 },
		{ "q!$", "http://e.org/q!/", 1 },
		{ "q!\\b.?", "http://e.org/q", 0 },
		/* Every second byte of a match that begins at an even and at an odd byte. */
		{ "/download/", "http://e.org/download/", 1 },
		{ "/download/", "http://e.org/x/download/", 1 },
		{ "/download/", "http://e.org/xy/download/", 1 },
		{ "/download/", "http://e.org/xyz/download/", 1 },
		{ "/download/", "http://e.org/_o_n_o__", 1 },
		{ "/download/", "http://e.orgd_w_l_a_", 1 },
		/* What may be skipped makes no difference. */
		{ ".*q!", "http://e.org/", 0 },
		{ "^.*q!", "http://e.org/q!", 1 },
		{ "^.*(a|.*q!|.*!q)", "http://e.org/!q", 1 },
		{ "^(.*q!|.*!q)", "http://e.org/", 0 },
		{ "^.*.q!", "http://e.org/q!", 1 },
		/* What cannot be spared: any byte can begin a match, or it is read backward. */
		{ ".*(.|q)", "http://e.org/", 1 },
		{ "[a-z]+[0-9]", "x", 1 },
		{ "", "x", 1 },
		{ "q!{2}$", "http://e.org/", 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (filtered(cases[i].pattern, 0, cases[i].url, AUTOMATON_NO_RANK) !=
		    cases[i].wanted)
			fail_msg("%s on %s: not %u", cases[i].pattern, cases[i].url,
				 cases[i].wanted);
	/* With `not`, a URL without a match has an answer. */
	assert_int_equal(filtered("/admin/", 1, "http://e.org/", AUTOMATON_NO_RANK), 1);
	/* What cannot win need not be looked for, what may be skipped by the walk. */
	assert_int_equal(filtered("/admin/", 0, "http://e.org/admin/", 2), 1);
	assert_int_equal(filtered("/admin/", 0, "http://e.org/admin/", 1), 0);
}

/* The stride of a filter of `count` automata of the same pattern. */
static uint32_t stride_of(const char *pattern, size_t count)
{
	struct automaton_group *groups = calloc(AUTOMATON_GROUPS, sizeof(*groups));
	struct automaton_member members[FILTER_AUTOMATA];
	struct automaton *automaton = compile_one(REGEX, pattern);
	struct filter filter;

	for (size_t i = 0; i < count; i++)
		members[i] = (struct automaton_member){ automaton, i, NULL, 0 };
	automaton_pack(groups, AUTOMATON_GROUPS, members, count);
	automaton_filter(&filter, members, count);
	automaton_free(automaton);
	free(groups);
	return filter.stride;
}

/* It looks at every second byte if that tells enough, and if there are bits for it. */
TEST(the_filter_has_a_stride)
{
	assert_int_equal(stride_of("/download/", 1), 2);
	assert_int_equal(stride_of("/download/", FILTER_AUTOMATA_HALF), 2);
	assert_int_equal(stride_of("/download/", FILTER_AUTOMATA_HALF + 1), 1);
	assert_int_equal(stride_of("[?&]s=[0-9]", 1), 1);
	assert_int_equal(stride_of("/a[0-9]", 1), 1);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* What patterns mean, and which are refused. automaton_fidelity_test asks PCRE2 and fnmatch(). */
#include "automaton/pack.h"
#include "support/test.h"

static void check(enum automaton_syntax syntax, const char *pattern, const char *text,
		  bool expected)
{
	struct automaton_pattern list = { pattern, strlen(pattern), 1 };
	struct automaton_group *group;
	struct automaton *automaton;
	struct error error;

	automaton = automaton_compile(syntax, &list, 1, AUTOMATON_NO_ANSWER, &error);
	if (!automaton)
		fail_msg("%s: %s", pattern, error.text);
	group = automaton_single(automaton);
	assert_non_null(group);
	if (automaton_find(group, text, strlen(text)) != expected)
		fail_msg("'%s' %s '%s'", pattern, expected ? "misses" : "finds", text);
	free(group);
	automaton_free(automaton);
}

/* A pattern, a text that it matches, and one that it does not; NULL: there is none of interest. */
struct row {
	const char *pattern, *yes, *no;
};

static void check_rows(enum automaton_syntax syntax, const struct row *rows)
{
	for (; rows->pattern; rows++) {
		if (rows->yes)
			check(syntax, rows->pattern, rows->yes, true);
		if (rows->no)
			check(syntax, rows->pattern, rows->no, false);
	}
}

TEST(regular_expressions)
{
	static const struct row rows[] = {
		{ "", "", NULL },
		{ "b", "abc", "ac" },
		{ "a.c", "xa\1cx", "ac" },
		{ "ab|cd|", "", NULL },
		{ "^(ab|cd)$", "cd", "abd" },
		{ "^ab|cd$", "xcd", "xabd" },
		{ "^a*$", "", "b" },
		{ "^a+?$", "aa", "" },
		{ "^(a|bc)??d$", "bcd", "abcd" },
		{ "^a{2}$", "aa", "aaa" },
		{ "^a{2,}$", "aaaa", "a" },
		{ "^a{1,3}?$", "aaa", "aaaa" },
		{ "^a{0}b{0,0}$", "", "a" },
		{ "^(a{2}){2}$", "aaaa", "aaa" },
		{ "a{", "a{", "a" },
		{ "a{b}", "a{b}", "ab" },
		{ "]}", "]}", "]" },
		{ "^(?:a|(?<n>b)|(?'m'c)|(?P<o>d)|(?|e|f))$", "f", "ab" },
		{ "\\Aa\\z", "a", "ab" },
		{ "\\Ga\\Z", "a", "ba" },
		{ "a$b", NULL, "ab" },
		{ "a*^b", "b", "ab" },
		{ "$^", "", "a" },
		{ "\\bab\\b", "/ab/", "/abc/" },
		{ "\\Bb", "ab", "b" },
		{ "a\\b$", "a", "a/" },
		{ "^\\B$", "", "a" },
		{ "\\b|x", "/a/", "/" },
		{ "\\B", "ab/", "a" },
		{ "(?:\\b|a)*c", "/c", "/" },
		{ "(?i)aB", "Ab", "\xc1\x42" },
		{ "a(?i)b|c", "C", "AB" },
		{ "(a(?i)b)c", "aBc", "aBC" },
		{ "(?i:a)b", "Ab", "AB" },
		{ "(?i)a(?-i)b", "Ab", "AB" },
		{ "(?i)(?^:a)", "a", "A" },
		{ "(?i)[a-c]", "B", "D" },
		{ "(?i)[^a-c]", "d", "B" },
		{ "(?i)[[:upper:]]", "a", "1" },
		{ "(?x) a b # c\n [ ]* c", "abc", "ac" },
		{ "(?x)a +", "aa", "b" },
		{ "(?xx)[a b]\\ *$", "b", "" },
		{ "(?sm)^a.$", "ab", "a" },
		{ "(?JUn)a+", "a", "b" },
		{ "a(?#b)c", "ac", "abc" },
		{ "a(?#b)+$", "aa", "b" },
		{ "\\Qa.b*\\E*", "a.b**", "acb" },
		{ "\\Qa", "a", "b" },
		{ "a\\Q\\E+c", "aac", "c" },
		{ "\\x41\\x4\\x{42}\\x{0043}", "A\4BC", "A4BC" },
		{ "\\x", NULL, "x" },
		{ "\\0\\01\\0012\\o{102}", NULL, "\1\0012B" },
		{ "\\01\\0012\\o{102}", "\1\0012B", "12B" },
		{ "\\cA\\c?\\ca", "\1\x7f\1", "A" },
		{ "\\a\\e", "\a\033", "ae" },
		{ "\\.\\/\\-\\_\\\xe4", "./-_\xe4", "x/-_" },
		{ "^\\d\\D\\w\\W\\s?\\S$", "1a_/x", "11_/x" },
		{ "^\\h\\H$", "\xa0x", "xx" },
		{ "^\\v\\V$", "\x85x", "xx" },
		{ "^\\N\\N$", "\1\xff", "a" },
		{ "^[a-c-e]$", "-", "d" },
		{ "^[]a]$", "]", "b" },
		{ "^[^]a]$", "b", "]" },
		{ "^[-a]$", "-", "b" },
		{ "^[a\\-c]$", "-", "b" },
		{ "^[a-]$", "-", "b" },
		{ "^[\\d-]$", "-", "a" },
		{ "^[!\\d\\E-0]$", "-", "%" },
		{ "^[\\Q^-]\\E]$", "]", "a" },
		{ "^[\\E\\Q\\E^a]$", "b", "a" },
		{ "^[\\x41-\\103]$", "B", "D" },
		{ "^[[:digit:][:^print:]]$", "\1", "a" },
		{ "^[\\w.]$", ".", "-" },
		{ "^[\\W]$", "\xe4", "a" },
		{ "^[a&&b]$", "&", "c" },
		{ "^[\\b]$", "\b", "b" },
		{ "[\t ]", NULL, "a" },
		{ NULL },
	};

	check_rows(AUTOMATON_REGEX, rows);
}

TEST(globs)
{
	static const struct row rows[] = {
		{ "", "", "a" },
		{ "*", "", NULL },
		{ "a*b", "a//b", "abc" },
		{ "a?b", "a/b", "ab" },
		{ "\\*\\a", "*a", "aa" },
		{ "[ab][!ab][^ab]", "acc", "aac" },
		{ "[]a]", "]", "b" },
		{ "[a-c]", "b", "d" },
		{ "[c-a]", NULL, "b" },
		{ "[\\]]", "]", "\\" },
		{ "[[:digit:]_]", "_", "a" },
		{ "[::1]", "1", "[::1]" },
		{ "[\x80-\xff]", "\xe4", "a" },
		{ "*.gif", "/x.gif", "/x.gif?" },
		{ NULL },
	};

	check_rows(AUTOMATON_GLOB, rows);
}

TEST(substrings)
{
	static const struct row rows[] = {
		{ "", "", NULL },
		{ "a.*", "xa.*", "xaa" },
		{ "aab", "aaab", "aaa" },
		{ NULL },
	};

	check_rows(AUTOMATON_SUBSTRING, rows);
}

static void check_refused(enum automaton_syntax syntax, const char *pattern, const char *reason)
{
	struct automaton_pattern list = { pattern, strlen(pattern), 1 };
	struct error error;
	struct automaton *automaton = automaton_compile(syntax, &list, 1, 0, &error);

	if (automaton)
		fail_msg("'%s' is not refused", pattern);
	if (!strstr(error.text, reason))
		fail_msg("'%s': '%s' does not contain '%s'", pattern, error.text, reason);
}

TEST(what_is_refused)
{
	static const struct {
		const char *pattern, *reason;
	} rows[] = {
		{ "(a)\\1", "the back reference \\1" },
		{ "\\12", "the back reference \\1" },
		{ "\\g{1}", "\\g" },
		{ "(?<n>a)\\k<n>", "\\k" },
		{ "(?P<n>a)(?P=n)", "the back reference (?P=" },
		{ "(?=a)", "the look-ahead (?=" },
		{ "(?!a)", "the look-ahead (?!" },
		{ "(?<=a)", "the look-behind (?<=" },
		{ "(?<!a)", "the look-behind (?<!" },
		{ "(?*a)", "the look-ahead (?*" },
		{ "(?<*a)", "the look-behind (?<*" },
		{ "(?>a)", "the atomic group (?>" },
		{ "a++", "a possessive quantifier" },
		{ "a{1,2}+", "a possessive quantifier" },
		{ "(?x)a+ (?#c) +", "a possessive quantifier" },
		{ "(a)(?(1)b)", "the condition (?(" },
		{ "(?C1)", "the callout (?C" },
		{ "(?R)", "the recursion (?R" },
		{ "(a)(?1)", "a subroutine call" },
		{ "(a)(?-1)", "a subroutine call" },
		{ "(?+1)(a)", "the subroutine call (?+" },
		{ "(?<n>a)(?&n)", "the subroutine call (?&" },
		{ "(?P<n>a)(?P>n)", "the subroutine call (?P>" },
		{ "(*ACCEPT)", "(*, a verb" },
		{ "(*UTF)a", "(*, a verb" },
		{ "(*atomic:a)", "(*, a verb" },
		{ "\\R", "\\R" },
		{ "\\X", "\\X" },
		{ "\\C", "\\C" },
		{ "a\\Kb", "\\K" },
		{ "\\pL", "\\p" },
		{ "\\PL", "\\P" },
		{ "\\N{2}", "\\N{" },
		{ "\\x{100}", "\\x that is not a byte" },
		{ "\\o{400}", "\\o that is not a byte" },
		{ "a{,3}", "neither escaped nor a quantifier" },
		{ "a{ 1}", "neither escaped nor a quantifier" },
		{ "a{1,2", "neither escaped nor a quantifier" },
		{ "a{2,1}", "neither escaped nor a quantifier" },
		{ "a{65536}", "neither escaped nor a quantifier" },
		{ "^*", "a quantifier of what cannot be repeated" },
		{ "*", "a quantifier without an item" },
		{ "a+*", "a quantifier without an item" },
		{ "[[:<:]]a", "[[:<:]]" },
		{ "[[:name:]]", "'[:', '[.' or '[=' in a class" },
		{ "[[.a.]]", "'[:', '[.' or '[=' in a class" },
		{ "[a[=digit:]]", "'[:', '[.' or '[=' in a class" },
		{ "[a[.xdigit:]]", "'[:', '[.' or '[=' in a class" },
		{ "[\\d-z]", "a hyphen beside a set" },
		{ "[a-\\d]", "a hyphen beside a set" },
		{ "[[:digit:]-z]", "a hyphen beside a set" },
		{ "[b-a]", "ends before it begins" },
		{ "[a", "'[' without ']'" },
		{ "(a", "'(' without ')'" },
		{ "(a(?#b", "a comment without its end" },
		{ "a)", "')' without '('" },
		{ "a\\", "a backslash at the end" },
		{ "(?x)a\x85", "the byte 85" },
		{ "(?q)", "(?q...)" },
		{ NULL },
	};

	for (size_t i = 0; rows[i].pattern; i++)
		check_refused(AUTOMATON_REGEX, rows[i].pattern, rows[i].reason);
	check_refused(AUTOMATON_GLOB, "[a", "'[' without ']'");
	check_refused(AUTOMATON_GLOB, "[[:name:]]", "'[:' in a bracket expression");
	check_refused(AUTOMATON_GLOB, "[[.a.]]", "'[.' in a bracket expression");
	check_refused(AUTOMATON_GLOB, "[a-[:digit:]]", "'[:' in a bracket expression");
	check_refused(AUTOMATON_GLOB, "[[:digit:]-z]", "'-' behind a class");
	check_refused(AUTOMATON_GLOB, "a\\", "a backslash at the end");
}

TEST(groups_within_each_other)
{
	char pattern[2 * 251 + 1];

	memset(pattern, '(', 250);
	memset(pattern + 250, ')', 250);
	pattern[500] = '\0';
	check(AUTOMATON_REGEX, pattern, "", true);
	memset(pattern, '(', 251);
	memset(pattern + 251, ')', 251);
	pattern[502] = '\0';
	check_refused(AUTOMATON_REGEX, pattern, "more than 250 groups within each other");
}

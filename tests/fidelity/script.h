/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a run of the fidelity test does, as a list of steps: the chain, the state of the host, the
 * rules, and the queries. A text has one step a line, and that is the form of the cases that are
 * kept:
 *
 *	hash 4711				the seed of all hashes from here on
 *	default miss
 *	policy "20" prefix hit cost 7 not	a new one, or another in its place; empty as yet
 *	policy "30" helper hit ttl 2		helper, lua: seconds for which a verdict is remembered
 *	policy "40" plugin hit ttl 2 sees url	url, source or anything
 *	text "20" "http://e.org/"		an entry of it in the configuration; of a gate: what
 *						it watches, see gate_text()
 *	text "80" " member a 200"		a partition's: with its weight
 *	text "80" " key host+1 query depth 3 others miss of a"	`a` is this member
 *	text "80" " owner a http://e.org/x"	a prefix that is assigned to a member; a line with a
 *						verdict of its own gives it to all
 *	text "85" " key host+1 query window 2 most 4"	a recent's: seconds, and how many keys
 *	line "20" "http://e.org/a" denied	one in its file, with or without a verdict of its own
 *	line "30" "/a/" denied from 10.0.0.1	a helper's: URLs that contain it, of this querier only
 *	remove "20"
 *	says "30" "/a/" hit from 10.0.0.1	a running helper or plugin changes its reply; `none`
 *	flag "a" on				the file exists, or not
 *	load "cpu" 41				load (the load average), cpu, memory, io: a new value
 *	origin "a" down				a health check fails, or succeeds (up)
 *	recent "85" "http://e.org/" on		a recent's feed has this URL; off: it is taken back;
 *						"" off: all that it knows
 *	clock "Mon 02:30"			the local time, which otherwise stands still
 *	time 1500				milliseconds pass on the monotonic clock
 *	watch off				the daemon falls silent, or comes back
 *	rule "http://" hit			`none`: a number that is no verdict
 *	unrule "http://"
 *	drain denied				`silence`, or `off`
 *	ask 10.0.0.1 "http://e.org/" cost	with SRC_RTT; helpers reply at once
 *	begin 10.0.0.1 "http://e.org/" cost	the same, but the query stays in flight while a helper
 *						is waited for
 *	reply 2					the helper that a query in flight waits for replies
 *	lose 2					... or does not, ever
 *
 * `reply` and `lose` count the queries in flight, oldest first, and begin again after the last.
 * Bytes that do not print stand as \xHH; a line that begins with # is a comment.
 */
#ifndef FIDELITY_SCRIPT_H
#define FIDELITY_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum step_kind {
	STEP_HASH,
	STEP_DEFAULT,
	STEP_POLICY,
	STEP_TEXT,
	STEP_LINE,
	STEP_REMOVE,
	STEP_SAYS,
	STEP_FLAG,
	STEP_LOAD,
	STEP_ORIGIN,
	STEP_RECENT,
	STEP_CLOCK,
	STEP_TIME,
	STEP_WATCH,
	STEP_RULE,
	STEP_UNRULE,
	STEP_DRAIN,
	STEP_ASK,
	STEP_BEGIN,
	STEP_REPLY,
	STEP_LOSE,
	STEP_MAX,
};

enum kind {
	KIND_PREFIX,
	KIND_EXACT,
	KIND_SUBSTRING,
	KIND_SUFFIX,
	KIND_GLOB,
	KIND_REGEX,
	KIND_HOST,
	KIND_SOURCE,
	KIND_FLAG,
	KIND_LOAD,
	KIND_HEALTH,
	KIND_SCHEDULE,
	KIND_HELPER,
	KIND_LUA,
	KIND_PLUGIN,
	KIND_PARTITION,
	KIND_RECENT,
	KIND_MAX,
};

/* Kinds on the host's state: they match every query or none. */
static inline bool kind_is_gate(enum kind kind)
{
	return kind >= KIND_FLAG && kind <= KIND_SCHEDULE;
}

/* Kinds that reply with a verdict of their own, which may change while the chain does not. */
static inline bool kind_replies(enum kind kind)
{
	return kind >= KIND_HELPER && kind <= KIND_PLUGIN;
}

/* Kinds that others are asked beside while one waits for the reply. */
static inline bool kind_waits(enum kind kind)
{
	return kind == KIND_HELPER || kind == KIND_LUA;
}

/* What a plugin declares that it looks at. */
enum sight {
	SEES_URL,
	SEES_SOURCE,
	SEES_ANYTHING,
	SIGHT_MAX,
};

extern const char *const sight_names[SIGHT_MAX];

extern const char *const kind_names[KIND_MAX];

/* Verdicts are opcodes of RFC 2186, and these. */
#define VERDICT_NONE 0	    /* its own: none; a rule's: no verdict; a drain's: off */
#define VERDICT_SILENCE 255 /* a drain's */

const char *verdict_name(unsigned int verdict);

/* Any bytes but NUL, which follows. */
struct text {
	const char *at;
	size_t length;
};

struct step {
	enum step_kind kind;
	enum kind policy; /* the kind of a new policy */
	bool on;   /* flag, watch, recent; origin: down; a policy's `not`; a query's SRC_RTT */
	bool from; /* an entry is for the querier `address` only */
	enum sight sees;
	uint8_t verdict;
	int cost;	     /* -1: none */
	int ttl;	     /* seconds; -1: none */
	int number;	     /* of a step that has one: milliseconds, a seed, ... */
	struct text name;    /* of a policy or a flag */
	struct text text;    /* an entry, a rule, a URL */
	uint8_t address[16]; /* of the querier; IPv4 as ::ffff:a.b.c.d */
};

struct script {
	struct step *steps;
	size_t count, room;
	struct chunk *chunks; /* where the texts lie */
};

/* Adds an empty step and returns it, valid until the next is added. */
struct step *script_add(struct script *script, enum step_kind kind);

/* Copies bytes to where they live as long as the script. */
struct text script_text(struct script *script, const char *at, size_t length);

void script_clear(struct script *script);

/* Reads a script. False: `wrong`, of at least 256 bytes, says what is wrong with it. */
bool script_read(struct script *script, FILE *in, char *wrong);

void step_write(const struct step *step, FILE *out);

/* "TEXT" with its escapes. */
void text_write(struct text text, FILE *out);

/* Two texts are the same, byte for byte. */
bool text_equal(struct text a, struct text b);

#endif

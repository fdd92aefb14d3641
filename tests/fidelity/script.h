/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a run of the fidelity test does, as a list of steps: the chain that comes about, the state
 * of the host, the rules, and the queries. A text has one step a line, and that is the form of the
 * cases that are kept:
 *
 *	hash 4711				what the seed of all hashes is from here on
 *	default miss
 *	policy "20" prefix hit cost 7 not	a new one, or another in its place; empty as yet
 *	text "20" "http://e.org/"		an entry of it in the configuration (a flag's file)
 *	line "20" "http://e.org/a" denied	one in its file, with or without a verdict of its own
 *	remove "20"
 *	flag "a" on				the file comes into being, or goes
 *	watch off				the daemon falls silent, or comes back
 *	rule "http://" hit			`none`: a number that is no verdict
 *	unrule "http://"
 *	drain denied				`silence`, or `off`
 *	ask 10.0.0.1 "http://e.org/" cost	with SRC_RTT
 *
 * Bytes that do not print stand as \xHH; a line that begins with # is a comment. The file that a
 * `flag` names has one letter.
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
	STEP_FLAG,
	STEP_WATCH,
	STEP_RULE,
	STEP_UNRULE,
	STEP_DRAIN,
	STEP_ASK,
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
	KIND_MAX,
};

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
	bool on;	  /* flag, watch; a policy's `not`; a query's SRC_RTT */
	uint8_t verdict;
	int cost;	     /* -1: none; the seed of the hashes */
	struct text name;    /* of a policy or a flag */
	struct text text;    /* an entry, a rule, a URL */
	uint8_t address[16]; /* who asks; IPv4 as ::ffff:a.b.c.d */
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

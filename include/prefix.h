/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The longest prefix of a URL, out of ten or of a million: what the match is and why it is so.
 *
 * What a match costs is the number of cache lines that it touches and that are cold, hardly the
 * instructions. So the prefixes stand in a tree that is as flat as can be, in two arrays of lines
 * of 64 bytes, and a look-up touches one line a level and then the text.
 *
 *	prefixes   buckets of 4 nodes, found by the hash of the node's head
 *	texts      the prefixes' bytes, each beginning at a line of its own
 *
 * A node stands for a head, the bytes that all prefixes below it begin with, and knows
 *
 *	answer	the verdict of the longest prefix that the head itself begins with
 *	leaf	the shortest prefix below the head, its text and its answer
 *	next	the length of the second shortest: all the others have at least so many bytes,
 *		so that one look-up with so many bytes of the URL leads to those of them that
 *		the URL can still have, or to none
 *
 * With the prefixes  http://a.org/  http://a.org/x/  http://a.org/x/1  http://b.org/y
 *
 *	root  leaf http://a.org/, next 14
 *	      http://a.org/x   leaf http://a.org/x/, next 16, answer that of http://a.org/
 *	                       http://a.org/x/1   answer its own
 *	      http://b.org/y   answer its own
 *
 * A set of prefixes of one length is one level deep, and so is one of many lengths whose texts
 * differ before the shortest ends: a million of 64 lengths takes two cold lines and the text.
 * Lengths that nobody has, or that nobody has below this head, are never tried. There are at most
 * as many nodes as prefixes, for each node is the only one that has its leaf, or the prefix that
 * is its head.
 *
 * The hash is not an identity. All nodes on the way down have heads that the last one's begins
 * with; its text is compared with the URL at the end, as far as the head at least. So a collision
 * on the way shows, and can never give a wrong answer, only none (PREFIX_COLLISION). Nor can
 * anybody make collisions on purpose: the hash is NH (Black et al., "UMAC", CRYPTO 1999) with
 * random keys, by which two texts collide with a probability of 2^-32 whatever they are. It takes
 * one multiplication for 8 bytes, none of which waits for another; the sums in front of each word
 * are kept (struct prefix_sums), so that the hash at any length is one step more.
 *
 * A whole URL is a prefix too, of the URL with its NUL: "http://e.org/a\0" matches that URL and no
 * other. So prefixes are 0 to PREFIX_MAX bytes.
 *
 * Texts are read by words of 8 bytes and are zero-padded to the word; a URL has a NUL behind it,
 * where any longer prefix has something else, so that comparing ends there by itself.
 */
#ifndef XDP_ICP_PREFIX_H
#define XDP_ICP_PREFIX_H

#include "base.h"

#define PREFIX_MAX 256u /* bytes; a URL has at most 255, and its NUL */
#define PREFIX_WORDS (PREFIX_MAX / ICP_WORD)
#define PREFIX_URL_MAX (PREFIX_MAX - 1) /* bytes of a URL without its NUL */

#define PREFIX_LINE 64u /* bytes that come from memory together */
#define PREFIX_LINE_WORDS (PREFIX_LINE / ICP_WORD)

/* Lines that the text of a prefix takes. The empty one takes none. */
#define PREFIX_LINES(length) (((length) + PREFIX_LINE - 1) / PREFIX_LINE)

/*
 * Buckets that a look-up reads at most: one for each length, and some more because of full ones. A
 * tree in which one would need more is possible, and answered by nobody but the daemon.
 */
#define PREFIX_STEPS (PREFIX_MAX + 64)

/* An answer is a number from 1 on, whatever that stands for to those who ask. */
#define PREFIX_NO_ANSWER 0u
#define PREFIX_ANSWER_MAX 0xffffu
#define PREFIX_COLLISION 0x10000u /* prefix_find() cannot tell */

/* A node, 16 bytes. Where there is no leaf, the head takes its place. */
struct prefix_node {
	__u32 tag;    /* of the head's hash, see prefix_tag(); 0: nothing is here */
	__u32 text;   /* line of the leaf's text */
	__u16 answer; /* of the longest prefix that the head begins with, or none */
	__u16 leaf_answer;
	__u16 leaf; /* bytes, 0 to PREFIX_MAX, not less than the head has */
	__u16 next; /* bytes, more than the head has; 0: nothing else is below it */
};

#define PREFIX_BUCKET_NODES 4u

/* Filled from the first node on. */
struct prefix_bucket {
	struct prefix_node node[PREFIX_BUCKET_NODES];
} __attribute__((aligned(PREFIX_LINE)));

struct prefix_line {
	char text[PREFIX_LINE];
} __attribute__((aligned(PREFIX_LINE)));

/* What a full bucket does not hold is in one of so many behind it; there are so many at the end. */
#define PREFIX_SPILL 8u

/* The hash's keys, all bits random. */
struct prefix_keys {
	__u64 word[PREFIX_WORDS + 1];
	__u64 length;
};

/* One tree, in a part of the two arrays. */
struct prefix_tree {
	struct prefix_keys keys;
	struct prefix_node root; /* its head is empty; the tag is not used */
	__u32 first_bucket;
	__u32 buckets; /* that look-ups begin at */
	__u32 first_line;
	__u32 zero;
};

/* The hash's sum before each word of a URL and behind the last. */
struct prefix_sums {
	__u64 before[PREFIX_WORDS + 1];
};

/* What one word adds to the sum. */
ICP_INLINE __u64 prefix_product(__u64 word, __u64 key)
{
	__u32 low = (__u32)word + (__u32)key;
	__u32 high = (__u32)(word >> 32) + (__u32)(key >> 32);

	return (__u64)low * high;
}

/* Fills the sums of a text of `words` words, 0 to PREFIX_WORDS. */
ICP_INLINE void prefix_fill(struct prefix_sums *sums, const struct prefix_keys *keys,
			    const text_word *text, __u32 words)
{
	sums->before[0] = 0;
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		if (i >= words)
			break;
		sums->before[i + 1] = sums->before[i] + prefix_product(text[i], keys->word[i]);
	}
}

/* Spreads what the sum holds over all bits; no two sums give the same. */
ICP_INLINE __u64 prefix_mix(__u64 sum)
{
	sum = (sum ^ sum >> 32) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 32;
}

/*
 * The hash of the first `length` bytes (0 to PREFIX_MAX) of a text whose sums have been filled at
 * least up to there. A word that has none of them is read as well.
 */
ICP_INLINE __u64 prefix_hash(const struct prefix_keys *keys, const text_word *text,
			     const struct prefix_sums *sums, __u32 length)
{
	__u32 whole = length / ICP_WORD;
	__u64 rest = word_first_bytes(text[whole], length % ICP_WORD);

	return prefix_mix(sums->before[whole] + prefix_product(rest, keys->word[whole]) +
			  length * keys->length);
}

/* The bucket, from 0, at which the look-up for a hash begins. */
ICP_INLINE __u32 prefix_home(__u64 hash, __u32 buckets)
{
	return (hash >> 32) * buckets >> 32;
}

/* What tells a node from others in its bucket; never 0. */
ICP_INLINE __u32 prefix_tag(__u64 hash)
{
	return (__u32)hash | 1;
}

/* How the two arrays are read: `index` as they count, NULL if there is no such line. */
typedef const struct prefix_bucket *(*prefix_bucket_at)(void *arrays, __u32 index);
typedef const struct prefix_line *(*prefix_line_at)(void *arrays, __u32 index);

/* 0 if two tags are equal, else 1. Not a branch: none could be foretold. */
ICP_INLINE __u32 prefix_tags_differ(__u32 a, __u32 b)
{
	__u64 difference = 0 - (__u64)(a ^ b);

	ICP_BOUNDED(difference);
	return difference >> 63;
}

/* The first node in a bucket with this tag; PREFIX_BUCKET_NODES: none has it. */
ICP_INLINE __u32 prefix_bucket_find(const struct prefix_bucket *bucket, __u32 tag)
{
	__u32 not_0 = prefix_tags_differ(bucket->node[0].tag, tag);
	__u32 not_1 = not_0 & prefix_tags_differ(bucket->node[1].tag, tag);
	__u32 not_2 = not_1 & prefix_tags_differ(bucket->node[2].tag, tag);
	__u32 not_3 = not_2 & prefix_tags_differ(bucket->node[3].tag, tag);

	return not_0 + not_1 + not_2 + not_3;
}

/*
 * The way down, in memory that is not on the stack: of what is read back from there the verifier
 * knows nothing, so that it follows each step once and not once for each way to get there. For the
 * same end a step has no branch but those that end it: what was not found goes to the second place,
 * where nobody looks.
 */
struct prefix_place {
	struct {
		struct prefix_node node;
		__u32 head; /* bytes that its head has */
	} found[2];
	__u32 full; /* full buckets passed in the look-up for the node's next */
	__u32 answer;
};

enum prefix_step {
	PREFIX_STEP_ON,
	PREFIX_STEP_END,  /* there is no node below */
	PREFIX_STEP_FAIL, /* the arrays are shorter than the tree */
};

/* Reads one bucket. */
ICP_INLINE enum prefix_step prefix_descend(struct prefix_place *place,
					   const struct prefix_tree *tree, const text_word *url,
					   const struct prefix_sums *sums, __u32 length,
					   prefix_bucket_at bucket_at, void *arrays)
{
	__u32 next = ICP_READ_BACK(place->found[0].node.next);
	__u32 full = ICP_READ_BACK(place->full);
	const struct prefix_bucket *bucket;
	__u32 home, number, missed, free, last;
	__u64 hash;

	if (next - 1 > length || next > PREFIX_MAX) /* 0, or more than the URL with its NUL */
		return PREFIX_STEP_END;
	ICP_BOUNDED(next);
	hash = prefix_hash(&tree->keys, url, sums, next);
	home = tree->first_bucket + prefix_home(hash, tree->buckets);
	bucket = bucket_at(arrays, home + full);
	if (!bucket)
		return PREFIX_STEP_FAIL;
	number = prefix_bucket_find(bucket, prefix_tag(hash));
	missed = number / PREFIX_BUCKET_NODES;
	number %= PREFIX_BUCKET_NODES;
	place->found[missed].node = bucket->node[number];
	place->found[missed].head = next;
	free = 1 ^ prefix_tags_differ(bucket->node[PREFIX_BUCKET_NODES - 1].tag, 0);
	last = (PREFIX_SPILL - 1 - full) >> 31;
	if (missed & (free | last))
		return PREFIX_STEP_END;
	place->full = (full + 1) & (0 - missed);
	return PREFIX_STEP_ON;
}

/* The answer at the end of the way: the leaf's, or else that of the head, if it is the URL's. */
ICP_INLINE __u32 prefix_compare(const struct prefix_tree *tree, struct prefix_place *place,
				const text_word *url, prefix_line_at line_at, void *arrays)
{
	__u32 first = tree->first_line + place->found[0].node.text;
	__u32 leaf = ICP_READ_BACK(place->found[0].node.leaf);
	__u32 head = ICP_READ_BACK(place->found[0].head);
	__u64 difference = 0;
	__u32 done = 0;

	for (__u32 i = 0; i < PREFIX_MAX / PREFIX_LINE; i++) {
		const text_word *text, *part = url + i * PREFIX_LINE_WORDS;
		const struct prefix_line *line;

		if (done >= leaf)
			break;
		line = line_at(arrays, first + i);
		if (!line)
			return PREFIX_COLLISION;
		text = (const text_word *)line->text;
#pragma GCC unroll 8
		for (__u32 word = 0; word < PREFIX_LINE_WORDS; word++) {
			difference = part[word] ^ text[word];
			if (leaf - done < ICP_WORD) {
				difference = word_first_bytes(difference, leaf - done);
				goto compared;
			}
			if (difference)
				goto compared;
			done += ICP_WORD;
		}
	}
compared:
	if (!difference)
		place->answer = place->found[0].node.leaf_answer;
	else if (done >= head ||
		 (head - done < ICP_WORD && !word_first_bytes(difference, head - done)))
		place->answer = place->found[0].node.answer;
	else
		place->answer = PREFIX_COLLISION;
	return ICP_READ_BACK(place->answer);
}

/*
 * The answer of the longest prefix of a URL of `length` bytes (0 to PREFIX_URL_MAX) and its NUL:
 * 1 to PREFIX_ANSWER_MAX, PREFIX_NO_ANSWER, or PREFIX_COLLISION. The sums are filled for the URL
 * with its NUL; `place` is for use on the way.
 */
ICP_INLINE __u32 prefix_find(const struct prefix_tree *tree, const text_word *url,
			     const struct prefix_sums *sums, __u32 length,
			     prefix_bucket_at bucket_at, prefix_line_at line_at, void *arrays,
			     struct prefix_place *place)
{
	enum prefix_step step = PREFIX_STEP_ON;

	place->found[0].node = tree->root;
	place->found[0].head = 0;
	place->full = 0;
	for (__u32 i = 0; i < PREFIX_STEPS && step == PREFIX_STEP_ON; i++)
		step = prefix_descend(place, tree, url, sums, length, bucket_at, arrays);
	if (step != PREFIX_STEP_END)
		return PREFIX_COLLISION;
	return prefix_compare(tree, place, url, line_at, arrays);
}

/* Do the first `length` bytes (0 to PREFIX_MAX) of two texts agree? Read by whole words. */
ICP_INLINE bool prefix_is_text(const text_word *url, const text_word *text, __u32 length)
{
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		__u32 done = i * ICP_WORD;
		__u64 difference;

		if (done >= length)
			break;
		difference = url[i] ^ text[i];
		if (length - done < ICP_WORD)
			return word_first_bytes(difference, length - done) == 0;
		if (difference)
			return false;
	}
	return true;
}

#endif

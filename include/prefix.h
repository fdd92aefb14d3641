/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Longest-prefix match of a URL against up to a million prefixes.
 *
 * The cost of a match is mostly the number of cold cache lines that it touches, not the number of
 * instructions. So the prefixes form a tree that is as flat as possible, in two arrays of 64-byte
 * lines, and a lookup touches one line for each level and then the text.
 *
 *	prefixes   buckets of 4 nodes, found by the hash of the node's head
 *	texts      the prefixes' bytes, each text beginning at a line of its own
 *
 * A node stands for a head, the bytes that all prefixes below it begin with, and holds
 *
 *	answer	the verdict of the longest prefix that the head itself begins with
 *	leaf	the shortest prefix below the head: its text and its answer
 *	next	the length of the second shortest. All others have at least this many bytes, so
 *		that one probe with this many bytes of the URL leads to those of them that the
 *		URL can still match, or to none
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
 * Lengths that no prefix has, or none below this head, are never probed. There are at most as many
 * nodes as prefixes, because each node is the only one with its leaf, or with the prefix that is
 * its head.
 *
 * Equal hashes do not prove equal heads. The heads of all nodes on the path are prefixes of the last
 * one's, whose text is compared with the URL at the end, at least as far as the head. A collision on
 * the path is therefore detected: it can cost the match (PREFIX_COLLISION), but never give a wrong
 * one. Nor can a client provoke collisions: the hash is NH (Black et al., "UMAC", CRYPTO 1999) with
 * random keys, by which any two texts collide with a probability of 2^-32. It takes one
 * multiplication for each 8 bytes, none of which waits for another. A longer head's sum continues that
 * of a shorter one, so all steps of a lookup together read the URL once.
 *
 * A whole URL is a prefix of the URL with its NUL: "http://e.org/a\0" matches that URL and no other.
 * So prefixes have 0 to PREFIX_MAX bytes.
 *
 * Texts are read in words of 8 bytes and are zero-padded to the word. A URL is followed by a NUL,
 * where any longer prefix has another byte, so that a comparison ends there by itself.
 */
#ifndef XDP_ICP_PREFIX_H
#define XDP_ICP_PREFIX_H

#include "base.h"

#define PREFIX_MAX 256u /* bytes; a URL has at most 255, and its NUL */
#define PREFIX_WORDS (PREFIX_MAX / ICP_WORD)
#define PREFIX_URL_MAX (PREFIX_MAX - 1) /* bytes of a URL without its NUL */

#define PREFIX_LINE 64u /* bytes of a cache line */
#define PREFIX_LINE_WORDS (PREFIX_LINE / ICP_WORD)

/* Lines that the text of a prefix takes. The empty one takes none. */
#define PREFIX_LINES(length) (((length) + PREFIX_LINE - 1) / PREFIX_LINE)

/*
 * The number of buckets that a lookup reads at most: one for each length, and some more because of
 * full ones. A tree that needs more is possible; the kernel passes such a query up
 * (PREFIX_COLLISION).
 */
#define PREFIX_STEPS (PREFIX_MAX + 64)

/* An answer is a number from 1 on; its meaning is the caller's. */
#define PREFIX_NO_ANSWER 0u
#define PREFIX_ANSWER_MAX 0xffffu
#define PREFIX_COLLISION 0x10000u /* not found, although there may be a match */

/* A node, 16 bytes. If there is no leaf, the head takes its place. */
struct prefix_node {
	__u32 tag;    /* prefix_tag() of the head's hash; 0: this place is free */
	__u32 text;   /* line of the leaf's text */
	__u16 answer; /* of the longest prefix that the head begins with, or none */
	__u16 leaf_answer;
	__u16 leaf; /* bytes, 0 to PREFIX_MAX, not less than the head has */
	__u16 next; /* bytes, more than the head has; 0: there is nothing else below it */
} __attribute__((aligned(8))); /* to be copied by words */

#define PREFIX_BUCKET_NODES 4u

/* Filled from the first node on. */
struct prefix_bucket {
	struct prefix_node node[PREFIX_BUCKET_NODES];
} __attribute__((aligned(PREFIX_LINE)));

struct prefix_line {
	char text[PREFIX_LINE];
} __attribute__((aligned(PREFIX_LINE)));

/*
 * A node that finds its bucket full is in one of this many buckets after it. The array ends with as
 * many extra ones. With half of the slots in use, the farthest node in 40 simulated trees of four
 * million nodes was 16 buckets away.
 */
#define PREFIX_PROBE_MAX 32u

/* What the halves of a word are hashed with. */
struct prefix_key {
	__u32 low, high;
} __attribute__((aligned(8)));

/* The keys of the hash, all bits random. */
struct prefix_keys {
	struct prefix_key word[PREFIX_WORDS + 1];
	__u64 length;
};

/* A tree, in a part of the two arrays. */
struct prefix_tree {
	struct prefix_keys keys;
	struct prefix_node root; /* its head is empty; the tag is not used */
	__u32 first_bucket;
	__u32 buckets; /* that lookups begin at */
	__u32 first_line;
	__u32 longest; /* bytes of the longest prefix */
};

/* The summand of one word, given by its halves. */
ICP_INLINE __u64 prefix_product_of(__u32 lower, __u32 upper, const struct prefix_key *key)
{
	lower += key->low;
	upper += key->high;
	return (__u64)lower * upper;
}

ICP_INLINE __u64 prefix_product(__u64 word, const struct prefix_key *key)
{
	return prefix_product_of(word, word >> 32, key);
}

/* The sum over the first `words` words of a text, 0 to PREFIX_WORDS. */
ICP_INLINE __u64 prefix_sum(const struct prefix_keys *keys, const text_word *text, __u32 words)
{
	__u64 sum = 0;

	ICP_BOUNDED(words); /* or the compiler compares what it was computed from */
#pragma GCC unroll 32
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		if (i >= words)
			break;
		sum += prefix_product_of(word_lower_at(&text[i]), word_upper_at(&text[i]),
					 &keys->word[i]);
	}
	return sum;
}

/* Spread the sum over all bits. Different sums give different results. */
ICP_INLINE __u64 prefix_mix(__u64 sum)
{
	sum = (sum ^ sum >> 32) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 32;
}

/* prefix_hash(), if `sum` is prefix_sum() of the whole words. */
ICP_INLINE __u64 prefix_finish(const struct prefix_keys *keys, const text_word *text, __u64 sum,
			       __u64 length)
{
	__u64 whole = length / ICP_WORD;
	__u64 rest = word_first_bytes(text[whole], length % ICP_WORD);

	return prefix_mix(sum + prefix_product(rest, &keys->word[whole]) + length * keys->length);
}

/*
 * The hash of the first `length` bytes (0 to PREFIX_MAX) of a text. The word behind them is read as
 * well, even if none of its bytes counts.
 */
ICP_INLINE __u64 prefix_hash(const struct prefix_keys *keys, const text_word *text, __u32 length)
{
	return prefix_finish(keys, text, prefix_sum(keys, text, length / ICP_WORD), length);
}

/* The bucket, from 0, at which the lookup for a hash begins. */
ICP_INLINE __u32 prefix_home(__u64 hash, __u32 buckets)
{
	return (hash >> 32) * buckets >> 32;
}

/* What distinguishes a node from others in its bucket; never 0. */
ICP_INLINE __u32 prefix_tag(__u64 hash)
{
	return (__u32)hash | 1;
}

/* Read a line of the two arrays. NULL: there is no such index. */
typedef const struct prefix_bucket *(*prefix_bucket_at)(void *arrays, __u32 index);
typedef const struct prefix_line *(*prefix_line_at)(void *arrays, __u32 index);

/* 0 if two tags are equal, else 1, without a branch, which would be unpredictable. */
ICP_INLINE __u32 prefix_tags_differ(__u32 a, __u32 b)
{
	__u64 difference = 0 - (__u64)(a ^ b);

	ICP_BOUNDED(difference);
	return difference >> 63;
}

/* The index of the first node in a bucket with this tag; PREFIX_BUCKET_NODES: there is none. */
ICP_INLINE __u32 prefix_bucket_find(const struct prefix_bucket *bucket, __u32 tag)
{
	__u32 not_0 = prefix_tags_differ(bucket->node[0].tag, tag);
	__u32 not_1 = not_0 & prefix_tags_differ(bucket->node[1].tag, tag);
	__u32 not_2 = not_1 & prefix_tags_differ(bucket->node[2].tag, tag);
	__u32 not_3 = not_2 & prefix_tags_differ(bucket->node[3].tag, tag);

	return not_0 + not_1 + not_2 + not_3;
}

/*
 * Does a lookup go on below a node whose `next` this is, with a URL of `length` bytes, at most
 * PREFIX_URL_MAX, and its NUL? If so, `next` is at most PREFIX_MAX.
 */
ICP_INLINE bool prefix_goes_on(__u32 next, __u32 length)
{
	return next - 1 <= length; /* 0: there is nothing below */
}

enum prefix_step {
	PREFIX_STEP_CONTINUE,
	PREFIX_STEP_END,  /* there is no node below */
	PREFIX_STEP_FAIL, /* the arrays are shorter than the tree */
};

/*
 * The position of a lookup in the tree. It is in memory that is not on the stack: the verifier knows
 * nothing of a value that is read back from there, so that it follows each step once and not once
 * for each path that leads to it. For the same reason a step after the first has no branches but
 * those that end it: if nothing is found, the node is written to found[1], which is never read.
 */
struct prefix_cursor {
	struct {
		struct prefix_node node;
		__u32 head; /* bytes that its head has */
	} found[2];
	__u64 sum;   /* prefix_sum() of the first `words` words */
	__u32 words; /* never decreases during a lookup */
	__u32 full;  /* full buckets passed in the probe for the node's next */
	__u32 tag;   /* that the first step looks for */
};

/* Where the first step of a lookup has led. */
struct prefix_first {
	enum prefix_step step;
	const struct prefix_node *node; /* at the end: in the tree */
	__u32 head;			/* bytes that its head has */
};

/*
 * Begin a lookup: return the first step's bucket. Its cache line is already being read, so other work
 * can be done before the step. NULL: there is no node below the root that can match, or the arrays are
 * too short; prefix_first() tells which.
 */
ICP_INLINE const struct prefix_bucket *prefix_begin(struct prefix_cursor *cursor,
						    const struct prefix_tree *tree,
						    const text_word *url, __u32 length,
						    prefix_bucket_at bucket_at, void *arrays)
{
	const struct prefix_bucket *bucket;
	__u64 next = tree->root.next; /* 64 bits wide, as the product is */
	__u64 sum, hash;

	if (!prefix_goes_on(next, length))
		return NULL;
	sum = prefix_sum(&tree->keys, url, next / ICP_WORD);
	/* Read back, or the verifier follows the code below once for each number of words. */
	next = ICP_READ_BACK(tree->root.next);
	if (next > PREFIX_MAX)
		return NULL;
	ICP_BOUNDED(next);
	hash = prefix_finish(&tree->keys, url, sum, next);
	cursor->sum = sum;
	cursor->words = next / ICP_WORD;
	cursor->tag = prefix_tag(hash);
	bucket = bucket_at(arrays, tree->first_bucket + prefix_home(hash, tree->buckets));
	if (bucket) /* a prefetch: nothing waits for a result that is not used */
		(void)ICP_READ_BACK(bucket->node[0].tag);
	return bucket;
}

/*
 * The first step, with what prefix_begin() has returned. Most lookups end with it: their node is used
 * where it lies, not copied. If the lookup goes on, the cursor is where the next step begins.
 */
ICP_INLINE struct prefix_first prefix_first(struct prefix_cursor *cursor,
					    const struct prefix_tree *tree,
					    const struct prefix_bucket *bucket, __u32 length)
{
	struct prefix_first first = { PREFIX_STEP_END, &tree->root, 0 };
	__u32 next = tree->root.next, number;

	if (!bucket) {
		if (prefix_goes_on(next, length))
			first.step = PREFIX_STEP_FAIL;
		return first;
	}
	number = prefix_bucket_find(bucket, ICP_READ_BACK(cursor->tag));
	if (number < PREFIX_BUCKET_NODES) {
		first.node = &bucket->node[number];
		first.head = next;
		if (!prefix_goes_on(first.node->next, length))
			return first;
	} else if (!bucket->node[PREFIX_BUCKET_NODES - 1].tag) {
		return first;
	}
	cursor->found[0].node = *first.node;
	cursor->found[0].head = first.head;
	cursor->full = number / PREFIX_BUCKET_NODES;
	first.step = PREFIX_STEP_CONTINUE;
	return first;
}

/* Extend the cursor's sum to the first `words` words of the URL, 0 to PREFIX_WORDS. */
ICP_INLINE void prefix_sum_on(struct prefix_cursor *cursor, const struct prefix_keys *keys,
			      const text_word *url, __u32 words)
{
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		__u32 at = ICP_READ_BACK(cursor->words);

		if (at >= words)
			break;
		at %= PREFIX_WORDS; /* it is less: a bound for the verifier */
		cursor->sum += prefix_product(url[at], &keys->word[at]);
		cursor->words = at + 1;
	}
}

/* A further step: probe one bucket. */
ICP_INLINE enum prefix_step prefix_probe(struct prefix_cursor *cursor,
					 const struct prefix_tree *tree, const text_word *url,
					 __u32 length, prefix_bucket_at bucket_at, void *arrays)
{
	__u32 next = ICP_READ_BACK(cursor->found[0].node.next);
	const struct prefix_bucket *bucket;
	__u32 home, full, number, missed, free, last;
	__u64 hash;

	if (!prefix_goes_on(next, length))
		return PREFIX_STEP_END;
	/* Only a collision leads back to a node above, for whose next the sum has too many words. */
	if (next <= ICP_READ_BACK(cursor->found[0].head) || next > PREFIX_MAX)
		return PREFIX_STEP_FAIL;
	ICP_BOUNDED(next);
	prefix_sum_on(cursor, &tree->keys, url, next / ICP_WORD);
	hash = prefix_finish(&tree->keys, url, ICP_READ_BACK(cursor->sum), next);
	home = tree->first_bucket + prefix_home(hash, tree->buckets);
	bucket = bucket_at(arrays, home + ICP_READ_BACK(cursor->full));
	if (!bucket)
		return PREFIX_STEP_FAIL;
	number = prefix_bucket_find(bucket, prefix_tag(hash));
	missed = number / PREFIX_BUCKET_NODES;
	number %= PREFIX_BUCKET_NODES;
	cursor->found[missed].head = ICP_READ_BACK(cursor->found[0].node.next);
	cursor->found[missed].node = bucket->node[number];
	free = 1 ^ prefix_tags_differ(bucket->node[PREFIX_BUCKET_NODES - 1].tag, 0);
	full = ICP_READ_BACK(cursor->full);
	last = (PREFIX_PROBE_MAX - 1 - full) >> 31;
	if (missed & (free | last))
		return PREFIX_STEP_END;
	cursor->full = (full + 1) & (0 - missed);
	return PREFIX_STEP_CONTINUE;
}

/* Are the first `length` bytes of two lines equal, or all if that is more than a line has? */
ICP_INLINE bool prefix_is_line(const text_word *url, const text_word *text, __u32 length)
{
#pragma GCC unroll 8
	for (__u32 i = 0; i < PREFIX_LINE_WORDS; i++) {
		if (length - i * ICP_WORD < ICP_WORD)
			return !word_first_bytes(url[i] ^ text[i], length % ICP_WORD);
		if (url[i] != text[i])
			return false;
	}
	return true;
}

enum prefix_equal {
	PREFIX_DIFFERENT,
	PREFIX_EQUAL,
	PREFIX_UNREADABLE, /* the arrays are shorter than the tree */
};

/* Compare the first `length` bytes (0 to PREFIX_MAX) of a URL with the text at a line. */
ICP_INLINE enum prefix_equal prefix_compare(const text_word *url, __u32 first, __u32 length,
					    prefix_line_at line_at, void *arrays)
{
#pragma GCC unroll 4
	for (__u32 i = 0; i < PREFIX_MAX / PREFIX_LINE; i++) {
		const text_word *part = url + i * PREFIX_LINE_WORDS;
		const struct prefix_line *line;

		if (i * PREFIX_LINE >= length)
			break;
		line = line_at(arrays, first + i);
		if (!line)
			return PREFIX_UNREADABLE;
		ICP_BOUNDED(part); /* or the compiler computes each word's place from the first */
		if (!prefix_is_line(part, (const text_word *)line->text, length - i * PREFIX_LINE))
			return PREFIX_DIFFERENT;
	}
	return PREFIX_EQUAL;
}

/*
 * The answer of the node at the end of the path, whose head has `head` bytes: the leaf's if the URL
 * begins with the leaf, else the head's if it begins at least with the head, else PREFIX_COLLISION.
 */
ICP_INLINE __u32 prefix_decide(const struct prefix_tree *tree, const struct prefix_node *node,
			       __u32 head, const text_word *url, prefix_line_at line_at,
			       void *arrays)
{
	__u32 first = tree->first_line + node->text;
	enum prefix_equal equal = prefix_compare(url, first, node->leaf, line_at, arrays);

	if (equal == PREFIX_EQUAL)
		return node->leaf_answer;
	if (equal == PREFIX_DIFFERENT &&
	    prefix_compare(url, first, head, line_at, arrays) == PREFIX_EQUAL)
		return node->answer;
	return PREFIX_COLLISION;
}

/*
 * Find the longest prefix of a URL of `length` bytes (0 to PREFIX_URL_MAX) and its NUL. Returns its
 * answer, 1 to PREFIX_ANSWER_MAX; PREFIX_NO_ANSWER; or PREFIX_COLLISION. `cursor` is for use during
 * the lookup.
 */
ICP_INLINE __u32 prefix_find(const struct prefix_tree *tree, const text_word *url, __u32 length,
			     prefix_bucket_at bucket_at, prefix_line_at line_at, void *arrays,
			     struct prefix_cursor *cursor)
{
	const struct prefix_bucket *bucket =
		prefix_begin(cursor, tree, url, length, bucket_at, arrays);
	struct prefix_first first = prefix_first(cursor, tree, bucket, length);

	for (__u32 i = 1; i < PREFIX_STEPS && first.step == PREFIX_STEP_CONTINUE; i++) {
		first.step = prefix_probe(cursor, tree, url, length, bucket_at, arrays);
		first.node = &cursor->found[0].node;
		first.head = cursor->found[0].head;
	}
	if (first.step != PREFIX_STEP_END)
		return PREFIX_COLLISION;
	return prefix_decide(tree, first.node, first.head, url, line_at, arrays);
}

/* Are the first `length` bytes (0 to PREFIX_MAX) of two texts equal? Reads whole words. */
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

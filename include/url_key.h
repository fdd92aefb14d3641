/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The key of a URL: the part of it that policies group URLs by. It is one run of bytes:
 *
 *	url	  the whole URL
 *	host	  the host, without user and port
 *	host+N	  host, port if there is one, and the first N directories of the path: through the
 *		  slash N + 1 of the path, or through its last one if it has fewer
 *	path	  what follows the authority
 *	path+N	  the directories as above, without host and port
 *
 * The query, from the first ? or # on, is part of `url` and `path` only, and of those only if wanted.
 * A URL without SCHEME:// or without a host, as in a CONNECT request, is taken whole. ASCII letters of
 * the host count as lower case, all other bytes as they are: nothing is decoded.
 */
#ifndef XDP_ICP_URL_KEY_H
#define XDP_ICP_URL_KEY_H

#include "readings.h"

enum url_key_kind {
	URL_KEY_URL,
	URL_KEY_HOST,
	URL_KEY_HOST_DIRECTORIES,
	URL_KEY_PATH,
	URL_KEY_PATH_DIRECTORIES
};

#define URL_KEY_DIRECTORIES_MAX 15u

/* Which part of a URL is its key. */
struct url_key_form {
	__u32 kind;	   /* enum url_key_kind */
	__u32 directories; /* 0 to URL_KEY_DIRECTORIES_MAX */
	__u32 query;	   /* 0: without the query */
	__u32 zero;
};

/* A key, as offsets in the URL, in bytes. */
struct url_key {
	__u32 begin;
	__u32 end;
	__u32 lower;   /* what is before counts in lower case */
	__u32 slashes; /* that are still wanted */
	__u32 next;    /* that is hashed */
};

/*
 * The word at an offset of the URL. The program reads what is behind the URL, in memory of TURN_ROOM +
 * ICP_WORD bytes; the remainder changes nothing there, it is a bound for the verifier.
 */
ICP_INLINE __u64 url_key_word(const __u8 *url, __u32 at, __u32 size)
{
#ifdef __bpf__
	at %= TURN_ROOM;
#endif
	return word_of_text(url, at, size);
}

/* A bound for the verifier of the place of a key's words, which are read behind it in that memory. */
ICP_INLINE __u32 url_key_bound(__u32 at)
{
#ifdef __bpf__
	at %= TURN_ROOM / 2;
#endif
	return at;
}

/* The bytes that a path ends before. */
ICP_INLINE __u64 url_key_path_end(__u64 word)
{
	return word_equal(word, '?') | word_equal(word, '#') | word_equal(word, '\0');
}

/* Set the end of a key before the query. */
ICP_INLINE void url_key_leave_query(struct url_key *key, const __u8 *url, __u32 size)
{
	for (__u32 at = 0; at <= size; at += ICP_WORD) {
		__u64 end = url_key_path_end(url_key_word(url, at, size));

		if (end) {
			key->end = at + mask_first(end);
			return;
		}
	}
}

/*
 * Set the end of a key behind slash number key->slashes (from 1) of the path, which begins at
 * key->end, or behind its last one.
 */
ICP_INLINE void url_key_find_directories(struct url_key *key, const __u8 *url, __u32 size)
{
	__u32 path = ICP_READ_BACK(key->end);
	__u32 at = path / ICP_WORD * ICP_WORD;
	__u64 part = ~0ULL << 8 * (path % ICP_WORD); /* of the word */

	for (__u32 i = 0; i <= size / ICP_WORD; i++) {
		__u32 slashes = ICP_READ_BACK(key->slashes), count;
		__u64 word = url_key_word(url, at, size);
		__u64 end = url_key_path_end(word) & part;
		__u64 found = word_equal(word, '/') & part & mask_before(end);

		count = mask_count(found);
		if (count >= slashes) {
			for (__u32 before = 1; before < ICP_WORD; before++)
				if (before < slashes)
					found &= found - 1;
			key->end = at + mask_first(found) + 1;
			return;
		}
		if (found)
			key->end = at + mask_count(mask_up_to_last(found));
		key->slashes = slashes - count;
		if (end)
			return;
		part = ~0ULL;
		at += ICP_WORD;
	}
}

/* Narrow a key that has the whole URL to the part that the form names, if the URL has that part. */
ICP_INLINE void url_key_narrow(struct url_key *key, const struct url_key_form *form,
			       enum host_form host, const struct host_place *place, const __u8 *url,
			       __u32 size)
{
	__u32 kind = form->kind, authority = ICP_READ_BACK(place->end);
	bool path = kind == URL_KEY_PATH || kind == URL_KEY_PATH_DIRECTORIES;

	if (host == HOST_NONE || !place->scheme)
		return;
	key->begin = path ? authority : ICP_READ_BACK(place->begin);
	key->lower = path ? 0 : authority;
	if (kind == URL_KEY_HOST) {
		/* The first colon is within the brackets of an address. */
		key->end = host == HOST_BRACKET ? authority : ICP_READ_BACK(place->colon);
	} else if (kind != URL_KEY_PATH) {
		key->end = authority;
		key->slashes = form->directories + 1;
		url_key_find_directories(key, url, size);
	}
}

/*
 * Find the key of a URL of `length` bytes, in which host_find() has found this host. `url` and `size`
 * are as there; in the kernel `key` is in memory that is not on the stack.
 */
ICP_INLINE void url_key_find(struct url_key *key, const struct url_key_form *form,
			     enum host_form host, const struct host_place *place, const __u8 *url,
			     __u32 length, __u32 size)
{
	key->begin = 0;
	key->end = length;
	key->lower = 0;
	if (form->kind != URL_KEY_URL)
		url_key_narrow(key, form, host, place, url, size);
	if (!form->query && (form->kind == URL_KEY_URL || form->kind == URL_KEY_PATH))
		url_key_leave_query(key, url, size);
}

/* The key of a URL of `length` bytes; for userspace. */
ICP_INLINE struct url_key url_key_of(const struct url_key_form *form, const char *url, __u32 length)
{
	const __u8 *bytes = (const __u8 *)url;
	struct host_place place = { 0 };
	enum host_form host = HOST_NONE;
	struct url_key key = { 0 };

	if (form->kind != URL_KEY_URL)
		host = host_find(&place, bytes, length);
	url_key_find(&key, form, host, &place, bytes, length, length);
	return key;
}

/* Letters before byte `end` of a word (any number) in lower case. */
ICP_INLINE __u64 url_key_lower(__u64 word, __u32 end)
{
	__u64 letters = word_between(word, 'A', 'Z');

	if (end < ICP_WORD)
		letters &= (1ULL << 8 * end) - 1;
	return word | letters >> 2;
}

/* Is the whole word at byte `at` of the URL in the key, and begins with what counts in lower case? */
ICP_INLINE bool url_key_is_lower(const struct url_key *key, __u32 at)
{
	return at < ICP_READ_BACK(key->lower) && at + ICP_WORD <= ICP_READ_BACK(key->end);
}

/* The word `i` of a key, from 0; its bytes behind the key's end are zero. */
ICP_INLINE __u64 url_key_read(const struct url_key *key, __u32 i, const __u8 *url, __u32 size)
{
	__u32 at = ICP_READ_BACK(key->begin) + i * ICP_WORD;
	__s32 left = ICP_READ_BACK(key->end) - at, lower = ICP_READ_BACK(key->lower) - at;
	__u64 word = url_key_word(url, at, size);

	if (left < (__s32)ICP_WORD)
		word &= left > 0 ? (1ULL << 8 * left) - 1 : 0;
	return lower > 0 ? url_key_lower(word, lower) : word;
}

#endif

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
	__u32 next;    /* that is read */
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

/*
 * Set the end of a key at the first byte that `stops` finds, from its beginning on. There is one: a URL is
 * followed by a NUL.
 */
typedef __u64 (*url_key_stops)(__u64 word);

ICP_INLINE void url_key_end_before(struct url_key *key, const __u8 *url, __u32 size,
				   url_key_stops stops)
{
	for (__u32 i = 0; i <= size / ICP_WORD; i++) {
		__u32 at = ICP_READ_BACK(key->begin) + i * ICP_WORD;
		__u64 stop = stops(url_key_word(url, at, size));

		if (stop) {
			key->end = at + mask_first(stop);
			return;
		}
	}
}

/* The bytes that the host without its port ends before. */
ICP_INLINE __u64 url_key_host_end(__u64 word)
{
	return host_end_bytes(word) | word_equal(word, ':');
}

/* May a word have one of ? # @ and NUL? One test for what few words have. */
ICP_INLINE bool url_key_has_marks(__u64 word)
{
	__u64 low = word & ~WORD_HIGH;
	__u64 others = (low + (0x80 - '$') * WORD_ONES) | word;			/* from $ on */
	__u64 close = ((low + WORD_ONES) & 0x7e * WORD_ONES) ^ '@' * WORD_ONES; /* 0: ? or @ */

	return (others & (close + ~WORD_HIGH) & WORD_HIGH) != WORD_HIGH;
}

/*
 * Find the authority and directories of a URL, in one pass from key->begin on, which is behind the scheme:
 * the authority begins at key->begin and ends at key->lower, which was 0, and key->end is behind slash
 * number key->slashes (from 1) of the path, or behind its last one.
 */
ICP_INLINE void url_key_scan(struct url_key *key, const __u8 *url, __u32 size)
{
	__u32 at = ICP_READ_BACK(key->begin);

	for (__u32 i = 0; i <= size / ICP_WORD; i++, at += ICP_WORD) {
		__u64 word = url_key_word(url, at, size);
		__u64 found = word_equal(word, '/'), end = 0;
		__u32 slashes, count;

		if (url_key_has_marks(word)) {
			end = url_key_path_end(word);
			found &= mask_before(end);
			/* The last @: Squid and servers allow others within a user name. */
			if (!ICP_READ_BACK(key->lower)) {
				__u64 user = word_equal(word, '@') & mask_before(found | end);

				if (user)
					key->begin = at + mask_count(mask_up_to_last(user));
			}
		}
		if (!(found | end))
			continue;
		if (!ICP_READ_BACK(key->lower))
			key->end = key->lower = at + mask_first(found | end);
		slashes = ICP_READ_BACK(key->slashes);
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
	}
}

/* Narrow a key that is the whole URL to the part that the form names, if the URL has that part. */
ICP_INLINE void url_key_narrow(struct url_key *key, const struct url_key_form *form,
			       struct host_place *place, const __u8 *url, __u32 length, __u32 size)
{
	__u32 begin, authority;

	host_find_begin(place, url, size);
	if (!place->scheme)
		return;
	key->begin = ICP_READ_BACK(place->begin);
	key->slashes = form->directories + 1;
	url_key_scan(key, url, size);
	begin = ICP_READ_BACK(key->begin);
	authority = ICP_READ_BACK(key->lower);
	if (begin == authority || (__u8)url_key_word(url, begin, size) == ':') { /* no host */
		key->begin = 0;
		key->end = length;
		key->lower = 0;
		return;
	}
	if (form->kind == URL_KEY_HOST) {
		key->end = authority;
		if ((__u8)url_key_word(url, begin, size) != '[')
			url_key_end_before(key, url, size, url_key_host_end);
	} else if (form->kind != URL_KEY_HOST_DIRECTORIES) {
		key->begin = authority;
		key->lower = 0;
		if (form->kind == URL_KEY_PATH)
			key->end = length;
	}
}

/*
 * Find the key of a URL of `length` bytes, or fewer if it ends with a NUL. `url` and `size` are as
 * for host_find(); in the kernel `key` and `place` are in memory that is not on the stack.
 */
ICP_INLINE void url_key_find(struct url_key *key, const struct url_key_form *form,
			     struct host_place *place, const __u8 *url, __u32 length, __u32 size)
{
	key->begin = 0;
	key->end = length;
	key->lower = 0;
	if (form->kind != URL_KEY_URL)
		url_key_narrow(key, form, place, url, length, size);
	if (!form->query && (form->kind == URL_KEY_URL || form->kind == URL_KEY_PATH))
		url_key_end_before(key, url, size, url_key_path_end);
}

/* The key of a URL of `length` bytes; for userspace. */
ICP_INLINE struct url_key url_key_of(const struct url_key_form *form, const char *url, __u32 length)
{
	struct host_place place = { 0 };
	struct url_key key = { 0 };

	url_key_find(&key, form, &place, (const __u8 *)url, length, length);
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

/* Takes the next word of a key; the bytes behind the key's end are zero. */
typedef void (*url_key_take)(void *context, __u64 word);

/*
 * Read the words of a key, in order; none if it is empty. Parameters are as for url_key_find(). The
 * part that counts in lower case comes first, then whole words, then the remaining bytes.
 */
ICP_INLINE void url_key_read(struct url_key *key, const __u8 *url, __u32 size, url_key_take take,
			     void *context)
{
	__u64 word;
	__s32 left;
	__u32 at;

	key->next = key->begin;
	for (__u32 i = 0; i <= size / ICP_WORD; i++) {
		at = ICP_READ_BACK(key->next);
		if (at >= ICP_READ_BACK(key->lower) || at + ICP_WORD > ICP_READ_BACK(key->end))
			break;
		take(context,
		     url_key_lower(url_key_word(url, at, size), ICP_READ_BACK(key->lower) - at));
		key->next = at + ICP_WORD;
	}
	at = ICP_READ_BACK(key->next);
	left = ICP_READ_BACK(key->end) - at;
	at = url_key_bound(at);
	for (__u32 i = 0; i < size / ICP_WORD; i++) {
		if (left < (__s32)ICP_WORD)
			break;
		take(context, word_of_text(url + at, i * ICP_WORD, size - at));
		left -= ICP_WORD;
	}
	if (left <= 0)
		return;
	at = ICP_READ_BACK(key->end) - left;
	word = url_key_word(url, at, size) & ((1ULL << 8 * left) - 1);
	if (ICP_READ_BACK(key->lower) > at)
		word = url_key_lower(word, ICP_READ_BACK(key->lower) - at);
	take(context, word);
}

#endif

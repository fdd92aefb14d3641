/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The readings of a URL. Policies look for texts that one of them begins with (prefix.h).
 *
 *	forward	  the URL as it is, with its NUL: prefixes, and whole URLs, which end with the NUL
 *	backward  from the last byte to the first: suffixes
 *	host	  the host in its normal form, from the last byte to the first, with a dot and a NUL:
 *		  www.e.org is "gro.e.www." Domains end with the dot, whole hosts with the NUL.
 *	inside	  the URL from any byte on; grams.h finds the few places that are looked up
 *	absent	  the same, of the texts that must not be inside the URL: of policies with `not`
 *
 * The host is in SCHEME://USER:PASSWORD@HOST:PORT/... or, as in a CONNECT request, HOST[:PORT]. Its
 * normal form has ASCII letters in lower case and no dot at the end. The normal form of an address in
 * brackets is not made here (lib/url.h makes it).
 */
#ifndef XDP_ICP_READINGS_H
#define XDP_ICP_READINGS_H

#include "prefix.h"
#include "words.h"

enum url_reading {
	URL_FORWARD,
	URL_BACKWARD,
	URL_HOST,
	URL_INSIDE,
	URL_ABSENT,
	URL_READINGS
};

/* The readings from URL_INSIDE on begin at any byte of the URL. */
#define URL_SEARCHES (URL_READINGS - URL_INSIDE)

/* --- finding the host */

enum host_form {
	HOST_NONE,    /* there is no host, as in urn:isbn:0451450523 or /path */
	HOST_NAME,    /* a name or an IPv4 address */
	HOST_BRACKET, /* begins with a bracket; its end has not been looked for */
	HOST_PORT,    /* a name, if what follows is a port; that has not been looked at */
};

/* Offsets in the URL, in bytes. */
struct host_place {
	__u32 begin;  /* of the host */
	__u32 colon;  /* the first one behind `begin`, or `end` */
	__u32 end;    /* of host and port */
	__u32 scheme; /* 1: the URL has a scheme */
};

#define HOST_NO_COLON 0xffffffffu

/* The bytes that a scheme consists of (RFC 3986 section 3.1). */
ICP_INLINE __u64 host_scheme_bytes(__u64 word)
{
	return word_between(word_lower(word), 'a', 'z') | word_between(word, '0', '9') |
	       word_equal(word, '+') | word_equal(word, '-') | word_equal(word, '.');
}

/* The bytes that an authority ends before. */
ICP_INLINE __u64 host_end_bytes(__u64 word)
{
	/* A slash and a question mark differ in one bit. */
	return word_equal(word & ~(('/' ^ '?') * WORD_ONES), '/') | word_equal(word, '#') |
	       word_equal(word, '\0');
}

/* The first word of http:// without the byte behind it. */
#define HTTP_WORD 0x2f2f3a70747468ULL
#define HTTP_MASK 0xffffffffffffffULL

/* Find where the authority begins: behind SCHEME://, or at the beginning. */
ICP_INLINE void host_find_begin(struct host_place *place, const __u8 *url, __u32 size)
{
	__u32 end;

	/* What nearly all URLs begin with. */
	if ((word_of_text(url, 0, size) & HTTP_MASK) == HTTP_WORD) {
		place->begin = 7;
		place->scheme = 1;
		return;
	}
	/* Else the compiler enters the loop behind its first load, a loop that Linux 6.1 refuses. */
	ICP_BOUNDED(url);
	place->begin = 0;
	place->scheme = 0;
	place->end = 0;
	for (__u32 at = 0; at <= size; at += ICP_WORD) {
		__u64 others = ~host_scheme_bytes(word_of_text(url, at, size)) & WORD_HIGH;

		if (others) {
			place->end = at + mask_first(others);
			break;
		}
	}
	end = ICP_READ_BACK(place->end);
	if (end >= size || size - end < 3)
		return;
	ICP_BOUNDED(end);
	if (url[end] != ':' || url[end + 1] != '/' || url[end + 2] != '/' ||
	    (url[0] | 0x20) < 'a' || (url[0] | 0x20) > 'z') /* not a letter */
		return;
	place->begin = end + 3;
	place->scheme = 1;
}

/* Find the end of the authority, the host after its last @, and the first colon in that. */
ICP_INLINE void host_find_end(struct host_place *place, const __u8 *url, __u32 size)
{
	__u32 begin = ICP_READ_BACK(place->begin);
	__u32 at = begin / ICP_WORD * ICP_WORD;
	__u64 part = ~0ULL << 8 * (begin % ICP_WORD); /* of the word */

	place->colon = HOST_NO_COLON;
	for (__u32 i = 0; i <= size / ICP_WORD; i++) {
		__u64 word, end, user, colon;

		if (at > size) /* never: for the verifier */
			break;
		ICP_BOUNDED(at);
		word = word_of_text(url, at, size);
		end = host_end_bytes(word) & part;
		part &= mask_before(end);
		/* The last @: Squid and servers allow others within a user name. */
		user = mask_up_to_last(word_equal(word, '@') & part);
		colon = word_equal(word, ':') & part & ~user;
		if (user) {
			place->begin = at + mask_count(user);
			place->colon = HOST_NO_COLON;
		}
		if (colon && place->colon == HOST_NO_COLON)
			place->colon = at + mask_first(colon);
		if (end) {
			at += mask_first(end);
			break;
		}
		part = ~0ULL;
		at += ICP_WORD;
	}
	place->end = at;
	if (ICP_READ_BACK(place->colon) > at)
		place->colon = at;
}

/*
 * Find the host of a URL of `size` bytes, or fewer if it ends with a NUL. User, password and port
 * are not checked. In the kernel `place` is in memory that is not on the stack, like the cursor of
 * prefix.h, and `size` is a constant.
 */
ICP_INLINE enum host_form host_find(struct host_place *place, const __u8 *url, __u32 size)
{
	__u32 begin;

	host_find_begin(place, url, size);
	host_find_end(place, url, size);
	begin = ICP_READ_BACK(place->begin);
	if (begin == ICP_READ_BACK(place->colon) || begin >= size)
		return HOST_NONE;
	ICP_BOUNDED(begin);
	if (url[begin] == '[')
		return HOST_BRACKET;
	if (!place->scheme && ICP_READ_BACK(place->colon) != ICP_READ_BACK(place->end))
		return HOST_PORT;
	return HOST_NAME;
}

/* Return the bytes of a host of `length` bytes without a dot at its end. */
ICP_INLINE __u32 host_trim(const __u8 *host, __u32 length)
{
	return length - (length > 1 && host[length - 1] == '.');
}

/* --- making a reading */

/* A reading, as far as the tree asks for it. */
struct turned_url {
	text_word words[PREFIX_WORDS + 1];
	__u32 length; /* bytes, without the NUL; 0 to PREFIX_URL_MAX */
	__u32 whole;  /* words before the last one that is filled */
};

/* Bytes of the memory that a URL to be turned is in, with at least ICP_WORD before the URL. */
#define TURN_ROOM 512u

/*
 * The word `i` of the text that begins at the offset `at`, or that ends there and is read backward.
 * The remainder changes nothing; it is a bound for the verifier.
 */
ICP_INLINE __u64 turned_word(const __u8 *memory, __u32 at, __u32 i, enum url_reading reading)
{
	__u64 word;

	if (reading == URL_INSIDE)
		return word_at(memory + (at + i * ICP_WORD) % TURN_ROOM);
	word = __builtin_bswap64(word_at(memory + (at - (i + 1) * ICP_WORD) % TURN_ROOM));
	return reading == URL_HOST ? word_lower(word) : word;
}

/*
 * Turn `length` bytes (0 to PREFIX_URL_MAX, of a host one less) that begin at the offset `at` in
 * `memory`, or end there if they are read backward, as far as this tree's texts reach.
 */
ICP_INLINE void turn_bytes(struct turned_url *turned, const struct prefix_tree *tree,
			   const __u8 *memory, __u32 at, __u32 length, enum url_reading reading)
{
	__u32 whole = length / ICP_WORD, longest = tree->longest / ICP_WORD, left, i;
	bool host = reading == URL_HOST;
	__u64 word;

	turned->length = length + host; /* with the dot */
	turned->whole = whole < longest ? whole : longest;
	whole = ICP_READ_BACK(turned->whole) % PREFIX_WORDS;
	ICP_BOUNDED(whole);
	for (i = 0; i < PREFIX_WORDS; i++) {
		if (i >= whole)
			break;
		turned->words[i] = turned_word(memory, at, i, reading);
	}
	whole = ICP_READ_BACK(turned->whole) % PREFIX_WORDS;
	left = length - whole * ICP_WORD;
	word = turned_word(memory, at, whole, reading);
	if (left < ICP_WORD) {
		word = word_first_bytes(word, left);
		if (host)
			word |= word_byte('.', left);
	}
	turned->words[whole] = word;
	turned->words[whole + 1] = 0;
}

/*
 * Make the reading URL_HOST of a URL that begins at the offset `url` in `memory`, which has TURN_ROOM +
 * ICP_WORD bytes, and in which host_find() has found this host. Returns false if it cannot be made:
 * the host is in brackets, is too long for the tree, or may not be a host.
 */
ICP_INLINE bool url_turn_host(struct turned_url *turned, const struct prefix_tree *tree,
			      const __u8 *memory, __u32 url, enum host_form form,
			      const struct host_place *place)
{
	__u32 begin = 0, length = 0;

	switch (form) {
	case HOST_BRACKET:
	case HOST_PORT:
		return false;
	case HOST_NAME:
		begin = ICP_READ_BACK(place->begin);
		length = ICP_READ_BACK(place->colon) - begin;
		if (begin > PREFIX_URL_MAX || length >= PREFIX_URL_MAX)
			return false;
		ICP_BOUNDED(begin);
		ICP_BOUNDED(length);
		length = host_trim(memory + url + begin, length);
		break;
	case HOST_NONE: /* treated as an empty host, which no text matches */
		break;
	}
	turn_bytes(turned, tree, memory, url + begin + length, length, URL_HOST);
	return true;
}

/* Make the reading URL_BACKWARD of a URL of `length` bytes, 1 to PREFIX_URL_MAX, in that memory. */
ICP_INLINE void url_turn_backward(struct turned_url *turned, const struct prefix_tree *tree,
				  const __u8 *memory, __u32 url, __u32 length)
{
	turn_bytes(turned, tree, memory, url + length, length, URL_BACKWARD);
}

/* Make such a reading at an offset in that memory at which `length` bytes of the URL are. */
ICP_INLINE void url_turn_inside(struct turned_url *turned, const struct prefix_tree *tree,
				const __u8 *memory, __u32 at, __u32 length)
{
	turn_bytes(turned, tree, memory, at, length, URL_INSIDE);
}

#endif

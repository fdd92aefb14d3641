// SPDX-License-Identifier: GPL-2.0-or-later
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recent/line.h"

#define MATCH_LIMIT 10000 /* steps of a pattern in a line */
#define HEAP_LIMIT 4096	  /* KiB */

/* A part of a line. */
struct part {
	char *text; /* NULL: the line has none */
	size_t length;
};

/* What a line tells. */
struct parts {
	time_t time;
	struct part scheme, host, url;
	struct part status;
};

struct line_format {
	bool (*read)(const struct line_format *format, struct part line, struct parts *parts);
	bool has_time;
	char *scheme, *host;
	pcre2_code *code;
	pcre2_match_data *found;
	pcre2_match_context *limits;
};

static struct part part_of(char *begin, const char *end)
{
	return (struct part){ begin, end - begin };
}

/* Cut off what is before the first `c`, which is dropped. Returns false if there is none. */
static bool cut(struct part *rest, char c, struct part *before)
{
	char *place = rest->length ? memchr(rest->text, c, rest->length) : NULL;

	if (!place)
		return false;
	*before = part_of(rest->text, place);
	*rest = part_of(place + 1, rest->text + rest->length);
	return true;
}

static void skip_blanks(struct part *rest)
{
	while (rest->length && *rest->text == ' ') {
		rest->text++;
		rest->length--;
	}
}

/* --- the formats */

static int two_digits(const char *text)
{
	return isdigit((unsigned char)text[0]) && isdigit((unsigned char)text[1])
		       ? (text[0] - '0') * 10 + text[1] - '0'
		       : -1;
}

#define TIME_LENGTH 26 /* bytes of 10/Oct/2000:13:55:36 -0700 */

static bool read_time(const char *text, time_t *time)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const char *month = NULL;
	int centuries = two_digits(text + 7), years = two_digits(text + 9);
	int zone_hours = two_digits(text + 22), zone_minutes = two_digits(text + 24);
	struct tm parts = {
		.tm_mday = two_digits(text),
		.tm_hour = two_digits(text + 12),
		.tm_min = two_digits(text + 15),
		.tm_sec = two_digits(text + 18),
	};

	for (const char *name = months; *name; name += 3)
		if (memcmp(name, text + 3, 3) == 0)
			month = name;
	if (!month || centuries < 0 || years < 0 || zone_hours < 0 || zone_minutes < 0 ||
	    parts.tm_mday < 0 || parts.tm_hour < 0 || parts.tm_min < 0 || parts.tm_sec < 0 ||
	    (text[21] != '+' && text[21] != '-'))
		return false;
	parts.tm_mon = (int)(month - months) / 3;
	parts.tm_year = centuries * 100 + years - 1900;
	*time = timegm(&parts) -
		(text[21] == '-' ? -1 : 1) * (zone_hours * 3600 + zone_minutes * 60);
	return true;
}

/* The end of a quoted text, in which a backslash quotes the next byte; NULL: there is none. */
static char *find_quote(const struct part *text)
{
	for (size_t i = 0; i < text->length; i++) {
		if (text->text[i] == '"')
			return text->text + i;
		if (text->text[i] == '\\')
			i++;
	}
	return NULL;
}

/* METHOD URL PROTOCOL, or as in HTTP/0.9 without the last. */
static bool read_request_line(struct part text, struct part *url)
{
	struct part method;
	char *last;

	if (!cut(&text, ' ', &method) || method.length == 0)
		return false;
	last = memrchr(text.text, ' ', text.length);
	if (last && text.text + text.length - last > 5 && memcmp(last, " HTTP/", 6) == 0)
		text.length = last - text.text;
	*url = text;
	return true;
}

static bool read_common(const struct line_format *format, struct part line, struct parts *parts)
{
	struct part head, request;
	char *end;

	if (!cut(&line, '"', &head) || head.length < TIME_LENGTH + 3 ||
	    head.text[head.length - TIME_LENGTH - 3] != '[' ||
	    memcmp(head.text + head.length - 2, "] ", 2) != 0 ||
	    !read_time(head.text + head.length - TIME_LENGTH - 2, &parts->time))
		return false;
	end = find_quote(&line);
	if (!end)
		return false;
	request = part_of(line.text, end);
	line = part_of(end + 1, line.text + line.length);
	skip_blanks(&line);
	parts->status = line;
	return read_request_line(request, &parts->url);
}

static bool read_squid(const struct line_format *format, struct part line, struct parts *parts)
{
	enum {
		TIME,
		ELAPSED,
		CLIENT,
		RESULT,
		BYTES,
		METHOD,
		URL,
		FIELDS
	};
	struct part fields[FIELDS], unused;
	char seconds[16];
	char *end;

	for (int i = 0; i < FIELDS; i++) {
		skip_blanks(&line);
		if (!cut(&line, ' ', &fields[i]))
			return false;
	}
	if (fields[TIME].length >= sizeof(seconds))
		return false;
	*(char *)mempcpy(seconds, fields[TIME].text, fields[TIME].length) = '\0';
	parts->time = strtoll(seconds, &end, 10);
	if (end == seconds || *end != '.' || !cut(&fields[RESULT], '/', &unused))
		return false;
	parts->status = fields[RESULT];
	parts->url = fields[URL];
	/* error:invalid-request and the like */
	return fields[URL].length < 6 || memcmp(fields[URL].text, "error:", 6) != 0;
}

static struct part group(const struct line_format *format, struct part line, const char *name)
{
	int number = pcre2_substring_number_from_name(format->code, (PCRE2_SPTR)name);
	const PCRE2_SIZE *places = pcre2_get_ovector_pointer(format->found);

	if (number < 0 || places[2 * number] == PCRE2_UNSET)
		return (struct part){ 0 };
	return part_of(line.text + places[2 * number], line.text + places[2 * number + 1]);
}

static bool read_pattern(const struct line_format *format, struct part line, struct parts *parts)
{
	if (pcre2_match(format->code, (PCRE2_SPTR)line.text, line.length, 0, 0, format->found,
			format->limits) < 0)
		return false;
	parts->scheme = group(format, line, "scheme");
	parts->host = group(format, line, "host");
	parts->url = group(format, line, "url");
	parts->status = group(format, line, "status");
	return parts->url.text;
}

/* --- the URL */

static int hex_digit(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	c = tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Replace what stands for other bytes. */
static void unquote(struct part *part)
{
	char *to = part->text;

	for (size_t i = 0; i < part->length;) {
		const char *from = part->text + i;
		size_t left = part->length - i;

		if (left >= 4 && from[0] == '\\' && from[1] == 'x' && hex_digit(from[2]) >= 0 &&
		    hex_digit(from[3]) >= 0) {
			*to++ = (char)(hex_digit(from[2]) * 16 + hex_digit(from[3]));
			i += 4;
		} else if (left >= 2 && from[0] == '\\' && (from[1] == '\\' || from[1] == '"')) {
			*to++ = from[1];
			i += 2;
		} else {
			*to++ = *from;
			i++;
		}
	}
	part->length = to - part->text;
}

bool line_is_url(const char *url, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (url[i] == '\0' || url[i] == ' ' || (url[i] >= '\t' && url[i] <= '\r'))
			return false;
	return length > 0 && length <= RECENT_URL_MAX;
}

static struct part or_setting(struct part part, char *setting)
{
	return part.text || !setting ? part : part_of(setting, setting + strlen(setting));
}

/* A path gets the parts before it. */
static bool set_url(const struct line_format *format, const struct parts *parts,
		    struct line_request *request)
{
	struct part scheme = or_setting(parts->scheme, format->scheme);
	struct part host = or_setting(parts->host, format->host), url = parts->url;
	size_t before = 0;

	if (url.length && *url.text == '/') {
		if (!host.length)
			return false;
		before = snprintf(request->url, sizeof(request->url), "%.*s://%.*s",
				  (int)scheme.length, scheme.text, (int)host.length, host.text);
	}
	if (before + url.length > RECENT_URL_MAX)
		return false;
	memcpy(request->url + before, url.text, url.length);
	request->length = before + url.length;
	request->url[request->length] = '\0';
	return line_is_url(request->url, request->length);
}

/* A failing server should not attract what it fails on. Squid writes 000 if there was no reply. */
static bool has_failed(const struct part *status)
{
	return status->length >= 3 && (status->text[0] == '5' || status->text[0] == '0');
}

enum line_result line_read(const struct line_format *format, char *line, size_t length,
			   struct line_request *request)
{
	struct parts parts = { 0 };

	if (!format->read(format, (struct part){ line, length }, &parts))
		return LINE_NONSENSE;
	unquote(&parts.url);
	if (!set_url(format, &parts, request))
		return LINE_NONSENSE;
	request->time = parts.time;
	return has_failed(&parts.status) ? LINE_FAILED : LINE_REQUEST;
}

/* --- creation */

static int compile(struct line_format *format, const char *pattern, struct error *error)
{
	PCRE2_UCHAR message[256];
	PCRE2_SIZE offset;
	int number;

	/* At one place only, and interpreted: the limit bounds the time. */
	format->code =
		pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
			      PCRE2_ANCHORED | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_DOTALL,
			      &number, &offset, NULL);
	if (!format->code) {
		pcre2_get_error_message(number, message, sizeof(message));
		return error_set(error,
				 "'%s' is neither common, combined nor squid, nor a pattern: %s at "
				 "offset %zu",
				 pattern, (char *)message, offset);
	}
	if (pcre2_substring_number_from_name(format->code, (PCRE2_SPTR) "url") < 0)
		return error_set(error,
				 "'%s' is neither common, combined nor squid, nor a pattern with "
				 "one group (?<url>...)",
				 pattern);
	format->found = pcre2_match_data_create_from_pattern(format->code, NULL);
	format->limits = pcre2_match_context_create(NULL);
	if (!format->found || !format->limits)
		return error_set(error, "out of memory");
	pcre2_set_match_limit(format->limits, MATCH_LIMIT);
	pcre2_set_heap_limit(format->limits, HEAP_LIMIT);
	format->read = read_pattern;
	return 0;
}

static int set_format(struct line_format *made, const char *format, struct error *error)
{
	made->has_time = true;
	if (strcmp(format, "common") == 0 || strcmp(format, "combined") == 0) {
		made->read = read_common;
		return 0;
	}
	if (strcmp(format, "squid") == 0) {
		made->read = read_squid;
		return 0;
	}
	made->has_time = false;
	return compile(made, format, error);
}

struct line_format *line_format_new(const char *format, const char *scheme, const char *host,
				    struct error *error)
{
	struct line_format *made = calloc(1, sizeof(*made));

	if (made) {
		made->scheme = strdup(scheme);
		made->host = host ? strdup(host) : NULL;
	}
	if (!made || !made->scheme || (host && !made->host))
		error_write(error, "out of memory");
	else if (set_format(made, format, error) == 0)
		return made;
	line_format_free(made);
	return NULL;
}

void line_format_free(struct line_format *format)
{
	if (!format)
		return;
	pcre2_code_free(format->code);
	pcre2_match_data_free(format->found);
	pcre2_match_context_free(format->limits);
	free(format->scheme);
	free(format->host);
	free(format);
}

bool line_format_needs_host(const struct line_format *format)
{
	return format->read == read_common;
}

bool line_format_has_time(const struct line_format *format)
{
	return format->has_time;
}

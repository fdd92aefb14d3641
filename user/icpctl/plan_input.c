// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "icpctl/plan_input.h"
#include "lib/escape.h"
#include "lib/progress.h"
#include "recent/line.h"

#define PROGRESS_LINES 100000

struct reader {
	const struct plan_input *input;
	FILE *file;
	bool is_log;		    /* else lines are URLs */
	struct line_format *format; /* of a log */
	char line[RECENT_LINE_MAX];
	size_t length;
	bool too_long;
	struct line_request request;
};

/* Read a line, of which no more than fits is kept. False: there is none. */
static bool read_line(struct reader *reader)
{
	int byte = getc_unlocked(reader->file);

	if (byte == EOF)
		return false;
	reader->length = 0;
	reader->too_long = false;
	for (; byte != EOF && byte != '\n'; byte = getc_unlocked(reader->file)) {
		if (reader->length < sizeof(reader->line))
			reader->line[reader->length++] = (char)byte;
		else
			reader->too_long = true;
	}
	if (reader->length && reader->line[reader->length - 1] == '\r')
		reader->length--;
	return true;
}

/* Take a line as a URL in the form of escape.h. */
static bool read_url(struct reader *reader)
{
	struct line_request *request = &reader->request;
	char *url = unescape(reader->line, reader->length, &request->length);
	bool good = url && line_is_url(url, request->length);

	if (good)
		memcpy(request->url, url, request->length + 1);
	free(url);
	return good;
}

static int set_format(struct reader *reader, const char *format, struct error *error)
{
	line_format_free(reader->format);
	reader->format = NULL;
	reader->is_log = strcmp(format, "urls") != 0;
	if (reader->is_log)
		reader->format =
			line_format_new(format, reader->input->scheme, reader->input->host, error);
	return reader->is_log && !reader->format ? -1 : 0;
}

/* Does the line fit a format? Changes neither. */
static bool fits(struct reader *reader, const char *format)
{
	char copy[RECENT_LINE_MAX];
	struct error ignored;
	struct line_format *tried = line_format_new(format, "http", "host", &ignored);
	bool good;

	memcpy(copy, reader->line, reader->length);
	good = tried && line_read(tried, copy, reader->length, &reader->request) != LINE_NONSENSE;
	line_format_free(tried);
	return good;
}

/*
 * Find the format that a line fits. NULL: it fits none. Some lines of the common format also fit
 * that of Squid.
 */
static const char *find_format(struct reader *reader)
{
	static const char *const logs[] = { "common", "squid" };

	if (!memchr(reader->line, ' ', reader->length))
		return read_url(reader) ? "urls" : NULL;
	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++)
		if (fits(reader, logs[i]))
			return logs[i];
	return NULL;
}

/* Take the request of a line. A failed one was asked for as well. */
static bool read_request(struct reader *reader)
{
	if (!reader->is_log)
		return read_url(reader);
	return line_read(reader->format, reader->line, reader->length, &reader->request) !=
	       LINE_NONSENSE;
}

static int read_lines(struct reader *reader, plan_input_url url, void *context,
		      struct plan_input_sum *sum, struct error *error)
{
	const char *format = reader->input->format;
	uint64_t lines = 0;

	if (format && set_format(reader, format, error))
		return -1;
	while (read_line(reader)) {
		if (++lines % PROGRESS_LINES == 0)
			progress_show("%llu lines", (unsigned long long)lines);
		if (!reader->length)
			continue;
		if (!format && !reader->too_long) {
			format = find_format(reader);
			if (format && set_format(reader, format, error))
				return -1;
		}
		if (!format || reader->too_long || !read_request(reader)) {
			sum->skipped++;
			continue;
		}
		sum->requests++;
		if (url(context, reader->request.url, reader->request.length, error))
			return -1;
	}
	if (ferror(reader->file))
		return error_set(error, "cannot be read: %s", strerror(errno));
	if (sum->requests)
		return 0;
	if (reader->format && line_format_needs_host(reader->format) && !reader->input->host)
		return error_set(error, "its lines have paths alone; name the host with --host");
	return error_set(
		error,
		"no request in %llu lines; it may have URLs, one a line, or be a log in the "
		"format common, combined or squid, or see --format",
		(unsigned long long)lines);
}

int plan_input_read(FILE *file, const struct plan_input *input, plan_input_url url, void *context,
		    struct plan_input_sum *sum, struct error *error)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int result;

	*sum = (struct plan_input_sum){ 0 };
	if (!reader)
		return error_set(error, "out of memory");
	reader->input = input;
	reader->file = file;
	result = read_lines(reader, url, context, sum, error);
	progress_end();
	line_format_free(reader->format);
	free(reader);
	return result ? error_prefix(error, "%s: ", input->name) : 0;
}

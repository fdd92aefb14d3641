// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/byte_order_mark.h"
#include "lib/regular_file.h"
#include "policy/list.h"
#include "icp/opcode.h"

/*
 * A tag is a line number of the file, or one of these flags and the index of the value. Line
 * numbers fit: LIST_SIZE_MAX allows fewer than 2^30 entries.
 */
#define TAG_PLURAL 0x80000000u
#define TAG_SINGULAR 0x40000000u
#define TAG_NUMBER 0x3fffffffu

#define LIST_SIZE_MAX (1u << 30) /* bytes of a file */

/* Write the place of the entry with that tag, FILE:LINE, to a buffer of `size` bytes. */
static void find_place(const struct text_list *list, unsigned int tag, char *where, size_t size)
{
	const char *key = tag & TAG_PLURAL ? list->plural : list->singular;
	unsigned int number = tag & TAG_NUMBER;

	if (tag & (TAG_PLURAL | TAG_SINGULAR))
		snprintf(where, size, "%s",
			 policy_spec_find(list->spec, key)->values[number].where);
	else
		snprintf(where, size, "%s:%u", policy_spec_find(list->spec, "file")->values[0].text,
			 number);
}

int text_list_error(const struct text_list *list, unsigned int tag, struct error *error,
		    const char *format, ...)
{
	char where[512];
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	find_place(list, tag, where, sizeof(where));
	return error_prefix(error, "%s: policy '%s': ", where, list->spec->name);
}

static int add_entry(const struct text_list *list, struct text_entry *entry, text_list_add add,
		     void *context, struct error *error)
{
	if (entry->verdict == ICP_OP_INVALID)
		entry->verdict = list->policy->verdict;
	if (entry->verdict == ICP_OP_INVALID)
		return text_list_error(
			list, entry->tag, error,
			"'%.*s' has no verdict; give it one with a TAB before it, or "
			"set 'verdict' in the policy (" VERDICT_NAMES ")",
			TEXT_SHOWN, entry->text);
	return add(context, list, entry, error);
}

static int read_values(const struct text_list *list, const char *key, unsigned int tag,
		       text_list_add add, void *context, struct error *error)
{
	const struct spec_setting *setting = policy_spec_find(list->spec, key);

	for (size_t i = 0; setting && i < setting->count; i++) {
		struct text_entry entry = {
			.text = setting->values[i].text,
			.length = strlen(setting->values[i].text),
			.tag = tag | i,
		};

		if (policy_need_verdict(list->policy, list->spec, error) ||
		    add_entry(list, &entry, add, context, error))
			return -1;
	}
	return 0;
}

static int read_line(const struct text_list *list, char *line, size_t length, unsigned int number,
		     text_list_add add, void *context, struct error *error)
{
	struct text_entry entry = { .text = line, .tag = number & TAG_NUMBER };
	char *tab, *verdict;

	if (length && line[length - 1] == '\n')
		length--;
	if (length && line[length - 1] == '\r')
		length--;
	line[length] = '\0';
	if (number == 1 && has_byte_order_mark(line, length))
		return text_list_error(list, entry.tag, error, BYTE_ORDER_MARK_ERROR);
	if (length == 0 || line[0] == '#')
		return 0;
	tab = memchr(line, '\t', length);
	if (tab) {
		verdict = tab + 1;
		entry.verdict = verdict_from_name(verdict, line + length - verdict);
		if (entry.verdict == ICP_OP_INVALID)
			return text_list_error(list, entry.tag, error,
					       "unknown verdict '%.*s'; it can be " VERDICT_NAMES,
					       TEXT_SHOWN, verdict);
		*tab = '\0';
		length = tab - line;
	}
	entry.length = length;
	return add_entry(list, &entry, add, context, error);
}

static int cannot_read(const struct text_list *list, const struct spec_value *file,
		       const char *reason, struct error *error)
{
	return error_set(error,
			 "%s: policy '%s': cannot read the list '%s': %s; name a file that the "
			 "daemon may read",
			 file->where, list->spec->name, file->text, reason);
}

/* Note what was read from an open file. Returns 0, or -1 and `error`. */
static int note_file(const struct text_list *list, const char *path, FILE *stream,
		     unsigned int lines, struct error *error)
{
	struct policy *policy = list->policy;
	struct stat status;

	policy->file.path = strdup(path);
	if (!policy->file.path)
		return error_set(error, "out of memory");
	policy->file.lines = lines;
	policy->file.read = time(NULL);
	if (fstat(fileno(stream), &status) == 0)
		policy->file.modified = status.st_mtime;
	return 0;
}

static int read_file(const struct text_list *list, const struct spec_value *file, text_list_add add,
		     void *context, struct error *error)
{
	unsigned int number = 0;
	size_t allocated = 0;
	char *line = NULL;
	ssize_t length;
	struct error reason;
	FILE *stream = regular_file_open(file->text, LIST_SIZE_MAX, &reason);
	int result = 0;

	if (!stream)
		return cannot_read(list, file, reason.text, error);
	errno = 0;
	while (result == 0 && (length = getline(&line, &allocated, stream)) >= 0) {
		result = read_line(list, line, length, ++number, add, context, error);
		errno = 0;
	}
	if (result == 0 && !feof(stream))
		result = cannot_read(list, file, strerror(errno), error);
	if (result == 0)
		result = note_file(list, file->text, stream, number, error);
	free(line);
	fclose(stream);
	return result;
}

int text_list_finish_set(const struct text_list *list, struct byteset *set, const char *what,
			 struct error *error)
{
	struct byteset_conflict conflict;
	int result = byteset_finish(set, &conflict);
	char first[512];

	if (result == 0)
		return 0;
	if (result < 0)
		return error_set(error, "out of memory");
	find_place(list, conflict.first_tag, first, sizeof(first));
	return text_list_error(list, conflict.second_tag, error,
			       "this %s has another verdict at %s; keep one of them", what, first);
}

int text_list_read(const struct text_list *list, text_list_add add, void *context,
		   struct error *error)
{
	const struct spec_value *file;
	int found = policy_spec_text(list->spec, "file", &file, error);

	if (found < 0)
		return -1;
	if (!found && !policy_spec_find(list->spec, list->plural) &&
	    !policy_spec_find(list->spec, list->singular))
		return error_set(error, "%s: policy '%s': '%s' or 'file' is missing",
				 list->spec->where, list->spec->name, list->plural);
	if (read_values(list, list->plural, TAG_PLURAL, add, context, error) ||
	    read_values(list, list->singular, TAG_SINGULAR, add, context, error))
		return -1;
	return found ? read_file(list, file, add, context, error) : 0;
}

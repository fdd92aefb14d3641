// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two columns of bars, whose heights are the owners' requests before and after, and a band for each pair
 * of owners: grey for what stays, in the colour of the former owner for what moves. With very many
 * owners those with the fewest requests share the last bar.
 */
#include <stdlib.h>

#include "icpctl/icpctl.h"
#include "icpctl/plan_svg.h"

#define BARS_MAX 24u /* of a column */
#define HEIGHT 640.0 /* of a column without its gaps */
#define GAP 14.0     /* between bars: room for a line of text */
#define TOP 72.0
#define LEFT 210.0 /* of the first column */
#define RIGHT 690.0
#define BAR 16.0 /* width */
#define WIDTH 906.0

/* What is drawn: a bar on each side, and bands between all of them. */
struct drawing {
	FILE *file;
	const struct plan_result *result;
	unsigned int *bars; /* of each owner */
	const char *names[BARS_MAX];
	unsigned int count;
	uint64_t sums[BARS_MAX][BARS_MAX]; /* requests, from and to */
};

static void write_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '&' || c == '<' || c == '>' || c == '"' || c < ' ' || c > '~')
			fprintf(file, "&#%d;", c < ' ' ? '?' : c);
		else
			fputc(c, file);
	}
}

static uint64_t requests_of(const struct plan_owner *owner)
{
	return owner->sums[PLAN_BEFORE].requests + owner->sums[PLAN_AFTER].requests;
}

static int compare_owners(const void *left, const void *right, void *context)
{
	const struct plan_owner *owners = context;
	unsigned int a = *(const unsigned int *)left, b = *(const unsigned int *)right;
	uint64_t first = requests_of(&owners[a]), second = requests_of(&owners[b]);

	return first != second ? (first > second ? -1 : 1) : a < b ? -1 : a > b;
}

/* Give each owner with requests a bar, in the order of their names; the others share one. */
static void assign_bars(struct drawing *drawing)
{
	const struct plan_result *result = drawing->result;
	unsigned int *list = icpctl_must(calloc(result->owner_count + 1, sizeof(*list)));
	size_t used = 0, shown;

	for (unsigned int i = 0; i < result->owner_count; i++)
		if (requests_of(&result->owners[i]))
			list[used++] = i;
	qsort_r(list, used, sizeof(*list), compare_owners, result->owners);
	shown = used > BARS_MAX ? BARS_MAX - 1 : used;
	drawing->bars = icpctl_must(calloc(result->owner_count + 1, sizeof(*drawing->bars)));
	for (size_t i = 0; i < result->owner_count; i++)
		drawing->bars[i] = (unsigned int)shown;
	for (size_t i = 0; i < shown; i++)
		drawing->bars[list[i]] = 0;
	for (size_t i = 0; i < result->owner_count; i++)
		if (drawing->bars[i] == 0) {
			drawing->names[drawing->count] = result->owners[i].name;
			drawing->bars[i] = drawing->count++;
		}
	if (used > shown)
		drawing->names[drawing->count++] = "all others";
	free(list);
}

static void sum_up(struct drawing *drawing)
{
	const struct plan_result *result = drawing->result;

	/* What stays is what an owner had, except for what moves away. */
	for (size_t i = 0; i < result->owner_count; i++)
		if (requests_of(&result->owners[i])) {
			unsigned int bar = drawing->bars[i];

			drawing->sums[bar][bar] += result->owners[i].sums[PLAN_BEFORE].requests;
		}
	for (size_t i = 0; i < result->move_count; i++) {
		const struct plan_move *move = &result->moves[i];
		unsigned int from = drawing->bars[move->from], to = drawing->bars[move->to];

		drawing->sums[from][from] -= move->sum.requests;
		drawing->sums[from][to] += move->sum.requests;
	}
}

static double share(const struct drawing *drawing, uint64_t requests)
{
	return (double)requests / (double)drawing->result->all.requests;
}

static unsigned int hue(const struct drawing *drawing, unsigned int bar)
{
	return bar * 360 / drawing->count;
}

/* The requests of a bar on one side. */
static uint64_t sum_of(const struct drawing *drawing, unsigned int bar, int side)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < drawing->count; i++)
		sum += side == PLAN_BEFORE ? drawing->sums[bar][i] : drawing->sums[i][bar];
	return sum;
}

/* Where each bar of a side begins. */
static void place_bars(const struct drawing *drawing, int side, double tops[BARS_MAX])
{
	double top = TOP;

	for (unsigned int i = 0; i < drawing->count; i++) {
		tops[i] = top;
		top += HEIGHT * share(drawing, sum_of(drawing, i, side)) + GAP;
	}
}

static void draw_band(const struct drawing *drawing, unsigned int from, unsigned int to,
		      double left_top, double right_top)
{
	double size = HEIGHT * share(drawing, drawing->sums[from][to]), middle = (LEFT + RIGHT) / 2;
	FILE *file = drawing->file;

	fprintf(file,
		"<path d=\"M%.1f %.2fC%.1f %.2f %.1f %.2f %.1f %.2fv%.2f"
		"C%.1f %.2f %.1f %.2f %.1f %.2fz\" ",
		LEFT + BAR, left_top, middle, left_top, middle, right_top, RIGHT, right_top, size,
		middle, right_top + size, middle, left_top + size, LEFT + BAR, left_top + size);
	if (from == to)
		fputs("fill=\"#ddd\" fill-opacity=\".6\"", file);
	else
		fprintf(file, "fill=\"hsl(%u,65%%,50%%)\" fill-opacity=\".6\"", hue(drawing, from));
	fputs("><title>", file);
	write_text(file, drawing->names[from]);
	fputs(from == to ? " keeps " : " to ", file);
	if (from != to) {
		write_text(file, drawing->names[to]);
		fputs(": ", file);
	}
	fprintf(file, "%llu requests, %.1f %%</title></path>\n",
		(unsigned long long)drawing->sums[from][to],
		100 * share(drawing, drawing->sums[from][to]));
}

/* Bands leave and reach each bar in the order of the bars at their other ends. */
static void draw_bands(const struct drawing *drawing, double left[BARS_MAX], double right[BARS_MAX])
{
	for (unsigned int from = 0; from < drawing->count; from++)
		for (unsigned int to = 0; to < drawing->count; to++) {
			double size = HEIGHT * share(drawing, drawing->sums[from][to]);

			if (drawing->sums[from][to])
				draw_band(drawing, from, to, left[from], right[to]);
			left[from] += size;
			right[to] += size;
		}
}

static void draw_bar(const struct drawing *drawing, unsigned int bar, int side, double top)
{
	uint64_t sum = sum_of(drawing, bar, side);
	double size = HEIGHT * share(drawing, sum);
	bool before = side == PLAN_BEFORE;

	fprintf(drawing->file,
		"<rect x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" height=\"%.2f\" "
		"fill=\"hsl(%u,65%%,40%%)\"/>\n<text x=\"%.1f\" y=\"%.2f\"%s>",
		before ? LEFT : RIGHT, top, BAR, size > 0.5 ? size : 0.5, hue(drawing, bar),
		before ? LEFT - 8 : RIGHT + BAR + 8, top + size / 2 + 4,
		before ? " text-anchor=\"end\"" : "");
	write_text(drawing->file, drawing->names[bar]);
	fprintf(drawing->file, " %.1f %%</text>\n", 100 * share(drawing, sum));
}

void plan_svg_write(FILE *file, const struct plan_result *result)
{
	struct drawing *drawing = icpctl_must(calloc(1, sizeof(*drawing)));
	double tops[PLAN_MAPS][BARS_MAX], height;

	drawing->file = file;
	drawing->result = result;
	assign_bars(drawing);
	sum_up(drawing);
	height = TOP + HEIGHT + GAP * drawing->count + 10;
	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
		"width=\"%.0f\" height=\"%.0f\" font-family=\"sans-serif\" font-size=\"13\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
		"<text x=\"%.0f\" y=\"28\" text-anchor=\"middle\" font-size=\"16\">"
		"%llu of %llu requests move (%.1f %%), %llu of %llu keys</text>\n"
		"<text x=\"%.0f\" y=\"56\" text-anchor=\"end\" fill=\"#666\">before</text>\n"
		"<text x=\"%.0f\" y=\"56\" fill=\"#666\">after</text>\n",
		WIDTH, height, WIDTH, height, WIDTH / 2, (unsigned long long)result->moved.requests,
		(unsigned long long)result->all.requests,
		100 * share(drawing, result->moved.requests),
		(unsigned long long)result->moved.keys, (unsigned long long)result->all.keys,
		LEFT + BAR, RIGHT);
	for (int side = 0; side < PLAN_MAPS; side++)
		place_bars(drawing, side, tops[side]);
	for (int side = 0; side < PLAN_MAPS; side++)
		for (unsigned int bar = 0; bar < drawing->count; bar++)
			draw_bar(drawing, bar, side, tops[side][bar]);
	draw_bands(drawing, tops[PLAN_BEFORE], tops[PLAN_AFTER]);
	fputs("</svg>\n", file);
	free(drawing->bars);
	free(drawing);
}

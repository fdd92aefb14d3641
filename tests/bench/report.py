# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of the benchmarks: tables, report.md, report.json and a chart."""

import json
import math
import subprocess

CHART = """
set terminal svg size 1000,{height} font "sans,12" background "white"
set output "{output}"
set title "Replies a second: best round; line: all rounds"
set xlabel "million a second"
set xrange [0:*]
set yrange [-0.7:{last}.7]
set grid xtics
set style fill solid 0.7
set boxwidth 0.7
unset key
set ytics ({labels})
$rows << END
{rows}
END
plot $rows using ($2/2e6):1:($2/2e6):(0.35) with boxxyerror lc rgb "#3070b0", \\
     $rows using ($2/1e6):1:($3/1e6):($4/1e6) with xerrorbars lc rgb "black" pt 0
"""


def rate(value):
    if value is None:
        return ""
    return f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.1f} k"


def spread(values, shown):
    if not values:
        return ""
    return f"{shown(min(values))} to {shown(max(values))}" if len(values) > 1 else ""


def percent(value):
    return "" if value is None else f"{100 * value:.1f} %"


def all_but(value):
    """A percentage that is never rounded up to 100."""
    return "100 %" if value == 1 else f"{math.floor(1e5 * value) / 1e3:.3f} %"


def number(value, digits=0):
    return "" if value is None else f"{value:.{digits}f}"


def ms(value):
    return "never" if value is None else f"{value:.3f}"


RATE_COLUMNS = (
    ("case", lambda row: row["name"]),
    ("replies/s", lambda row: rate(row.get("rate"))),
    ("rounds", lambda row: spread(row.get("rates"), rate)),
    ("of the limit", lambda row: number(row.get("share"), 2)),
    ("rounds", lambda row: spread(row.get("shares"), lambda share: f"{share:.2f}")),
    ("ns more", lambda row: number(row.get("more_ns"))),
    ("ns", lambda row: number(row.get("ns"))),
    ("lost", lambda row: percent(row.get("lost"))),
    ("wrong", lambda row: str(row.get("bad", ""))),
)
DEADLINE_COLUMNS = (
    ("responder and state", lambda row: row["name"]),
    ("within 5 ms", lambda row: all_but(row["in_time"])),
    ("p50 ms", lambda row: ms(row["p50"])),
    ("p99.9 ms", lambda row: ms(row["p99.9"])),
    ("queries", lambda row: str(row["sent"])),
    ("wrong", lambda row: str(row["bad"])),
)
TARGET_COLUMNS = (
    ("target", lambda row: row["name"]),
    ("wanted", lambda row: row["wanted"]),
    ("got", lambda row: row["got"]),
    ("", lambda row: "met" if row["met"] else "MISSED"),
)
SKIPPED_COLUMNS = (("left out", lambda row: row["name"]), ("why", lambda row: row["why"]))


def tables(results):
    for title, key, columns in (
        ("Replies a second, and nanoseconds a run of the program", "rates", RATE_COLUMNS),
        ("500 queries a second", "deadline", DEADLINE_COLUMNS),
        ("Targets", "targets", TARGET_COLUMNS),
        ("Not measured", "skipped", SKIPPED_COLUMNS),
    ):
        if results[key]:
            yield title, [[name for name, _ in columns]] + [
                [cell(row) for _, cell in columns] for row in results[key]
            ]


def plain(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths))
        ]
        yield "  ".join(cells).rstrip()


def show(results):
    for title, lines in tables(results):
        print(f"\n{title}\n")
        print("\n".join(plain(lines)))


def markdown(results):
    yield "# xdp-icp: benchmarks\n"
    machine = results["machine"]
    yield (
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"{results['rounds']} rounds of {results['seconds']:g} s each, {results['date']}.\n"
    )
    yield (
        "Namespaces and veth on one machine. One core does all of it: icpblast's generator, the "
        "program, and the check of each reply. Processes that answer have a second core. A share is "
        "the best round's rate by the best of the limit's, measured in turn on the same frames; "
        "what each pair of rounds gave stands beside it, and then by how much a reply takes longer "
        "than the limit's. The nanoseconds in the last column of times are the kernel's count of a "
        "run (BPF statistics, whose own cost is in them), taken in a separate round.\n"
    )
    for title, lines in tables(results):
        yield f"## {title}\n"
        yield "| " + " | ".join(lines[0]) + " |"
        yield "|" + "---|" * len(lines[0])
        for line in lines[1:]:
            yield "| " + " | ".join(line) + " |"
        yield ""
    if results.get("chart"):
        yield "![Replies a second](report.svg)"


def chart(results, path):
    """Draw it with gnuplot; return whether this worked."""
    rows = [row for row in results["rates"] if row.get("rate")][::-1]
    if not rows:
        return False
    script = CHART.format(
        output=path,
        height=120 + 22 * len(rows),
        last=len(rows) - 1,
        labels=", ".join(f'"{row["name"]}" {i}' for i, row in enumerate(rows)),
        rows="\n".join(
            f"{i} {row['rate']} {min(row['rates'])} {max(row['rates'])}"
            for i, row in enumerate(rows)
        ),
    )
    try:
        done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True)
    except FileNotFoundError:
        return False
    if done.returncode:
        print(done.stderr)
    return done.returncode == 0


def write(results, directory):
    directory.mkdir(parents=True, exist_ok=True)
    results["chart"] = chart(results, directory / "report.svg")
    (directory / "report.json").write_text(json.dumps(results, indent=1) + "\n")
    (directory / "report.md").write_text("\n".join(markdown(results)) + "\n")

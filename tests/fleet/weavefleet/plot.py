# SPDX-License-Identifier: Apache-2.0
"""Two pictures, drawn by gnuplot (Debian's package gnuplot-nox)."""

import shutil
import subprocess

from . import figures, server

SCENARIO = "for"
# in fleet-rate.png
SHOWN_SPREADS = (0, 5, 20)
SHOWN_FLEETS = (
    ("fuzzed", "All clients wait N × (1..1.25)"),
    ("exact", "All clients wait exactly N"),
)
# in fleet-spread.png
CURVES = (("fuzzed", "N × (1..1.25)"), ("mixed", "10 % of them N"),
          ("exact", "N"))
COLOURS = ("#c0392b", "#e69f00", "#0072b2")

HEAD = """\
set terminal pngcairo size 1000,%d font "DejaVu Sans,11" noenhanced
set output "%s"
set border 3
set tics nomirror
set grid ytics lt 1 lw 1 lc rgb "#dddddd"
set logscale y
"""


class NoGnuplot(Exception):
    pass


def block(name, rows):
    lines = [" ".join("%g" % value for value in row) for row in rows]
    return "\n".join(["$%s << END" % name] + lines + ["END"])


def style(number):
    return 'lw 2 lc rgb "%s"' % COLOURS[number]


def rate_script(found, path):
    """Requests a second around the maintenance, a panel for each fleet."""
    script = [HEAD % (800, path)]
    for fleet, _ in SHOWN_FLEETS:
        for spread in SHOWN_SPREADS:
            rates = found[SCENARIO, fleet, spread][0].rates
            middle = figures.BIN_S / 2 - server.END
            script.append(block("%s%d" % (fleet, spread), (
                ((number * figures.BIN_S + middle) / 60, rate)
                for number, rate in enumerate(rates))))
    normal = found[SCENARIO, SHOWN_FLEETS[0][0], 0][0].normal
    begin = (server.BEGIN - server.END) / 60
    script.append(
        "set multiplot layout 2,1 margins 0.1,0.97,0.08,0.95 spacing 0,0.12\n"
        "set xrange [-35:20]\nset yrange [10:100000]\n"
        "set xtics 5\n"
        'set ylabel "requests per second"\n'
        'set key at first -29,graph 0.97 left top Left reverse samplen 2\n'
        'set object 1 rect from %g,graph 0 to 0,graph 1 '
        'fc rgb "#eeeeee" fs noborder behind\n'
        'set label 1 "maintenance: all are refused" at %g,graph 0.55 center '
        'tc rgb "#666666"' % (begin, begin / 2))
    for number, (fleet, title) in enumerate(SHOWN_FLEETS):
        curves = ['$%s%d using 1:2 with lines %s title "maintenance.spread %d %%"' %
                  (fleet, spread, style(at), spread)
                  for at, spread in enumerate(SHOWN_SPREADS)]
        curves.append('%g with lines dt 2 lw 1 lc rgb "black" '
                      'title "normal"' % normal)
        if number == len(SHOWN_FLEETS) - 1:
            script.append('set xlabel "minutes after the end of a maintenance '
                          'of 30 min with --for; means of 10 s"')
        script.append('set title "%s"' % title)
        script.append("plot " + ", ".join(curves))
    return "\n".join(script + ["unset multiplot", ""])


def spread_script(found, spreads, path):
    """What spread saves, and beside it what it costs."""
    script = [HEAD % (520, path)]
    for fleet, _ in CURVES:
        runs = [(spread, found[SCENARIO, fleet, spread])
                for spread in spreads]
        script.append(block(fleet, (
            (spread, figures.median(some, "peak_10s"),
             figures.median(some, "late") / 60) for spread, some in runs)))
    script.append(
        "set multiplot layout 1,2 margins 0.08,0.98,0.11,0.92 "
        "spacing 0.1,0\n"
        'set xlabel "maintenance.spread in %"\n'
        "set xrange [0:52]\nset xtics (" +
        ", ".join("%d" % spread for spread in spreads) + ")\n"
        'set title "The highest rate after the end"\n'
        'set ylabel "peak of 10 s, multiples of the normal rate"\n'
        "set yrange [1:100]\nset ytics (1, 2, 3, 5, 10, 20, 50, 100)\n"
        'set key top right title "clients wait"')
    for column in (2, 3):
        script.append("plot " + ", ".join(
            '$%s using 1:%d with linespoints pt 7 ps 0.9 %s title "%s"' %
            (fleet, column, style(number), title)
            for number, (fleet, title) in enumerate(CURVES)))
        if column == 2:
            script.append(
                "unset logscale y\nset key off\n"
                'set title "How long it takes"\n'
                'set ylabel "minutes until 95 % are back"\n'
                "set yrange [0:20]\nset ytics 5")
    return "\n".join(script + ["unset multiplot", ""])


def draw(found, spreads, folder):
    """Writes the pictures; their paths."""
    gnuplot = shutil.which("gnuplot")
    if not gnuplot:
        raise NoGnuplot("no gnuplot, so no pictures; Debian has it in "
                        "gnuplot-nox")
    paths = [folder / "fleet-rate.png", folder / "fleet-spread.png"]
    for script in (rate_script(found, paths[0]),
                   spread_script(found, spreads, paths[1])):
        subprocess.run([gnuplot, "-"], input=script.encode("utf-8"),
                       check=True)
    return paths

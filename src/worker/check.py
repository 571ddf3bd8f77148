# SPDX-License-Identifier: Apache-2.0
"""Runs the check that an application brings: docs/wsgi.md has its contract.

Compiled into weave-worker as text, and run by the Python of the virtualenv with
the name of an entry point. The sync.ini is descriptor 4. What is found goes to
descriptor 3, in lines of a severity, a line number and a message. The exit
status is 0 when the check has come to its end.
"""
import os
import sys

GROUP = 'mod_weave.check'
ANSWER, INI = 3, '/proc/self/fd/4'
MOST_ROWS, MOST_CHARS = 400, 500  # that a person may want to read


def functions(name):
    """The check functions of that name in the virtualenv; most have none."""
    try:
        from importlib.metadata import entry_points
    except ImportError:  # before Python 3.8
        return []
    try:
        found = entry_points(group=GROUP, name=name)
    except TypeError:  # before Python 3.10
        found = [point for point in entry_points().get(GROUP, ())
                 if point.name == name]
    return [point.load() for point in found]


def say(severity, line, message):
    message = ' '.join(str(message)[:MOST_CHARS].split())
    text = '%s %d %s\n' % (severity, line, message)
    os.write(ANSWER, text.encode('utf-8', 'backslashreplace'))


def run(name):
    count = 0
    for function in functions(name):
        for line, message, severity in function(INI):
            count += 1
            if count > MOST_ROWS:
                say('notice', 0, 'and more, which is not shown')
                return
            say('error' if severity == 'error' else 'notice', int(line),
                message)


def place(error):
    """Where it was raised. What it says may quote the sync.ini."""
    frames = error.__traceback__
    while frames.tb_next:
        frames = frames.tb_next
    return '%s, line %d' % (frames.tb_frame.f_code.co_filename,
                            frames.tb_lineno)


try:
    run(sys.argv[1])
except BaseException as error:
    say('failed', 0, '%s in %s' % (type(error).__name__, place(error)))
# what else the application has in this process must not keep it
os._exit(0)

# SPDX-License-Identifier: Apache-2.0
"""The table weave_settings: texts by name that all processes of all nodes know."""

from sqlalchemy import bindparam, select, update

from weave.server.queries import Query, insert_missing, insert_or_update
from weave.server.schema15 import settings

_NAMED = settings.c.name == bindparam("its_name")
_GET = Query(select(settings.c.value).where(_NAMED))
_SET = Query(insert_or_update(settings))
_ADD = Query(insert_missing(settings, "name", "value"))
_LOCK = Query(update(settings).where(_NAMED).values(value=settings.c.value))


def get(connection, name):
    """The text, or None."""
    return _GET.value(connection, its_name=name)


def put(connection, name, value):
    _SET.change(connection, name=name, value=value)


def lock(connection, name):
    """Waits for the lock of the name until the end of the transaction; makes a missing row."""
    if not _LOCK.change(connection, its_name=name):
        _ADD.change(connection, name=name, value="")
        _LOCK.change(connection, its_name=name)

# SPDX-License-Identifier: Apache-2.0
"""Column types that mean the same on each database."""

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator

from weave.server.engines import MYSQL


class ExactText(String):
    """Text of so many characters that is compared byte by byte, blanks included."""


class LongText(Text):
    """Text of any length."""


class StampColumn(TypeDecorator):
    """A Stamp is stored as its integer; it is read as an integer."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value if value is None else int(value)


def exact_collation(dialect):
    """The collation of MySQL and MariaDB that ignores nothing, trailing blanks included."""
    # `mysql` in a URL stands for both; the dialect knows once it has connected.
    is_mariadb = dialect.name == "mariadb" or getattr(dialect, "is_mariadb", False)
    return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"


@compiles(ExactText, *MYSQL)
def _exact_text(type_, compiler, **_options):
    return "VARCHAR(%d) CHARACTER SET utf8mb4 COLLATE %s" % (
        type_.length,
        exact_collation(compiler.dialect),
    )


@compiles(ExactText, "postgresql")
def _exact_text_of_postgresql(type_, _compiler, **_options):
    # Its order is that of the bytes, as elsewhere, and no index of it breaks when a
    # newer library of the system sorts differently.
    return 'VARCHAR(%d) COLLATE "C"' % type_.length


@compiles(LongText, *MYSQL)
def _long_text(_type, compiler, **_options):
    # TEXT ends at 64 KiB there.
    return "MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE " + exact_collation(
        compiler.dialect
    )

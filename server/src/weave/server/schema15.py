# SPDX-License-Identifier: Apache-2.0
"""The tables that Sync 1.5 has beside those of the records.

They are in the database of the records, and only where Sync 1.5 is served.
"""

from sqlalchemy import MetaData

METADATA = MetaData(info={"part": "sync15"})

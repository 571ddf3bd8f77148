# SPDX-License-Identifier: Apache-2.0
"""Any requests of two users of Sync 1.5 and one of 1.1, who share the tables, one after
the other, and what models of the protocols say of them.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import KIND, THROUGH_HTTPD, Site15
from model15 import Actor
from test_model import Client

# Far from each other, so that a slow machine is never in doubt.
TTL_SECONDS = 1000
JUMPS_SECONDS = (600, 7400)

COLLECTIONS = ("col", "bookmarks", "Col", "addresses")
# Alike where a database pads, folds or compares as a language does.
IDS = ("a", "A", "a ", "{x-1}", "a'\"\\%_", "5", "05", "~" * 64)
QUOTA_KB = 1

# Most is done to one, so that steps concern each other.
NAME = st.just("col") | st.just("col") | st.sampled_from(COLLECTIONS)
ID = st.sampled_from(IDS)
UNMODIFIED = st.none() | st.tuples(st.just("Unmodified"), st.integers(0, 40))
ANY_SINCE = UNMODIFIED | st.tuples(st.just("Modified"), st.integers(0, 40))
TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)
INDEX = st.integers(-999999999, 999999999) | st.integers(-3, 3)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "payload": st.none() | TEXT | TEXT.map(lambda text: text * 12),
        "sortindex": st.none() | INDEX,
        "ttl": st.sampled_from([None, 0, TTL_SECONDS, 94608000, 999999999]),
        "modified": st.sampled_from([0, 12.5]),
    },
)
# Those that fail alone: a payload that is no text, a member that 1.5 does not have.
BAD = st.sampled_from([{"payload": 5}, {"payload": "x", "parentid": "a"}])
RECORDS = st.dictionaries(ID, FIELDS | FIELDS | FIELDS | BAD, max_size=5).map(
    lambda found: [dict(fields, id=id_) for id_, fields in found.items()]
)
FILTER = {
    "newer": st.integers(0, 40),
    "older": st.integers(0, 40),
    "sort": st.sampled_from(["oldest", "newest", "index"]),
}
ARGS = st.fixed_dictionaries(
    {},
    optional=dict(
        FILTER, ids=st.lists(ID, min_size=1, max_size=4), limit=st.integers(1, 5)
    ),
)
PAGES = st.fixed_dictionaries({"limit": st.integers(1, 3)}, optional=FILTER)
PLAIN = st.sampled_from(["", "?batch=true&commit=true", "?batch&commit=TRUE"])
WRITES = st.lists(st.tuples(ID, FIELDS, st.none()), max_size=4)

STEP = st.one_of(
    st.tuples(st.just("put"), NAME, ID, FIELDS, UNMODIFIED),
    st.tuples(st.just("put"), NAME, ID, FIELDS, st.none()),
    st.tuples(st.just("post"), NAME, RECORDS, UNMODIFIED),
    st.tuples(st.just("post"), NAME, RECORDS, st.none(), PLAIN, st.booleans()),
    st.tuples(st.just("begin"), NAME, RECORDS, UNMODIFIED),
    st.tuples(st.just("go_on"), NAME, st.integers(0, 9), RECORDS, st.booleans(), UNMODIFIED),
    st.tuples(st.just("go_on_rightly"), st.integers(0, 9), RECORDS, st.booleans()),
    st.tuples(st.just("delete"), NAME, st.none() | st.lists(ID, min_size=1), UNMODIFIED),
    st.tuples(st.just("delete_item"), NAME, ID, UNMODIFIED),
    st.tuples(st.just("wipe"), UNMODIFIED, st.sampled_from(["storage", "", None])),
    st.tuples(st.just("read"), NAME, ARGS, ANY_SINCE, st.booleans()),
    st.tuples(st.just("read_pages"), NAME, PAGES, WRITES),
    st.tuples(st.just("read_item"), NAME, ID, ANY_SINCE),
    st.tuples(st.just("read_info"), ANY_SINCE),
)
OLD_STEP = st.one_of(
    st.tuples(st.just("put"), NAME, ID, st.just({"payload": "of 1.1"}), st.none(),
              st.just("item")),
    st.tuples(st.just("delete"), NAME, st.none(), st.none()),
    st.tuples(st.just("wipe"), st.none()),
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 1), STEP),
        st.tuples(st.just(0), STEP),
        st.tuples(st.just(2), OLD_STEP),
        st.tuples(st.just(3), st.sampled_from(JUMPS_SECONDS)),
    ),
    min_size=6,
    max_size=25,
)

FEW = KIND != "sqlite" or THROUGH_HTTPD
CHECK = settings(
    max_examples=25 if FEW else 80,
    deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class Players:
    """Two actors of 1.5 and a client of 1.1 on one site."""

    def __init__(self, site, clock, quota_bytes=None):
        self.clock = clock
        self.actors = [Actor(site.device(uid), clock, quota_bytes) for uid in (7, 9999999999)]
        self.old = Client(site.old, clock)
        self.has_quota = quota_bytes is not None
        self.now = 0
        clock.forward(0)
        for actor in self.actors:
            actor.wipe(None)
        self.old.wipe(None)

    def play(self, who, step):
        if who == 3:
            self.now += step
            self.clock.forward(self.now)
            for model in [self.old.model, *(actor.model for actor in self.actors)]:
                model.now = self.now
        elif who == 2:
            getattr(self.old, step[0])(*step[1:])
        else:
            self.act(self.actors[who], self.actors[1 - who], *step)

    @staticmethod
    def act(actor, other, what, *arguments):
        if what == "go_on":
            actor.go_on(*arguments, other.known_batches)
        elif what == "go_on_rightly":
            # of the batches that can be continued, in the right collection
            found = [id_ for id_ in actor.known_batches if id_ in actor.model.batches]
            if found:
                position, records, commit = arguments
                batch = found[position % len(found)]
                actor.go_on(
                    actor.model.batches[batch]["collection"],
                    actor.known_batches.index(batch), records, commit, None, [],
                )  # fmt: skip
        else:
            getattr(actor, what)(*arguments)

    def check(self):
        for actor in self.actors:
            for name in COLLECTIONS:
                actor.read(name, {}, None, False)
            actor.read_info()
        for name in COLLECTIONS[:3]:
            self.old.read(name, {}, "*/*")
        if not self.has_quota:
            self.old.read_info()


@CHECK
@given(steps=STEPS)
def check_steps(site, clock, quota_bytes, steps):
    players = Players(site, clock, quota_bytes)
    for who, step in steps:
        players.play(who, step)
    players.check()


def test_any_requests(site15, clock):
    site15.old = site15.user()
    check_steps(site15, clock, None)


def test_any_requests_under_a_quota(make_site, clock):
    storage = "use_quota = true\nquota_size = %d" % QUOTA_KB
    site = make_site(Site15, storage=storage)
    site.old = site.user()
    check_steps(site, clock, QUOTA_KB * 1024)

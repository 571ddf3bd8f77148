# SPDX-License-Identifier: Apache-2.0
"""Any requests of two users of Sync 1.5 and one of 1.1, who share the tables, one after
the other, and what models of the protocols say of them.
"""

import random

from hypothesis import given, settings
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


class Choice:
    """Makes any step of a number: dense, where Hypothesis likes what is simple."""

    def __init__(self, number):
        self._random = random.Random(number)
        self.one = self._random.choice

    def some(self, make, most, least=0):
        return [make() for _ in range(self._random.randint(least, most))]

    def maybe(self, odds, value):
        """The value with these odds; else None."""
        return value if self._random.random() < odds else None

    def name(self):
        # Most is done to one, so that steps concern each other.
        return self.one(("col", "col", "col", "col", *COLLECTIONS))

    def id(self):
        return self.one(IDS[:3] * 3 + IDS)

    def since(self, kinds=("Unmodified",)):
        """A condition: which of the stamps that were seen, and -3 is the latest."""
        return self.maybe(0.25, (self.one(kinds), self.stamp()))

    def stamp(self):
        return self.one((-1, -2, -3, -4, -6, 0, 1, 5, 10))

    def any_since(self):
        return self.since(("Unmodified", "Modified"))

    def payload(self):
        texts = ("x", "", "y" * 200, "\u00e4\u20ac" * 30, "\u2028\\\"\n", "z" * 90)
        return self.maybe(0.9, self.one(texts))

    def fields(self):
        """Each field is there, null, or not sent."""
        made = {
            "payload": self.payload(),
            "sortindex": self.one((None, 0, 1, -1, 2, 3, 999999999, -999999999)),
            "ttl": self.one((None, 0, TTL_SECONDS, TTL_SECONDS, TTL_SECONDS, 999999999)),
            "modified": 12.5,
        }
        odds = {"payload": 0.6, "sortindex": 0.4, "ttl": 0.3, "modified": 0.1}
        return {name: made[name] for name in made if self.maybe(odds[name], True)}

    def records(self):
        """Some fail alone: a payload that is no text, a member that 1.5 does not have."""
        bad = self.maybe(0.1, True) and self.one(({"payload": 5}, {"payload": "", "parentid": "a"}))
        ids = dict.fromkeys(self.some(self.id, 5))
        found = [dict(self.fields(), id=id_) for id_ in ids]
        return found[:-1] + [dict(bad, id=found[-1]["id"])] if bad and found else found

    def filters(self):
        made = {
            "newer": self.stamp(),
            "older": self.stamp(),
            "sort": self.one(("oldest", "newest", "index")),
        }
        return {name: made[name] for name in made if self.maybe(0.4, True)}

    def arguments(self):
        made = {"ids": self.some(self.id, 4, 1), "limit": self.one((1, 2, 3, 5))}
        return dict(self.filters(), **{n: made[n] for n in made if self.maybe(0.4, True)})

    def new_step(self):
        """A step of Sync 1.5: the name of a method of Actor, and its arguments."""
        what = self.one(
            ["put"] * 5 + ["post"] * 4 + ["begin"] * 3 + ["go_on_rightly"] * 9 + ["go_on"] * 4
            + ["delete", "delete_ids", "delete_item", "read", "read_pages", "read_item"]
            + ["read_info"] + ["wipe"] * self._random.randint(0, 1)
        )
        return (what, *getattr(self, "_" + what)())

    def _put(self):
        return self.name(), self.id(), self.fields(), self.since()

    def _post(self):
        query = self.one(("", "?batch=true&commit=true", "?batch&commit=TRUE"))
        return self.name(), self.records(), self.since(), query, self.one((False, True))

    def _begin(self):
        return self.name(), self.records(), self.since()

    def _go_on(self):
        """Any batch, also of others, and in any collection."""
        commit = self.one((False, True))
        return self.name(), self.one(range(10)), self.records(), commit, self.since()

    def _go_on_rightly(self):
        return self.one(range(10)), self.records(), self.one((False, True))

    def _delete(self):
        return self.name(), None, self.since()

    def _delete_ids(self):
        return self.name(), self.some(self.id, 4, 1), self.since()

    def _delete_item(self):
        return self.name(), self.id(), self.since()

    def _wipe(self):
        return self.since(), self.one(("storage", "", None))

    def _read(self):
        return self.name(), self.arguments(), self.any_since(), self.one((False, True))

    def _read_pages(self):
        writes = self.some(lambda: (self.id(), self.fields(), None), 3)
        return self.name(), dict(self.filters(), limit=self.one((1, 2, 3))), writes

    def _read_item(self):
        return self.name(), self.id(), self.any_since()

    def _read_info(self):
        return (self.any_since(),)

    def old_step(self):
        """A step of Sync 1.1, by a user in the same tables."""
        put = ("put", self.name(), self.id(), {"payload": "of 1.1"}, None, "item")
        return self.one((put, put, ("delete", self.name(), None, None), ("wipe", None)))

    def step(self):
        """(who, what): the users of 1.5 are 0 and 1, of 1.1 is 2, and 3 is the clock."""
        who = self.one((0,) * 15 + (1,) * 3 + (2,) + (3,))
        if who == 3:
            return who, self.one(JUMPS_SECONDS)
        return who, self.old_step() if who == 2 else self.new_step()


STEPS = st.lists(st.integers(0, 2**40), min_size=40, max_size=60)

FEW = KIND != "sqlite" or THROUGH_HTTPD
CHECK = settings(max_examples=12 if FEW else 40)


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
            getattr(actor, "delete" if what == "delete_ids" else what)(*arguments)

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
    for number in steps:
        players.play(*Choice(number).step())
    players.check()
    # What lives for a while is gone now, and nothing else is.
    players.play(3, TTL_SECONDS + JUMPS_SECONDS[0])
    players.check()


def test_any_requests(site15, clock):
    site15.old = site15.user()
    check_steps(site15, clock, None)


def test_any_requests_under_a_quota(make_site, clock):
    storage = "use_quota = true\nquota_size = %d" % QUOTA_KB
    site = make_site(Site15, storage=storage)
    site.old = site.user()
    check_steps(site, clock, QUOTA_KB * 1024)

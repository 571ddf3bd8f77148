# SPDX-License-Identifier: Apache-2.0
"""Whether all that a release needs is there."""

import pytest
from weave_release import closure
from weave_release.closure import Member
from weave_release.errors import ReleaseError

ENVIRONMENT = {"python_version": "3.11", "python_full_version": "3.11.2", "sys_platform": "linux",
               "extra": ""}


def members(**rows):
    """name=(version, requirement, ...): {canonical name: Member}."""
    return {name.replace("_", "-"): Member(name, row[0], list(row[1:]), "hash of " + name)
            for name, row in rows.items()}


def check(release, system=None, name="app"):
    return closure.closure_check(name, release, system or {}, ENVIRONMENT)


def missing(release, system=None):
    with pytest.raises(ReleaseError) as refused:
        check(release, system)
    assert refused.value.hint
    return refused.value.message


def test_all_is_there():
    lock, notes = check(members(app=("1", "A_B>=1", "c (<2)"), a_b=("1.5", "app", "a-b"), c=("1",)))
    assert list(lock) == ["a-b", "app", "c"] and notes == []
    assert lock["c"] == {"version": "1", "sha256": "hash of c", "system": False}


@pytest.mark.parametrize("needs,said", [
    ("b", "app 1 needs b, which is not there"), ("b>=2", "app 1 needs b>=2, which is not there"),
    ("a>=2", "app 1 needs a>=2, and the release has 1.0"),
    ("a!=1", "app 1 needs a!=1, and the release has 1.0"),
    ("a==1.1.*", "needs a==1.1.*, and the release has 1.0"),
    ("-r x", "says that it needs -r x, which is no requirement"),
    ("a[x]", "a 1.0 needs only-x, which is not there"),
    ("a[X_Y]", "a 1.0 needs only-xy, which is not there"),
    ("b; python_version >= '3'", "needs b, which"),
])
def test_what_is_missing(needs, said):
    assert said in missing(members(app=("1", needs), a=(
        "1.0", "only-x; extra == 'x'", "only-xy; extra == 'x-y'")))


@pytest.mark.parametrize("needs", [
    "a", "a==1", "a>=0.9,<2", "A", "b; python_version < '3'", "b; extra == 'x'",
    "b; sys_platform == 'win32'", "a @ https://example.org/a-1.whl", "a[y]"])
def test_what_is_satisfied(needs):
    check(members(app=("1", needs), a=("1.0", "b; extra == 'x'")))


def test_before_the_final_version():
    check(members(app=("1", "a>=1.0"), a=("2.0rc1",)))


def test_several_missing():
    assert "(and 2 more are not satisfied)" in missing(members(app=("1", "x", "y", "a"),
                                                               a=("1", "z")))


def test_extras_that_come_later():
    """a was walked without its extra before somebody asks for it with one."""
    release = members(app=("1", "a", "b"), a=("1", "c; extra == 'x'"), b=("1", "a[x]"))
    assert "a 1 needs c" in missing(release)
    check(dict(release, **members(c=("1",))))


def test_distribution():
    system = members(falcon=("3.1.1", "more>=1"), more=("1.0",), stranger=("1", "nothing"))
    lock, notes = check(members(app=("1", "falcon>=3")), system)
    assert lock["falcon"] == {"version": "3.1.1", "sha256": None, "system": True}
    assert sorted(lock) == ["app", "falcon", "more"] and notes == []
    assert "needs falcon>=4, and the distribution has 3.1.1" in missing(
        members(app=("1", "falcon>=4")), system)
    # the release's own come first
    lock, _ = check(members(app=("1", "falcon>=4"), falcon=("4.0",)), system)
    assert lock["falcon"]["system"] is False and "more" not in lock


def test_what_the_distribution_lacks_itself():
    """Distributions patch metadata out of step with their packages; that is said, not judged."""
    lock, notes = check(members(app=("1", "a"), b=("2",)), members(a=("1", "gone", "b<2")))
    assert notes == ["a 1 needs gone, which is not there", "a 1 needs b<2, and the release has 2"]
    assert sorted(lock) == ["a", "app", "b"]


def test_what_has_changed_since():
    lock = {"a": {"version": "1", "system": True}, "b": {"version": "1", "system": True},
            "c": {"version": "1", "system": True}, "d": {"version": "1", "system": False}}
    assert closure.system_changed(lock, members(a=("1",), b=("2",), d=("9",))) == [
        ("b", "1", "2"), ("c", "1", None)]

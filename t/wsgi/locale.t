# SPDX-License-Identifier: Apache-2.0
#
# C libraries convert text that is not ASCII, and numbers keep their point.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

my $found = json('/locale');
is $found->{ctype}, 'C.UTF-8', 'LC_CTYPE';
is_deeply $found->{others}, ['C'], 'all other categories';
is $found->{codeset}, 'UTF-8', 'nl_langinfo()';
ok $found->{wide}, 'mbstowcs()';
ok $found->{bytes}, 'wcstombs()';
is $found->{apr}, 'UTF-8', 'APR';
is $found->{printed}, '1.5', 'snprintf()';
is $found->{read}, 1.5, 'strtod()';
is_deeply $found->{python}, ['2.5', '3.5', 'c3a9'], 'Python';

finish;

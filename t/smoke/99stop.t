# SPDX-License-Identifier: Apache-2.0
#
# Stops it again: quickly, cleanly, and leaving nobody behind.

use strict;
use warnings FATAL => 'all';
use File::Path qw(remove_tree);
use Test::More;
use Time::HiRes qw(time);
use WeaveTest;

my ($pid) = slurp(conf_var('t_pid_file')) =~ /(\d+)/;
my @children = descendants($pid);
cmp_ok scalar @children, '>', 0, 'there are children';

my $begin = time;
my $log   = logged(qr/caught SIGTERM/, sub { kill TERM => $pid });
ok eventually(sub { !alive($pid) }), 'httpd ends';
cmp_ok time - $begin, '<', 20, 'without waiting for anybody';
unlike $log, qr/exit signal|still did not exit/,
    'no child crashed or had to be killed';
ok eventually(sub { !grep { alive($_) } @children }),
    'no process of its own is left';
remove_tree(conf_var('weave_runtime'));
finish;

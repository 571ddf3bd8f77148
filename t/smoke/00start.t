# SPDX-License-Identifier: Apache-2.0
#
# Starts the server that the other suites of this MPM, mode and Python ask.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Setup ();

WeaveTest::Setup::runtime_dir(conf_var('weave_runtime'));
WeaveTest::Setup::certificate(root() . '/conf');
WeaveTest::Setup::passwords(root() . '/conf/htpasswd');

local $ENV{APACHE_TEST_STARTUP_TIMEOUT} = 600;
my $output = qx($^X t/TEST.PL -start-httpd 2>&1);
is $?, 0, 'the server starts' or BAIL_OUT($output);
diag $output if $output =~ /failed|error/i;

my $pid = slurp(conf_var('t_pid_file'));
ok kill(0, $pid), 'and runs';
finish;
